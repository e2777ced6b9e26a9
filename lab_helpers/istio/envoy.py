"""What one Envoy knows and has counted, read from its admin port; and what it has written of requests."""

from __future__ import annotations

from lab_helpers.kube import channels, objects, pods
from lab_helpers.kube.client import Client

ADMIN = 15000


def clusters(lab, pod: str, namespace: str | None = None) -> list[dict]:
    """All upstream clusters of the proxy in `pod`, with their hosts and counters (Envoy's ``/clusters?format=json``)."""
    answer = channels.get_json(lab.client, namespace or lab.namespace, pod, ADMIN, "/clusters?format=json")
    return answer.get("cluster_statuses", [])


@objects.sentences("Reading a proxy's log")
def access_log(client: Client, pod: dict, lines: int = 200) -> list[str]:
    """The access log of the proxy in `pod`, as far as it is within the last so many lines that its container has printed.

    Raises
    ------
    TrafficError
        It cannot be read.
    """
    return [line for line in pods.log(client, pod, "istio-proxy", tailLines=lines).splitlines() if line.startswith("[")]


def service_of(cluster: str) -> tuple[str, str]:
    """Name and namespace of the Service that an outbound cluster stands for; empty for any other cluster.

    Examples
    --------
    >>> service_of("outbound|9080|v1|reviews.default.svc.cluster.local")
    ('reviews', 'default')
    """
    direction, _, rest = cluster.partition("|")
    host = rest.rsplit("|", 1)[-1].split(".")
    return (host[0], host[1]) if direction == "outbound" and len(host) > 2 and host[2] == "svc" else ("", "")


def hosts(cluster: dict) -> list[dict]:
    """Each upstream host of a cluster: ``address``, ``healthy``, ``requests`` (so far) and ``errors`` (of these)."""
    return [_host(each) for each in cluster.get("host_statuses", [])]


def endpoints(lab, pod: str, services: list[str]) -> dict[str, set[str]]:
    """Addresses that the proxy in `pod` balances over, for each of `services` of the lab's namespace that it knows."""
    known: dict[str, set[str]] = {}
    for cluster in clusters(lab, pod):
        service, namespace = service_of(cluster["name"])
        if namespace == lab.namespace and service in services:
            known.setdefault(service, set()).update(each["address"] for each in hosts(cluster) if each["healthy"])
    return known


def _host(status: dict) -> dict:
    counters = {each["name"]: int(each.get("value", 0)) for each in status.get("stats", [])}
    address = status["address"].get("socket_address", {}).get("address", "")
    healthy = status.get("health_status", {}).get("eds_health_status", "HEALTHY") in ("HEALTHY", "UNKNOWN")
    return {
        "address": address,
        "healthy": healthy,
        "requests": counters.get("rq_total", 0),
        "errors": counters.get("rq_error", 0),
    }
