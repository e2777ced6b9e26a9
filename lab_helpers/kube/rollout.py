"""Until Deployments run: as many pods as asked for, of the newest template, ready, and known to every proxy."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.core_v1 import Pod, Service
from lightkube.resources.discovery_v1 import EndpointSlice

from lab_helpers.mesh import converge, envoy, wait

DEADLINE = 180.0  # a first start pulls images


def complete(lab, names: list[str], deadline: float = DEADLINE) -> None:
    """Wait until the Deployments `names` have rolled out.

    Raises
    ------
    MeshError
        Names each Deployment that is late and why its pods are: image, crash, scheduling, injection.
    """

    def late() -> list[str]:
        found = {each.metadata.name: each for each in lab.client.list(Deployment, namespace=lab.namespace)}
        pods = list(lab.client.list(Pod, namespace=lab.namespace))
        pending = [name for name in names if name not in found or not _done(found[name], pods)]
        return [f"{name} {_why(found[name], pods)}" if name in found else f"{name} is gone" for name in pending]

    wait.until_none(late, "Deployments to roll out", "Look at the pods: kubectl describe pod NAME.", deadline, every=0.1)


def reachable(lab, deployments: list[str], deadline: float = 30.0) -> None:
    """Wait until every proxy in the namespace has the ready pods of these Deployments, and no others, as endpoints.

    A rollout ends when pods are ready; the mesh learns of it a moment later, and shares counted in between are wrong.
    """
    wanted = _endpoints(lab, deployments)
    if not wanted:
        return
    settled = [each.partition(".")[0] for each in sorted(converge.running(lab, lab.namespace))]

    def missing(pod: str) -> list[str]:
        known = envoy.endpoints(lab, pod, list(wanted))
        return [f"{pod} knows {len(known[name])} of {len(wanted[name])} pods of {name}" for name in known if known[name] != wanted[name]]

    def late() -> list[str]:
        with ThreadPoolExecutor(4) as pool:
            return [each for found in pool.map(missing, settled) for each in found]

    wait.until_none(late, "proxies to know the new pods", "See istioctl proxy-config endpoints POD.", deadline, every=0.1)


def _endpoints(lab, deployments: list[str]) -> dict[str, set[str]]:
    """Addresses of the ready pods behind each Service that selects one of `deployments`."""
    labels = [lab.client.get(Deployment, name, namespace=lab.namespace).spec.template.metadata.labels for name in deployments]
    services = [
        service.metadata.name
        for service in lab.client.list(Service, namespace=lab.namespace)
        if service.spec.selector and any(service.spec.selector.items() <= each.items() for each in labels)
    ]
    addresses: dict[str, set[str]] = {name: set() for name in services}
    for slice_ in lab.client.list(EndpointSlice, namespace=lab.namespace):
        service = slice_.metadata.labels.get("kubernetes.io/service-name")
        if service in addresses:
            addresses[service] |= {address for each in slice_.endpoints or [] if each.conditions.ready for address in each.addresses}
    return addresses


def _done(deployment: Deployment, pods: list[Pod]) -> bool:
    spec, status = deployment.spec, deployment.status
    wanted = spec.replicas if spec.replicas is not None else 1
    current = (status.observedGeneration or 0) >= deployment.metadata.generation
    counts = (status.updatedReplicas or 0, status.replicas or 0, status.availableReplicas or 0)
    # The counts lag behind the pods: right after one was deleted they still include it.
    ready = sum(converge.ready(pod) for pod in _pods_of(deployment, pods))
    return current and (*counts, ready) == (wanted, wanted, wanted, wanted)


def _pods_of(deployment: Deployment, pods: list[Pod]) -> list[Pod]:
    wanted = deployment.spec.selector.matchLabels.items()
    return [pod for pod in pods if wanted <= (pod.metadata.labels or {}).items()]


def _why(deployment: Deployment, pods: list[Pod]) -> str:
    failure = next(
        (each for each in deployment.status.conditions or [] if each.type == "ReplicaFailure" and each.status == "True"),
        None,
    )
    if failure:
        return f"cannot make pods ({failure.message})"
    reasons = []
    for pod in _pods_of(deployment, pods):
        states = [*(pod.status.initContainerStatuses or []), *(pod.status.containerStatuses or [])]
        waiting = [
            f"{each.name}: {each.state.waiting.reason} {each.state.waiting.message or ''}".strip() for each in states if each.state.waiting
        ]
        unscheduled = [each.message for each in pod.status.conditions or [] if each.type == "PodScheduled" and each.status == "False"]
        reasons += unscheduled or waiting
    return f"waits ({'; '.join(dict.fromkeys(reasons)) or 'its pods are not ready yet'})"
