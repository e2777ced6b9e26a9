"""What the nodes of a graph are: which names labels make of them, which a VirtualService names, and which lie outside the mesh."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from lab_helpers.kube.kinds import Kind

VIRTUAL_SERVICE = Kind("networking.istio.io/v1", "VirtualService")
SERVICE_ENTRY = Kind("networking.istio.io/v1", "ServiceEntry")
VIEWS = {  # labels that name a node, at either end
    "version": ("{}_app", "{}_version"),
    "app": ("{}_app",),
    "workload": ("{}_workload",),
    "service": ("source_app", "destination_service_name"),
}
UNKNOWN = ("", "unknown", "latest")
CATCH_ALL = {"PassthroughCluster": "passthrough", "BlackHoleCluster": "black hole"}


def naming(by: str) -> dict[str, list[str]]:
    """The labels that name the nodes of a view, by the end of an edge."""
    return {end: [label.format(end) for label in VIEWS[by] if label.startswith(("{}", end))] for end in ("source", "destination")}


def entries(lab) -> list[str]:
    """The hosts of all ServiceEntries."""
    return [host for each in lab.client.list(SERVICE_ENTRY, "*") for host in each["spec"].get("hosts") or []]


def named(table: pd.DataFrame, ends: dict[str, list[str]], declared: list[str]) -> pd.DataFrame:
    """A table with columns ``source`` and ``destination``.

    What nobody answered goes to the Service that it was meant for; what goes to one of the hosts `declared` by ServiceEntries goes to that,
    and not to the endpoint behind it, which istiod calls by a name of its own making.
    """
    table = table.copy()
    for end, labels in ends.items():
        table[end] = ["-".join(value for value in values if value not in UNKNOWN) for values in table[labels].itertuples(index=False)]
    if len(table):
        table["source"] = table["source"].where(table["source"] != "", table["source_workload"])
        outside = table["destination_service"].map(lambda host: any(_is(host, name) for name in declared)).astype(bool)
        table["destination"] = table["destination"].where((table["destination"] != "") & ~outside, table["destination_service_name"])
    return table


def senders(calls: pd.DataFrame) -> dict[str, dict[str, str]]:
    """What the labels of the source are, by the principal of whoever has sent something: by his account, where it is several workloads'."""
    known = calls[(calls["requests"] > 0) & (calls["source_workload"] != "unknown") & (calls["source_principal"] != "unknown")]
    labels = [name for name in known.columns if name.startswith("source_") and name != "source_principal"]
    found = {}
    for principal, each in known.groupby("source_principal"):
        rows, account = each[labels].drop_duplicates().to_dict("records"), principal.rpartition("/")[2]
        found[principal] = rows[0] if len(rows) == 1 else {name: "unknown" if name.endswith("version") else account for name in labels}
    return found


def identified(came: pd.DataFrame, known: dict[str, dict[str, str]]) -> pd.DataFrame:
    """What came in, with the labels of its source where all that its proxy knew was a principal."""
    came = came.copy()
    for principal, labels in known.items():
        blank = (came["source_workload"] == "unknown") & (came["source_principal"] == principal)
        came.loc[blank, list(labels)] = list(labels.values())
    return came


def described(lab, hosts: pd.DataFrame, declared: list[str]) -> dict:
    """What the API server says of the nodes, as Kiali asks it too.

    Parameters
    ----------
    hosts : pandas.DataFrame
        Columns ``destination`` and ``destination_service``: nodes, and the hosts that were asked for there.
    declared : list of str
        The hosts of `entries`.

    Returns
    -------
    dict
        ``routed``, a list of nodes that a VirtualService names; ``outside``, by node, ``service entry``, ``passthrough`` or ``black hole``.
    """
    routes = [(name, each["metadata"]["namespace"]) for each in lab.client.list(VIRTUAL_SERVICE, "*") for name in _names(each["spec"])]
    routed, outside = set(), {}
    for node, host in hosts[["destination", "destination_service"]].drop_duplicates().itertuples(index=False):
        if any(_is(host, *each) for each in routes):
            routed.add(node)
        if any(_is(host, name) for name in declared):
            outside[node] = "service entry"
    outside.update({node: kind for node, kind in CATCH_ALL.items() if node in set(hosts["destination"])})
    return {"routed": sorted(routed), "outside": outside}


def mirrored_to(lab, host: str) -> bool:
    """Whether a VirtualService has copies sent to a host."""
    for each in lab.client.list(VIRTUAL_SERVICE, "*"):
        for route in each["spec"].get("http") or []:
            copies = [*([route["mirror"]] if "mirror" in route else []), *(one["destination"] for one in route.get("mirrors") or [])]
            if any(_is(host, one["host"], each["metadata"]["namespace"]) for one in copies):
                return True
    return False


def _names(spec: dict) -> Iterator[str]:
    """The hosts that a VirtualService is for, and those that it sends to."""
    yield from (host for host in spec.get("hosts") or [] if host != "*")
    for kind in ("http", "tcp", "tls"):
        for route in spec.get(kind) or []:
            yield from (each["destination"]["host"] for each in route.get("route") or [])


def _is(host: str, name: str, namespace: str = "") -> bool:
    """Whether a name of a configuration means this host: short in its own namespace, whole, or with a star before."""
    if name.startswith("*"):
        return host.endswith(name[1:])
    return host == name or bool(namespace) and "." not in name and host.startswith(f"{name}.{namespace}.svc.")
