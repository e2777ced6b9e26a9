"""Until Deployments run: as many pods as asked for, of the newest template, and ready."""

from __future__ import annotations

from collections.abc import Iterable

from lab_helpers.core.errors import LabError, MeshError
from lab_helpers.core.wait import wait_until_none
from lab_helpers.kube import pods
from lab_helpers.kube.client import Client
from lab_helpers.kube.kinds import DEPLOYMENT, POD

DEADLINE = 180.0  # seconds; a first start pulls images


def complete(
    client: Client, names: Iterable[str] = (), namespace: str | None = None, deadline: float = DEADLINE, error: type[LabError] = MeshError
) -> None:
    """Wait until the Deployments `names` (all of the namespace, where none is named) have rolled out.

    Raises
    ------
    LabError
        Of type `error`: names each Deployment that is late and why its pods are: image, crash, scheduling, injection.
    """

    def late() -> list[str]:
        found = {each["metadata"]["name"]: each for each in client.list(DEPLOYMENT, namespace)}
        there = client.list(POD, namespace)
        pending = [name for name in names or found if name not in found or not done(found[name], there)]
        return [f"{name} {_why(found[name], there)}" if name in found else f"{name} is gone" for name in pending]

    wait_until_none(late, "Deployments to roll out", "Look at the pods: kubectl describe pod NAME.", deadline, 0.1, error)


def done(deployment: dict, there: list[dict]) -> bool:
    """Whether a Deployment has rolled out, given all pods of its namespace."""
    status, wanted = deployment.get("status", {}), deployment["spec"].get("replicas", 1)
    current = status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
    counts = [status.get(each, 0) for each in ("updatedReplicas", "replicas", "availableReplicas")]
    # The counts lag behind the pods: right after one was deleted they still include it.
    ready = sum(pods.ready(pod) for pod in _pods_of(deployment, there))
    return current and {*counts, ready} == {wanted}


def _pods_of(deployment: dict, there: list[dict]) -> list[dict]:
    wanted = deployment["spec"]["selector"].get("matchLabels", {}).items()
    return [pod for pod in there if wanted <= pods.labels(pod).items()]


def _why(deployment: dict, there: list[dict]) -> str:
    conditions = deployment.get("status", {}).get("conditions") or []
    failure = next((each for each in conditions if each["type"] == "ReplicaFailure" and each["status"] == "True"), None)
    if failure:
        return f"cannot make pods ({failure['message']})"
    reasons = [reason for pod in _pods_of(deployment, there) for reason in troubles(pod)]
    return f"waits ({'; '.join(dict.fromkeys(reasons)) or 'its pods are not ready yet'})"


def troubles(pod: dict) -> list[str]:
    """Why a pod does not run, as the scheduler or the kubelet says; empty where neither says anything."""
    conditions = pod["status"].get("conditions") or []
    unscheduled = [each.get("message", "") for each in conditions if each["type"] == "PodScheduled" and each["status"] == "False"]
    states = [*(pod["status"].get("initContainerStatuses") or []), *(pod["status"].get("containerStatuses") or [])]
    waiting = [(each["name"], each["state"]["waiting"]) for each in states if each["state"].get("waiting")]
    return unscheduled or [f"{name}: {state.get('reason')} {state.get('message', '')}".strip() for name, state in waiting]
