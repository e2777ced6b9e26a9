"""What the client's proxy does with requests for a Service: its routes, in the order in which it tries them."""

from __future__ import annotations

import re

import pandas as pd

from lab_helpers.core.errors import TrafficError
from lab_helpers.istio import envoy
from lab_helpers.kube import channels, pods
from lab_helpers.traffic import observe

COLUMNS = ["match", "then", "timeout", "retries", "retry on", "from"]
CLIENT = "client"
KINDS = {"prefix": "prefix", "path": "exact", "path_separated_prefix": "prefix, by segments"}
BY_CODE = "retriable-status-codes"


def routes(lab, service: str) -> pd.DataFrame:
    """The routes that the proxy of `client` has for a Service.

    Returns
    -------
    pandas.DataFrame
        One row a route, the one that is tried first on top:

        - match: which requests it takes
        - then: where they go
        - timeout: for the whole request
        - retries: how many more tries there may be
        - retry on: what is a reason for another one
        - from: the VirtualService that it comes from; empty for the mesh's own

    Raises
    ------
    TrafficError
        There is no client, or its proxy knows no such Service.
    """
    return table(_virtual_host(lab, service)["routes"])


def names(lab, service: str) -> list[str]:
    """The hosts for which these routes hold, as a request's ``Host`` may have them; without addresses and ports."""
    return [each for each in _virtual_host(lab, service)["domains"] if re.fullmatch(r"[a-z0-9.-]*[a-z][a-z0-9-]*", each)]


def table(listed: list[dict]) -> pd.DataFrame:
    """Routes as Envoy has them, as a table."""
    return pd.DataFrame([_row(each) for each in listed], columns=COLUMNS)


def _virtual_host(lab, service: str) -> dict:
    """What the client's proxy has for the hosts of a Service: domains and routes, in Envoy's words."""
    pod = pods.require_ready(lab.client, CLIENT, 'lab.apply("shared/client.yaml")')
    path = "/config_dump?resource=dynamic_route_configs"
    dump = channels.get_json(lab.client, lab.namespace, pod["metadata"]["name"], envoy.ADMIN, path)
    # A host that a VirtualService names stands in the tables of other ports as well; there, nobody asks for it.
    port = str(observe.find_service(lab, service)["spec"]["ports"][0]["port"])
    tables = [each["route_config"] for each in dump.get("configs") or [] if each.get("route_config", {}).get("name") == port]
    hosts = [host for each in tables for host in each.get("virtual_hosts") or []]
    found = [host for host in hosts if any(domain.startswith(f"{service}.{lab.namespace}.svc.") for domain in host["domains"])]
    if not found:
        raise TrafficError(f"The proxy of {CLIENT} has no route for {service!r} at port {port}.", "Is the port's protocol HTTP?")
    return found[0]


def _row(route: dict) -> dict:
    action = route.get("route") or {}
    policy = action.get("retry_policy") or {}
    return {
        "match": _match(route["match"]),
        "then": _then(route),
        "timeout": "none" if action.get("timeout") == "0s" else action.get("timeout", ""),
        "retries": int(policy.get("num_retries", 0)) if action else 0,
        "retry on": _reasons(policy),
        "from": _origin(route),
    }


def _match(match: dict) -> str:
    told = [f"{KINDS[kind]} {value}" for kind, value in match.items() if kind in KINDS]
    told += [f"regex {match['safe_regex']['regex']}"] if "safe_regex" in match else []
    told += [f"header {each['name']}" for each in match.get("headers") or []]
    return ", ".join(told).replace("prefix /", "any path", 1) if told == ["prefix /"] else ", ".join(told)


def _then(route: dict) -> str:
    if "redirect" in route:
        return f"redirect to {route['redirect'].get('path_redirect') or route['redirect'].get('prefix_rewrite', '')}"
    action = route.get("route") or {}
    if "cluster" not in action:
        return "several destinations" if "weighted_clusters" in action else "answered by the proxy"
    _, _, subset, host = action["cluster"].split("|") if action["cluster"].count("|") == 3 else ("", "", "", action["cluster"])
    to = f"{host.partition('.')[0]}{f' ({subset})' if subset else ''}"
    return f"{to}, rewritten to {action['prefix_rewrite']}" if "prefix_rewrite" in action else to


def _reasons(policy: dict) -> str:
    words = [each for each in policy.get("retry_on", "").split(",") if each and each != BY_CODE]
    return ", ".join([*words, *map(str, policy.get("retriable_status_codes") or [])])


def _origin(route: dict) -> str:
    """The VirtualService that istiod made a route from, as it notes in the route's metadata."""
    config = ((route.get("metadata") or {}).get("filter_metadata") or {}).get("istio", {}).get("config", "")
    return config.rpartition("/")[2] if "/virtual-service/" in config else ""
