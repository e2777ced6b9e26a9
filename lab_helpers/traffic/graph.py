"""The mesh graph: who called whom, how often, how well, how fast and how safely, from the metrics that Kiali draws too.

Of HTTP, and gRPC over it, proxies count requests; of TCP they know no requests, and count connections.
"""

from __future__ import annotations

from functools import partial

import pandas as pd

from lab_helpers.core.errors import QueryError
from lab_helpers.traffic import nodes
from lab_helpers.traffic.counted import counted, requests, window_of
from lab_helpers.traffic.latency import DURATION, quantile, timed
from lab_helpers.traffic.prometheus import Window

__all__ = ["graph", "requests", "timed"]

COLUMNS = ["source", "destination", "requests", "rate", "errors", "denied", "p95_ms", "mtls"]
# A source's proxy tells of every call; of a caller without one, only the destination's does.
TOLD = (
    'reporter="source",source_workload!="unknown",source_workload_namespace="{0}"',
    'reporter="source",source_workload!="unknown",source_workload_namespace!="{0}",destination_service_namespace="{0}"',
    'reporter="destination",source_workload="unknown",source_principal="unknown",destination_workload_namespace="{0}"',
)
# Nobody waits for the answer to a copy that a mirror sends, and so its sender does not tell of it.
RECEIVED = ('reporter="destination",destination_workload_namespace="{0}"',)
PAIR = ["source_principal", "destination_workload", "destination_workload_namespace"]
HOST = ["destination_service", "destination_service_name"]
OUTCOME = ["response_code", "grpc_response_status"]
CONNECTIONS = "istio_tcp_connections_opened_total"
# What Kiali counts as an error by default; but who was denied has met a rule, and is told of apart.
FAILED, DENIED = r"(5\d\d|0);.*|\d+;([1-689]|1[0-5])", r"(401|403);.*|\d+;(7|16)"
CUT_OFF = r"(.+,)?(UF|UH|UO|URX|NR|NC)(,.+)?"  # Envoy's flags of a connection that reached nobody
EDGE = ["source", "destination"]


def graph(lab, window: Window | str = "1m", by: str = "version") -> pd.DataFrame:
    """Who called whom in a window of time.

    Parameters
    ----------
    window : Window or str
        From ``lab.window()``: counted to the last request. Or the last so and so much, such as ``"1m"``, as Kiali does.
    by : {"version", "app", "workload", "service"}
        What a node is: Kiali's versioned app graph, app graph, workload graph and service graph.

    Returns
    -------
    pandas.DataFrame
        One row an edge that was used, busiest first:

        - source, destination: names of the nodes; ``unknown`` is a caller without a proxy
        - requests: number of them
        - rate: of them, in 1/s
        - errors: share that failed (5xx, no answer, a status of gRPC that says so), 0 to 1
        - denied: share that was denied (401, 403, and what gRPC has for these), 0 to 1
        - p95_ms: 95th percentile of their duration, in ms, as the histogram's buckets let it be told
        - mtls: share of them that came in under mutual TLS, 0 to 1; NaN where no proxy stands at the destination

        Where TCP was spoken as well, two columns more, and a row for each protocol of an edge:

        - protocol: ``http`` or ``tcp``
        - connections: number of them over TCP. ``rate``, ``errors`` (share that reached nobody) and ``mtls`` of such a row are
          theirs; it has no ``requests`` and no ``p95_ms``, and whether one was denied a proxy does not count

        Where copies came in that a mirror had sent, one column more, and a row of their own:

        - mirrored: whether they are such copies. Only the destination's proxy tells of them, so that between two workloads that
          speak to each other besides they are not told apart. Where all that is known of the sender is a certificate that several
          workloads have, the service account stands for it

        ``.attrs`` holds ``by`` and ``seconds``, and what the nodes are now: ``routed``, those that a VirtualService names, and
        ``outside``, by name, which are a ``service entry``, a ``passthrough`` or a ``black hole``.

    Raises
    ------
    QueryError
        No such view, or Prometheus is not there.
    """
    if by not in tuple(nodes.VIEWS):
        raise QueryError(f"There is no graph by {by!r}.", f"Choose one of: {', '.join(nodes.VIEWS)}.")
    window, ends, declared = window_of(lab, window), nodes.naming(by), nodes.entries(lab)
    named = partial(nodes.named, ends=ends, declared=declared)
    names = [*ends["source"], *ends["destination"], "source_workload", *PAIR, *HOST]
    told, there = ([each.format(lab.namespace) for each in selectors] for selectors in (TOLD, RECEIVED))
    calls = counted(lab, window, told, [*names, *OUTCOME])
    senders = nodes.senders(calls)
    calls = named(calls)
    came = named(nodes.identified(counted(lab, window, there, [*names, *OUTCOME, "connection_security_policy"]), senders))
    copies = _copies(lab, calls, came)
    dialled = named(counted(lab, window, told, [*names, "response_flags"], CONNECTIONS))

    def edges(selectors: list[str], those: pd.DataFrame) -> pd.DataFrame:
        found = _requests(those, window.seconds)
        if len(found):
            buckets = counted(lab, timed(lab, window), selectors, [*names, "le"], f"{DURATION}_bucket")
            found = found.merge(_p95(named(nodes.identified(buckets, senders))), "left", EDGE).merge(_mtls(came), "left", EDGE)
        return found

    accepted = named(counted(lab, window, there, [*names, "connection_security_policy"], CONNECTIONS))
    table, mirrored, tcp = edges(told, calls), edges(there, copies), _connections(dialled, accepted, window.seconds)
    columns, order = [*COLUMNS], ["requests", *EDGE]
    if len(tcp):
        columns, order = [*columns, "protocol", "connections"], ["requests", "connections", *EDGE]
    if len(mirrored):
        columns.append("mirrored")
    rows = [
        {"protocol": "http", "connections": 0, "mirrored": False, **row, **kind}
        for each, kind in ((table, {}), (mirrored, {"mirrored": True}), (tcp, {}))
        for row in each.to_dict("records")
    ]
    table = pd.DataFrame(rows, columns=columns).sort_values(order, ascending=[name in EDGE for name in order], ignore_index=True)
    hosts = pd.concat([each[["destination", "destination_service"]] for each in (calls, copies, dialled)])
    hosts = hosts[hosts["destination"].isin(table["destination"])]
    table.attrs = {"by": by, "seconds": window.seconds, **nodes.described(lab, hosts, declared)}
    return table


def _requests(calls: pd.DataFrame, seconds: float) -> pd.DataFrame:
    """The edges of HTTP."""
    outcome = calls["response_code"].astype(str) + ";" + calls["grpc_response_status"].astype(str)
    for column, pattern in (("errors", FAILED), ("denied", DENIED)):
        calls = calls.assign(**{column: calls["requests"].where(outcome.str.fullmatch(pattern).astype(bool), 0)})
    table = calls.groupby(EDGE, as_index=False)[["requests", "errors", "denied"]].sum()
    table = table[table["requests"] > 0]
    shares = {column: table[column] / table["requests"] for column in ("errors", "denied")}
    return table.assign(rate=table["requests"] / seconds, **shares)


def _copies(lab, calls: pd.DataFrame, came: pd.DataFrame) -> pd.DataFrame:
    """What came in from somebody who tells of other calls, and not of this one: copies, or attempts that failed and were tried again."""
    sent, came = calls[calls["requests"] > 0], came[(came["requests"] > 0) & (came["source_principal"] != "unknown")]
    told = set(sent[PAIR].itertuples(index=False, name=None))
    apart = pd.Series([pair not in told for pair in came[PAIR].itertuples(index=False, name=None)], came.index, dtype=bool)
    alone = came[apart & came["source_principal"].isin(sent["source_principal"])]
    kept = [
        each
        for _, each in alone.groupby(PAIR)
        if not (each["response_code"] + ";").str.fullmatch(FAILED).all() or nodes.mirrored_to(lab, each["destination_service"].iloc[0])
    ]
    return pd.concat(kept) if kept else came.iloc[:0]


def _connections(table: pd.DataFrame, came: pd.DataFrame, seconds: float) -> pd.DataFrame:
    """The edges of TCP."""
    cut_off = table["response_flags"].str.fullmatch(CUT_OFF).astype(bool)
    # Of a caller the proxy at the destination may know no more than his certificate: TCP has no headers to tell it.
    came["safe"] = came["requests"].where(came["connection_security_policy"] == "mutual_tls", 0)
    came = came.groupby(["source_principal", "destination"], as_index=False)[["requests", "safe"]].sum()
    came = came[came["requests"] > 0].assign(share=lambda each: each["safe"] / each["requests"])
    share = table.merge(came, "left", ["source_principal", "destination"])["share"].where(~cut_off)
    table = table.assign(
        connections=table["requests"],
        failed=table["requests"].where(cut_off, 0),
        known=table["requests"].where(share.notna(), 0),
        safe=table["requests"] * share.fillna(0),
    )
    table = table.groupby(EDGE, as_index=False)[["connections", "failed", "known", "safe"]].sum()
    table = table[table["connections"] > 0]
    return table.assign(
        protocol="tcp",
        requests=0,
        rate=table["connections"] / seconds,
        errors=table["failed"] / table["connections"],
        denied=0.0,
        p95_ms=float("nan"),
        mtls=table["safe"] / table["known"],
    )


def _p95(buckets: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for (source, destination), each in buckets.groupby(EDGE):
        upto = each.assign(le=each["le"].astype(float)).groupby("le")["requests"].sum()
        rows.append((source, destination, quantile(upto, 0.95)))
    return pd.DataFrame(rows, columns=[*EDGE, "p95_ms"])


def _mtls(came: pd.DataFrame) -> pd.DataFrame:
    """Share of each edge's requests that came in under mutual TLS: only the proxy at the destination knows."""
    came = came.assign(safe=came["requests"].where(came["connection_security_policy"] == "mutual_tls", 0))
    table = came.groupby(EDGE, as_index=False)[["requests", "safe"]].sum()
    table = table[table["requests"] > 0]
    return table.assign(mtls=table["safe"] / table["requests"])[[*EDGE, "mtls"]]
