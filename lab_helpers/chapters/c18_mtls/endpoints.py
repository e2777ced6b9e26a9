"""How a client proxy is to speak with each pod of a service: by what istiod has told it of the endpoints."""

from __future__ import annotations

from lab_helpers.core.errors import MeshError
from lab_helpers.istio import envoy
from lab_helpers.kube import channels, pods

MATCH = "envoy.transport_socket_match"  # where an endpoint says by which of a cluster's two ways it is to be spoken to
MUTUAL = {"tlsMode": "istio"}


def spoken(lab, app: str, service: str) -> bool:
    """Whether the proxy of `app` speaks mutual TLS with all pods of a Service of the namespace.

    Raises
    ------
    MeshError
        Its proxy knows no pod of the Service.
    TrafficError
        There is no ready pod of `app`.
    """
    pod = pods.require_ready(lab.client, app)
    path = "/config_dump?resource=dynamic_endpoint_configs&include_eds"
    dump = channels.get_json(lab.client, lab.namespace, pod["metadata"]["name"], envoy.ADMIN, path)
    modes = read(dump, service, lab.namespace)
    if not modes:
        raise MeshError(f"The proxy of {app} knows no pod of {service}.", "kubectl get pods, and istioctl proxy-config endpoints.")
    return all(modes)


def read(dump: dict, service: str, namespace: str) -> list[bool]:
    """`spoken`, for each endpoint of a Service in a dump of Envoy's configuration."""
    tables = [each.get("endpoint_config") or {} for each in dump.get("configs") or []]
    ends = [
        end
        for table in tables
        if envoy.service_of(table.get("cluster_name", "")) == (service, namespace)
        for place in table.get("endpoints") or []
        for end in place.get("lb_endpoints") or []
    ]
    return [((each.get("metadata") or {}).get("filter_metadata") or {}).get(MATCH) == MUTUAL for each in ends]
