"""Which pods have a proxy, and whether their proxies know the pods that there are."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from lab_helpers.core.wait import wait_until_none
from lab_helpers.istio import envoy
from lab_helpers.kube import pods
from lab_helpers.kube.kinds import DEPLOYMENT, ENDPOINT_SLICE, POD, SERVICE


def has_proxy(pod: dict) -> bool:
    """Whether `pod` was made with an Envoy of Istio's: a sidecar of either kind, or a gateway's or waypoint's own.

    In the manifest of a gateway the image is called ``auto``: where it is still, nobody has injected anything. ztunnel's container is
    called as a proxy's, too, and it is no Envoy.
    """
    if _ztunnel(pod):
        return False
    containers = [*pod["spec"]["containers"], *(pod["spec"].get("initContainers") or [])]
    return any(container["name"] == "istio-proxy" and container.get("image") != "auto" for container in containers)


def meshed(lab, namespace: str = "*") -> set[str]:
    """Names (``pod.namespace``) of the ready pods that have a proxy."""
    return {
        f"{pod['metadata']['name']}.{pod['metadata']['namespace']}"
        for pod in lab.client.list(POD, namespace)
        if has_proxy(pod) and pods.ready(pod)
    }


def concerned(lab) -> set[str]:
    """Names (``pod.namespace``) of the ready proxies that what happens in the lab's namespace goes through: its own, gateways, ztunnels."""
    return {
        f"{pod['metadata']['name']}.{pod['metadata']['namespace']}"
        for pod in lab.client.list(POD, "*")
        if pods.ready(pod) and (_ztunnel(pod) or has_proxy(pod) and (pod["metadata"]["namespace"] == lab.namespace or _gateway(pod)))
    }


def _ztunnel(pod: dict) -> bool:
    return pods.labels(pod).get("app") == "ztunnel"


def _gateway(pod: dict) -> bool:
    """Whether a pod is nothing but a proxy, of a gateway or a waypoint."""
    return all(container["name"] == "istio-proxy" for container in pod["spec"]["containers"])


def reachable(lab, deployments: list[str], deadline: float = 30.0) -> None:
    """Wait until every proxy in the namespace has the ready pods of these Deployments, and no others, as endpoints.

    A rollout ends when pods are ready; the mesh learns of it a moment later, and shares counted in between are wrong.

    Raises
    ------
    MeshError
        Names the proxies that do not know them all.
    """
    wanted = _endpoints(lab, deployments)
    if not wanted:
        return
    settled = [each.partition(".")[0] for each in sorted(meshed(lab, lab.namespace))]

    def missing(pod: str) -> list[str]:
        known = envoy.endpoints(lab, pod, list(wanted))
        return [f"{pod} knows {len(known[name])} of {len(wanted[name])} pods of {name}" for name in known if known[name] != wanted[name]]

    def late() -> list[str]:
        with ThreadPoolExecutor(4) as pool:
            return [each for found in pool.map(missing, settled) for each in found]

    wait_until_none(late, "proxies to know the new pods", "See istioctl proxy-config endpoints POD.", deadline, 0.1)


def _endpoints(lab, deployments: list[str]) -> dict[str, set[str]]:
    """Addresses of the ready pods behind each Service that selects one of `deployments`."""
    found = [each for each in lab.client.list(DEPLOYMENT) if each["metadata"]["name"] in deployments]
    templates = [(each["spec"]["template"]["metadata"].get("labels") or {}).items() for each in found]
    addresses: dict[str, set[str]] = {}
    for service in lab.client.list(SERVICE):
        selector = (service["spec"].get("selector") or {}).items()
        if selector and any(selector <= labels for labels in templates):
            addresses[service["metadata"]["name"]] = set()
    for each in lab.client.list(ENDPOINT_SLICE):
        service = pods.labels(each).get("kubernetes.io/service-name")
        if service in addresses:
            addresses[service] |= {address for end in each.get("endpoints") or [] if serving(end) for address in end["addresses"]}
    return addresses


def serving(endpoint: dict) -> bool:
    """Whether an endpoint of an EndpointSlice is ready; who says nothing (as one made by hand may) is taken for ready."""
    return (endpoint.get("conditions") or {}).get("ready") is not False
