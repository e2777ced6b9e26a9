"""What was counted in a window of time: to the last request, also by a counter that is new or began anew."""

from __future__ import annotations

import re

import pandas as pd

from lab_helpers.core.errors import QueryError
from lab_helpers.traffic import prometheus
from lab_helpers.traffic.prometheus import Window

STANDARD = (  # labels that every request has, if only as "unknown"
    r"(source|destination)_(app|version|workload|workload_namespace|principal|cluster|canonical_(service|revision)|service(_name|_namespace)?)"
    r"|reporter|request_protocol|response_code|response_flags|grpc_response_status|connection_security_policy"
)

FAILED = "1m"  # for so long looks at a proxy may have failed


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


def counted(lab, window: Window | str, told: list[str], labels, metric: str = "istio_requests_total") -> pd.DataFrame:
    """What was added to a counter in a window, summed by labels; also nothing, where it was there already."""
    window, labels = window_of(lab, window), list(dict.fromkeys(labels))
    length = round(1000 * (window.known - window.start))
    before = [prometheus.promql(lab, _standing(f"{metric}{{{each}}}"), at=window.start) for each in told]
    looks = [prometheus.promql(lab, f"{metric}{{{each}}}[{length}ms]", at=window.known) for each in told]
    table = added(pd.concat(before), pd.concat(looks))
    table = table.rename(columns=prometheus.beside(set(table.columns) - {"added"}, "requests") | {"added": "requests"})
    for label in labels:
        table[label] = table[label].fillna("unknown") if label in table else "unknown"
    total = table.groupby(labels, as_index=False)["requests"].sum() if labels else table[["requests"]].sum().to_frame().T
    return total.astype({"requests": int})


def _standing(series: str) -> str:
    """The query for where counters stand. A look that fails ends all series of its target; what it found before still holds.

    On a busy machine looks do fail, and one under way at the moment that is asked for counts as well: Prometheus dates it by its begin.
    """
    return f"{series} or last_over_time({series}[{FAILED}]) and on (instance, job) up == 0"


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


def window_of(lab, window: Window | str) -> Window:
    """A window as it is; of one given by its length, the last so and so much."""
    if isinstance(window, Window):
        window.require_end()
        return window
    now = prometheus.clock(lab)
    return Window(now - prometheus.duration(window), now, now)
