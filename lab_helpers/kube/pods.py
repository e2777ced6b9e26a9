"""What one pod is, ready, on its way out, of which application, and what it has logged; and one of an application."""

from __future__ import annotations

import re

from lab_helpers.core.errors import TrafficError
from lab_helpers.kube.client import Client
from lab_helpers.kube.kinds import POD

LABEL = re.compile(r"[\w.-]+", re.ASCII)  # what else may stand in a selector makes another one of it


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


def ready_pod(client: Client, app: str, namespace: str | None = None) -> dict | None:
    """One ready pod of a namespace, the client's own where none is named, that is labelled ``app=APP``; None if there is none."""
    there = client.list(POD, namespace, {"app": app}) if LABEL.fullmatch(str(app)) else []
    return next((pod for pod in there if ready(pod)), None)


def require_ready(client: Client, app: str, do: str = "kubectl get pods lists them.", namespace: str | None = None) -> dict:
    """As `ready_pod`.

    Raises
    ------
    TrafficError
        There is none; `do` is what to do about it.
    """
    if pod := ready_pod(client, app, namespace):
        return pod
    raise TrafficError(f"There is no ready pod {app!r} in namespace {namespace or client.namespace}.", do)


def log(client: Client, pod: dict, container: str, **params: str | int) -> str:
    """What a container of `pod` has logged; `params` are the API server's, such as ``tailLines``.

    Raises
    ------
    TrafficError
        It cannot be read.
    """
    name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
    answer = client.raw(f"/api/v1/namespaces/{namespace}/pods/{name}/log", {"container": container, **params})
    if answer.status != 200:
        do = f"kubectl logs {name} -c {container} -n {namespace} says why."
        raise TrafficError(f"The log of {name} cannot be read ({answer.status}).", do)
    return answer.text
