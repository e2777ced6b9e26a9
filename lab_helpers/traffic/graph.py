"""The mesh graph: who called whom, how often, how well, how fast and how safely, from the metrics that Kiali draws too.

Of HTTP, and gRPC over it, proxies count requests; of TCP they know no requests, and count connections.
"""

from __future__ import annotations

import re

import pandas as pd

from lab_helpers.core.errors import QueryError
from lab_helpers.core.wait import wait_until
from lab_helpers.traffic import prometheus
from lab_helpers.traffic.prometheus import Window

COLUMNS = ["source", "destination", "requests", "rate", "errors", "p95_ms", "mtls"]
VIEWS = {  # labels that name a node, at either end
    "version": ("{}_app", "{}_version"),
    "app": ("{}_app",),
    "workload": ("{}_workload",),
    "service": ("source_app", "destination_service_name"),
}
UNKNOWN = ("", "unknown", "latest")
# A source's proxy tells of every call; of a caller without one, only the destination's does.
TOLD = (
    'reporter="source",source_workload!="unknown",source_workload_namespace="{0}"',
    'reporter="source",source_workload!="unknown",source_workload_namespace!="{0}",destination_service_namespace="{0}"',
    'reporter="destination",source_workload="unknown",source_principal="unknown",destination_workload_namespace="{0}"',
)
CONNECTIONS = "istio_tcp_connections_opened_total"
DURATION, TIMED = "istio_request_duration_milliseconds", 30.0
STANDARD = (  # labels that every request has, if only as "unknown"
    r"(source|destination)_(app|version|workload|workload_namespace|principal|cluster|canonical_(service|revision)|service(_name|_namespace)?)"
    r"|reporter|request_protocol|response_code|response_flags|grpc_response_status|connection_security_policy"
)
FAILED = r"5\d\d|0"  # what Kiali counts as an error of HTTP by default, client errors apart
CUT_OFF = r"(.+,)?(UF|UH|UO|URX|NR|NC)(,.+)?"  # Envoy's flags of a connection that reached nobody


def requests(lab, window: Window | str, *labels: str, reporter: str = "source") -> pd.DataFrame:
    """Count the requests of a window by labels of ``istio_requests_total``, to the last one.

    Other than by `increase` of PromQL, which is an estimate; see `added`.

    Parameters
    ----------
    window : Window or str
        From ``lab.window()``; or the last so and so much, such as ``"1m"``.
    *labels : str
        Of Istio's, such as ``destination_version``, ``response_code``.
    reporter : {"source", "destination"}
        Whose proxy has counted.

    Returns
    -------
    pandas.DataFrame
        A column for each label, and ``requests`` (int); of requests that come from or go to the namespace.

    Raises
    ------
    QueryError
        No request has such a label, there is no such reporter, or Prometheus is not there.
    """
    do = (
        "Take one of Istio's, such as source_workload, destination_version, response_code: lab.promql('istio_requests_total') has them all."
    )
    for label in labels:
        if not isinstance(label, str) or label in ("requests", "time", "value"):
            raise QueryError(f"{label!r} is no label that requests are counted by.", do)
    if reporter not in ("source", "destination"):
        raise QueryError(f"No proxy reports as {reporter!r}.", "reporter is source or destination.")
    either = [f'reporter="{reporter}",{end}_namespace="{lab.namespace}"' for end in ("source_workload", "destination_service")]
    table = counted(lab, window, [either[0], either[1] + f',source_workload_namespace!="{lab.namespace}"'], labels)
    table = table[table["requests"] > 0].reset_index(drop=True)
    for label in labels:
        if len(table) and (table[label] == "unknown").all() and not re.fullmatch(STANDARD, label):
            raise QueryError(f"No request has a label {label!r}.", do)
    return table


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
        - errors: share that failed (5xx, or no answer), 0 to 1
        - p95_ms: 95th percentile of their duration, in ms, as the histogram's buckets let it be told
        - mtls: share of them that came in under mutual TLS, 0 to 1; NaN where no proxy stands at the destination

        Where TCP was spoken as well, two columns more, and a row for each protocol of an edge:

        - protocol: ``http`` or ``tcp``
        - connections: number of them over TCP. ``rate``, ``errors`` (share that reached nobody) and ``mtls`` of such a row are
          theirs; it has no ``requests`` and no ``p95_ms``

        ``.attrs`` holds ``by`` and ``seconds``.

    Raises
    ------
    QueryError
        No such view, or Prometheus is not there.
    """
    if by not in tuple(VIEWS):
        raise QueryError(f"There is no graph by {by!r}.", f"Choose one of: {', '.join(VIEWS)}.")
    window = _window(lab, window)
    ends = {end: [label.format(end) for label in _labels(by, end)] for end in ("source", "destination")}
    # A request that no pod answered has no destination workload: the Service it was meant for stands in.
    names = [*ends["source"], *ends["destination"], "source_workload", "destination_service_name"]
    told = [each.format(lab.namespace) for each in TOLD]
    table, tcp = _requests(lab, window, told, names, ends), _connections(lab, window, told, names, ends)
    columns, order = COLUMNS, ["requests", "source", "destination"]
    if len(tcp):
        columns, order = [*COLUMNS, "protocol", "connections"], ["requests", "connections", "source", "destination"]
        rows = [*table.assign(protocol="http", connections=0).to_dict("records"), *tcp.to_dict("records")]
        table = pd.DataFrame(rows, columns=columns)
    ascending = [name in ("source", "destination") for name in order]
    table = table[columns].sort_values(order, ascending=ascending, ignore_index=True)
    table.attrs = {"by": by, "seconds": window.seconds}
    return table


def _requests(lab, window: Window, told: list[str], names: list[str], ends: dict) -> pd.DataFrame:
    """The edges of HTTP."""
    table = _edges(counted(lab, window, told, [*names, "response_code"]), ends)
    table["failed"] = table["requests"].where(table["response_code"].str.fullmatch(FAILED), 0)
    table = table.groupby(["source", "destination"], as_index=False)[["requests", "failed"]].sum()
    table = table[table["requests"] > 0]
    if table.empty:
        return pd.DataFrame(columns=COLUMNS)
    table["rate"] = table["requests"] / window.seconds
    table["errors"] = table.pop("failed") / table["requests"]
    table = table.merge(_p95(lab, window, told, names, ends), "left", ["source", "destination"])
    return table.merge(_mtls(lab, window, ends), "left", ["source", "destination"])


def _connections(lab, window: Window, told: list[str], names: list[str], ends: dict) -> pd.DataFrame:
    """The edges of TCP."""
    table = _edges(counted(lab, window, told, [*names, "source_principal", "response_flags"], CONNECTIONS), ends)
    cut_off = table["response_flags"].str.fullmatch(CUT_OFF).astype(bool)
    # Of a caller the proxy at the destination may know no more than his certificate: TCP has no headers to tell it.
    there = [f'reporter="destination",destination_workload_namespace="{lab.namespace}"']
    came = _edges(counted(lab, window, there, [*names, "source_principal", "connection_security_policy"], CONNECTIONS), ends)
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
    table = table.groupby(["source", "destination"], as_index=False)[["connections", "failed", "known", "safe"]].sum()
    table = table[table["connections"] > 0]
    return table.assign(
        protocol="tcp",
        requests=0,
        rate=table["connections"] / window.seconds,
        errors=table["failed"] / table["connections"],
        p95_ms=float("nan"),
        mtls=table["safe"] / table["known"],
    )


def counted(lab, window: Window | str, told: list[str], labels, metric: str = "istio_requests_total") -> pd.DataFrame:
    """What was added to a counter in a window, summed by labels; also nothing, where it was there already."""
    window, labels = _window(lab, window), list(dict.fromkeys(labels))
    length = round(1000 * (window.known - window.start))
    before = [prometheus.promql(lab, f"{metric}{{{each}}}", at=window.start) for each in told]
    looks = [prometheus.promql(lab, f"{metric}{{{each}}}[{length}ms]", at=window.known) for each in told]
    table = added(pd.concat(before), pd.concat(looks))
    table = table.rename(columns=prometheus.beside(set(table.columns) - {"added"}, "requests") | {"added": "requests"})
    for label in labels:
        table[label] = table[label].fillna("unknown") if label in table else "unknown"
    total = table.groupby(labels, as_index=False)["requests"].sum() if labels else table[["requests"]].sum().to_frame().T
    return total.astype({"requests": int})


def added(before: pd.DataFrame, looks: pd.DataFrame) -> pd.DataFrame:
    """What was added to counters, look by look: also to one that is new, and to one that began anew.

    `increase` of PromQL is an estimate: it extrapolates to the ends of its range, and of a series that did not exist
    before it misses what the first look at it already found.

    Parameters
    ----------
    before : pandas.DataFrame
        Where each counter stood: a column for each label, ``time`` and ``value``. Who is missing stood at 0.
    looks : pandas.DataFrame
        The same, for each later look at each counter.

    Returns
    -------
    pandas.DataFrame
        One row a counter: its labels, and ``added``; a label of that name is ``exported_added``.
    """
    before, looks = (each.rename(columns=prometheus.beside(each.columns, "added")) for each in (before, looks))
    every = pd.concat([before.assign(added=0.0), looks.assign(added=float("nan"))], ignore_index=True).sort_values("time", kind="stable")
    labels = [name for name in every.columns if name not in ("time", "value", "added")]
    every[labels] = every[labels].astype(object).where(every[labels].notna(), "")
    since = every["value"] - every.groupby(labels)["value"].shift(fill_value=0.0)
    since = since.where(since >= 0, every["value"])  # less than before: its proxy, or the listener that it belonged to, is new
    return every.assign(added=every["added"].fillna(since)).groupby(labels, as_index=False)["added"].sum()


def _window(lab, window: Window | str) -> Window:
    if isinstance(window, Window):
        window.require_end()
        return window
    now = prometheus.clock(lab)
    return Window(now - prometheus.duration(window), now, now)


def _labels(by: str, end: str) -> list[str]:
    return [label for label in VIEWS[by] if label.startswith(("{}", end))]


def _edges(table: pd.DataFrame, ends: dict[str, list[str]]) -> pd.DataFrame:
    named = table.copy()
    for end, labels in ends.items():
        named[end] = ["-".join(value for value in values if value not in UNKNOWN) for values in table[labels].itertuples(index=False)]
    if len(named):
        named["source"] = named["source"].where(named["source"] != "", named["source_workload"])
        named["destination"] = named["destination"].where(named["destination"] != "", named["destination_service_name"])
    return named


def _quantile(upto: pd.Series, share: float) -> float:
    """A quantile out of cumulative buckets, as ``histogram_quantile`` of PromQL has it: straight lines within a bucket."""
    wanted = share * upto.iloc[-1]
    place = int((upto >= wanted).argmax())
    if not wanted or place == len(upto) - 1:  # beyond the last bound nothing is known
        return float(upto.index[-2]) if wanted and len(upto) > 1 else float("nan")
    low, before = (upto.index[place - 1], upto.iloc[place - 1]) if place else (0.0, 0.0)
    return float(low + (upto.index[place] - low) * (wanted - before) / (upto.iloc[place] - before))


def timed(lab, window: Window) -> Window:
    """The window, known a little later: a proxy shows what it has timed only every 5 s, and what it has counted at once."""
    ours = f'source_workload_namespace="{lab.namespace}"'
    told = [ours, f'source_workload_namespace!="{lab.namespace}",destination_workload_namespace="{lab.namespace}"']
    wanted = counted(lab, window, told, [])["requests"].sum()

    def later() -> Window | None:
        now = Window(window.start, window.end, prometheus.clock(lab))
        return now if counted(lab, now, told, [], f"{DURATION}_count")["requests"].sum() >= wanted else None

    return wait_until(later, "Prometheus to learn how long requests took", TIMED, every=0.2, do="See the targets of Prometheus.")


def _p95(lab, window: Window, told: list[str], names: list[str], ends: dict) -> pd.DataFrame:
    buckets = _edges(counted(lab, timed(lab, window), told, [*names, "le"], f"{DURATION}_bucket"), ends)
    rows = []
    for (source, destination), each in buckets.groupby(["source", "destination"]):
        upto = each.assign(le=each["le"].astype(float)).groupby("le")["requests"].sum()
        rows.append((source, destination, _quantile(upto, 0.95)))
    return pd.DataFrame(rows, columns=["source", "destination", "p95_ms"])


def _mtls(lab, window: Window, ends: dict) -> pd.DataFrame:
    """Share of each edge's requests that came in under mutual TLS: only the proxy at the destination knows."""
    names = [*ends["source"], *ends["destination"], "source_workload", "destination_service_name"]
    told = [f'reporter="destination",destination_workload_namespace="{lab.namespace}"']
    table = _edges(counted(lab, window, told, [*names, "connection_security_policy"]), ends)
    table["safe"] = table["requests"].where(table["connection_security_policy"] == "mutual_tls", 0)
    table = table.groupby(["source", "destination"], as_index=False)[["requests", "safe"]].sum()
    table = table[table["requests"] > 0]
    return table.assign(mtls=table["safe"] / table["requests"])[["source", "destination", "mtls"]]
