"""Questions to Prometheus, in its own language, and windows of time of which it knows everything."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import pandas as pd
import yaml

from lab_helpers.core.errors import QueryError
from lab_helpers.core.wait import wait_until_none
from lab_helpers.istio import proxies
from lab_helpers.kube import pods
from lab_helpers.kube.kinds import POD
from lab_helpers.traffic import addons

UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31536000}
POINTS = 100  # of a range, where no step is asked for
# A new pod is known to Prometheus only after its next look for targets, which it takes every 5 s at most.
SCRAPED = 90.0
# A proxy counts a request when it is done with it: a moment after its answer has left, on a busy machine a long one.
DONE = 0.5

Moment = float | datetime | pd.Timestamp


@dataclass
class Window:
    """A stretch of time in which traffic was sent, and of which Prometheus knows every request.

    Attributes
    ----------
    start, end : float
        Of the traffic: seconds since 1970 by Prometheus's own clock.
    known : float
        When it had asked every proxy again after `end`, so that its counters hold all that was sent.
    """

    start: float
    end: float | None = None
    known: float | None = None

    @property
    def seconds(self) -> float:
        """How long the traffic took."""
        self.require_end()
        return self.end - self.start

    def require_end(self) -> None:
        """Raise a `QueryError` if the window has not ended."""
        if self.known is None:
            raise QueryError("The window has not ended yet.", "Look at it after its `with` block, not within.")

    def __str__(self) -> str:
        return f"{pd.Timestamp(self.start, unit='s'):%H:%M:%S} UTC, {self.seconds:.1f} s"


def promql(
    lab,
    query: str,
    at: Moment | None = None,
    start: Moment | None = None,
    end: Moment | None = None,
    last: str | None = None,
    step: str | None = None,
) -> pd.DataFrame:
    """Ask Prometheus.

    Parameters
    ----------
    query : str
        PromQL.
    at : float, datetime or Timestamp, optional
        The instant of which to tell; without it, now.
    start, end : float, datetime or Timestamp, optional
        Ask for a range; `end` is now if left out.
    last : str, optional
        A range that ends now (or at `end`), such as ``"5m"``.
    step : str, optional
        Between two points of a range, such as ``"15s"``; without it, a hundredth of the range.

    Returns
    -------
    pandas.DataFrame
        One row a series (instant) or a point of one (range): a column for each label, ``time`` (UTC) and ``value``.
        Without rows, where an instant has no such series. A label that is called ``time`` or ``value`` is in the column
        ``exported_time`` or ``exported_value``: so Prometheus, too, names one whose name is taken.

    Raises
    ------
    QueryError
        The query is not PromQL (says where), cannot be computed, is of a range that holds no data; a moment is none, or
        the answer no numbers; or Prometheus is not there or does not run.
    """
    if not isinstance(query, str):
        raise QueryError(f"The query is {query!r}, which is no text.", "Put PromQL in quotes, such as lab.promql('up').")
    instant = start is None and last is None
    if (end if instant else at) is not None:
        raise QueryError("An instant and a range were asked for at once.", "Give at; or start and end; or last.")
    if instant:
        result = _ask(lab, "/api/v1/query", {"query": query, **({} if at is None else {"time": _seconds(at)})}, query)
        return _table(result)
    until = clock(lab) if end is None else _seconds(end)
    since = _seconds(start) if start is not None else until - duration(last)
    if since >= until:
        raise QueryError(f"The range begins at {_clock(since)}, which is not before its end, {_clock(until)}.", "Exchange start and end.")
    every = duration(step) if step else max((until - since) / POINTS, 1)
    result = _ask(lab, "/api/v1/query_range", {"query": query, "start": since, "end": until, "step": every}, query)
    table = _table(result)
    if table.empty:
        raise QueryError(
            f"Prometheus has no data from {_clock(since)} to {_clock(until)} UTC for {query}",
            "Was there traffic then? Look at another time, or whether the metric and labels are spelt so: lab.promql(query).",
        )
    return table


@contextmanager
def window(lab) -> Iterator[Window]:
    """Send traffic within this: it begins and ends when Prometheus has asked every proxy, so that nothing is cut off.

    Raises
    ------
    QueryError
        Prometheus is not there.
    MeshError
        A proxy was not asked in time; names it.
    """
    scraped(lab, clock(lab) + DONE)
    found = Window(clock(lab))
    yield found
    found.end = clock(lab)
    scraped(lab, found.end + DONE)
    found.known = clock(lab)


def scraped(lab, moment: float, deadline: float = SCRAPED) -> None:
    """Wait until Prometheus has asked every proxy of the namespace, and the ingress gateway's, after `moment`."""
    gateways = [pod for pod in lab.client.list(POD, "*", {"istio": "ingressgateway"}) if pods.ready(pod)]
    wanted = {name.rpartition(".")[0] for name in proxies.meshed(lab, lab.namespace)} | {pod["metadata"]["name"] for pod in gateways}
    # After a restart of its node a pod has another address, and when it was asked at the old one is known for minutes still.
    address = {pod["metadata"]["name"]: pod["status"].get("podIP") for pod in (*lab.client.list(POD), *gateways)}

    def late() -> list[str]:
        seen = promql(lab, "timestamp(up{pod!=''}) and up == 1")  # a look that failed has a time as well
        here = seen[seen["instance"].str.rpartition(":")[0].str.strip("[]") == seen["pod"].map(address)] if len(seen) else seen
        last = here.groupby("pod")["value"].min() if len(here) else {}
        return [f"{pod} was not asked" for pod in sorted(wanted) if last.get(pod, 0) < moment]

    wait_until_none(late, "Prometheus to ask the proxies", "See lab.promql('up') and the targets page of Prometheus.", deadline, every=0.1)


def clock(lab) -> float:
    """What time it is for Prometheus, in seconds since 1970."""
    return float(_ask(lab, "/api/v1/query", {"query": "time()"}, "time()")["result"][0])


def scrape_intervals(lab) -> tuple[float, float]:
    """Seconds between two looks at a target: of the job that looks most often, and of those jobs that do not say."""
    config = yaml.safe_load(_ask(lab, "/api/v1/status/config", {}, "")["yaml"])
    common = config.get("global", {}).get("scrape_interval", "1m")
    every = [duration(job.get("scrape_interval", common)) for job in config.get("scrape_configs") or [{}]]
    return min(every), duration(common)


def duration(text: str) -> float:
    """Seconds in a duration as Prometheus writes it: ``90s``, ``5m``, ``1h30m``.

    Raises
    ------
    QueryError
        It is not one, or is 0.
    """
    if not isinstance(text, str) or not re.fullmatch(r"(\d+(ms|[smhdwy]))+", text):
        raise QueryError(f"{text!r} is not a duration.", "Write it as Prometheus does: 30s, 5m, 1h30m.")
    seconds = sum(int(number) * UNITS[unit] for number, unit in re.findall(r"(\d+)(ms|[smhdwy])", text))
    if not seconds:
        raise QueryError(f"{text!r} is no time at all.", "Give some, such as 30s.")
    return seconds


def _ask(lab, path: str, params: dict, query: str):
    answer = addons.ask(lab, "prometheus", path, params)
    try:
        told = answer.json()
        if told["status"] == "success":
            return told["data"]
    except (ValueError, KeyError, TypeError):
        raise QueryError(f"Prometheus answered {answer.status}: {answer.text.strip()[:200]}", "See its log.") from None
    raise _refused(told.get("error", ""), told.get("errorType", ""), query)


def _refused(error: str, kind: str, query: str) -> QueryError:
    found = re.search(r"(\d+):(\d+): parse error: (.*)", error, re.DOTALL)
    if found:
        line, column, why = int(found[1]), int(found[2]), found[3]
        shown = query.split("\n")[line - 1]
        before = shown.encode()[: column - 1].decode(errors="ignore")  # Prometheus counts bytes
        return QueryError(
            f"This is not PromQL, at line {line}, column {len(before) + 1}: {why}\n  {shown}\n  {' ' * len(before)}^", "Correct it there."
        )
    if kind == "bad_data":
        return QueryError(f"Prometheus does not take the question: {error}", "Correct what it names.")
    return QueryError(f"Prometheus could not compute it: {error}", "Ask for less, or correct how the two sides of an operator match.")


def _table(data: dict) -> pd.DataFrame:
    kind, result = data["resultType"], data["result"]
    if kind in ("vector", "matrix") and any({"histogram", "histograms"} & each.keys() for each in result):
        raise QueryError(
            "The answer holds native histograms, of which none is one number.",
            "Ask for one, such as histogram_quantile(0.95, …) or histogram_count(…).",
        )
    if kind in ("scalar", "string"):
        series = [({}, [result])]
    elif kind == "vector":
        series = [(each["metric"], [each["value"]]) for each in result]
    else:
        series = [(each["metric"], each["values"]) for each in result]
    names = beside({name for labels, _ in series for name in labels}, "time", "value")
    rows = [
        {**{names[name]: text for name, text in labels.items()}, "time": time, "value": value}
        for labels, points in series
        for time, value in points
    ]
    table = pd.DataFrame(rows, columns=[*sorted(names.values()), "time", "value"])
    table["time"] = pd.to_datetime(table["time"].astype(float), unit="s", utc=True).dt.round("ms")
    if kind != "string":
        table["value"] = table["value"].astype(float)  # NaN and +Inf come as text too
    return table


def beside(labels: Iterable[str], *own: str) -> dict[str, str]:
    """A column for each label, none of them one of our `own`: label → column, with Prometheus's prefix where a name is taken."""
    found: dict[str, str] = {}
    for label in sorted(labels):
        name = label
        while name in own or (name != label and name in labels):
            name = f"exported_{name}"
        found[label] = name
    return found


def _seconds(moment: Moment) -> float:
    try:
        if isinstance(moment, int | float) and not isinstance(moment, bool):
            pd.Timestamp(moment, unit="s").timestamp()  # no moment at all, or one that pandas has no room for
            return float(moment)
        stamp = pd.Timestamp(moment)
        return (stamp.tz_localize("UTC") if stamp.tzinfo is None else stamp).timestamp()
    except (ValueError, TypeError, OverflowError):
        raise QueryError(
            f"{moment!r} is not a moment.", "Give seconds since 1970, a datetime or a Timestamp: window.start and window.known are such."
        ) from None


def _clock(seconds: float) -> str:
    return f"{pd.Timestamp(seconds, unit='s'):%Y-%m-%d %H:%M:%S}"
