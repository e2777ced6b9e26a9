"""What one pod is: ready, on its way out, of which application."""

from __future__ import annotations

from lab_helpers.kube.client import Client
from lab_helpers.kube.kinds import POD


def ready(pod: dict) -> bool:
    """Whether `pod` is ready and not on its way out."""
    return condition(pod, "Ready") == "True" and not leaving(pod)


def leaving(pod: dict) -> bool:
    """Whether `pod`, or any other object, is on its way out."""
    return "deletionTimestamp" in pod["metadata"]


def condition(document: dict, name: str) -> str | None:
    """``True``, ``False`` or ``Unknown``, what an object says of its condition `name`; None where it says nothing."""
    return next((each["status"] for each in document.get("status", {}).get("conditions") or [] if each["type"] == name), None)


def labels(document: dict) -> dict[str, str]:
    """The labels of an object."""
    return document["metadata"].get("labels") or {}


def workload(pod: dict) -> str:
    """How the course names a pod: ``app-version`` by its labels, or else its name."""
    return "-".join(labels(pod)[key] for key in ("app", "version") if key in labels(pod)) or pod["metadata"]["name"]


def ready_pod(client: Client, app: str) -> dict | None:
    """One ready pod of the client's namespace that is labelled ``app=APP``; None if there is none."""
    return next((pod for pod in client.list(POD, labels={"app": app}) if ready(pod)), None)
