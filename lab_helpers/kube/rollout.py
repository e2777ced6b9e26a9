"""Until Deployments run: as many pods as asked for, of the newest template, and ready."""

from __future__ import annotations

from collections.abc import Iterable

from lab_helpers.core.errors import LabError, MeshError
from lab_helpers.core.wait import wait_until
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
    names = list(names)

    def found() -> dict[str, dict]:
        return {each["metadata"]["name"]: each for each in client.list(DEPLOYMENT, namespace)}

    def rolled_out() -> bool:
        there = found()
        if any(name not in there or not _counted(there[name]) for name in names or there):
            return False  # pods are five times as much to list, and not worth it yet
        made = client.list(POD, namespace)
        return all(done(there[name], made) for name in names or there)

    def late() -> str:
        there, made = found(), client.list(POD, namespace)
        pending = [name for name in names or there if name not in there or not done(there[name], made)]
        return "; ".join(f"{name} {_why(there[name], made)}" if name in there else f"{name} is gone" for name in pending) + "."

    do = "Look at the pods: kubectl describe pod NAME."
    wait_until(rolled_out, "Deployments to roll out", deadline, 0.1, late, error, do)


def done(deployment: dict, there: list[dict]) -> bool:
    """Whether a Deployment has rolled out, given all pods of its namespace."""
    # The counts lag behind the pods: right after one was deleted they still include it.
    ready = sum(pods.ready(pod) for pod in _pods_of(deployment, there))
    return _counted(deployment) and ready == deployment["spec"].get("replicas", 1)


def _counted(deployment: dict) -> bool:
    """Whether a Deployment has rolled out, as far as it says itself."""
    status, wanted = deployment.get("status", {}), deployment["spec"].get("replicas", 1)
    current = status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
    return current and {status.get(each, 0) for each in ("updatedReplicas", "replicas", "availableReplicas")} == {wanted}


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
