"""What the Envoy of the chapter's own gateway has been told, read from its admin port."""

from __future__ import annotations

from lab_helpers.istio import envoy
from lab_helpers.kube import channels, pods

APP = "own-ingress"
OWN_PORTS = {15021, 15090}  # every proxy's, for health and metrics


def ports(lab) -> set[int]:
    """The ports on which it listens for others' sake."""
    found = _dump(lab, "dynamic_listeners")
    listeners = [(each.get("active_state") or {}).get("listener") or {} for each in found]
    return {_port(each) for each in listeners if each} - OWN_PORTS


def domains(lab) -> dict[str, list[str]]:
    """By name of a route table: the hosts that it knows, each as the last part of a name without its port."""
    tables = [each.get("route_config") or {} for each in _dump(lab, "dynamic_route_configs")]
    return {
        table["name"]: [domain for host in table.get("virtual_hosts") or [] for domain in host.get("domains") or []]
        for table in tables
        if table.get("name")
    }


def _dump(lab, resource: str) -> list[dict]:
    pod = pods.require_ready(lab.client, APP, "Apply 10_gateway/02-proxy.yaml.")
    path = f"/config_dump?resource={resource}"
    return channels.get_json(lab.client, lab.namespace, pod["metadata"]["name"], envoy.ADMIN, path).get("configs") or []


def _port(listener: dict) -> int:
    return listener["address"]["socket_address"]["port_value"]
