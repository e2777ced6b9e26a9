"""Grafana's dashboards without Grafana: Istio's own JSON out of the cluster, its variables and queries answered by Prometheus."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pandas as pd
from lightkube.resources.core_v1 import ConfigMap

from lab_helpers.core.errors import QueryError
from lab_helpers.traffic import graph, prometheus
from lab_helpers.traffic.prometheus import Window
from lab_helpers.chapters.c08_metrics.variables import EVERYTHING, Variables

QUIET = 10.0  # seconds before the traffic, so that a line has somewhere to rise from
POINTS = 60  # of a line: as many as a small panel can show
DRAWN = ("timeseries", "stat", "table", "heatmap", "text")
REDUCED = {"mean": "mean", "max": "max", "min": "min", "sum": "sum", "first": "first", "firstNotNull": "first"}


@dataclass
class Panel:
    """One panel with its data.

    Attributes
    ----------
    title, kind : str
        ``kind`` is Grafana's word: ``timeseries``, ``stat``, ``table``, ``heatmap``, ``text``, ``row``.
    unit : str
        Grafana's word: ``reqps``, ``percentunit``, ``s``, ``bytes`` …
    place : tuple of int
        x, y, width, height in Grafana's grid of 24 columns.
    queries : list of (str, str)
        PromQL with every variable filled in, and the legend's format.
    data : pandas.DataFrame
        ``timeseries``, ``heatmap``: time, value, series. ``stat``: the same, one row. ``table``: as the panel shows it.
    units : dict of str to str
        Of a table's columns.
    text : str
        Of a text panel.
    reason : str
        Why nothing is drawn; empty where something is.
    """

    title: str
    kind: str
    unit: str = ""
    place: tuple[int, int, int, int] = (0, 0, 24, 1)
    queries: list[tuple[str, str]] = field(default_factory=list)
    data: pd.DataFrame = field(default_factory=pd.DataFrame)
    units: dict[str, str] = field(default_factory=dict)
    text: str = ""
    reason: str = ""


@dataclass
class Dashboard:
    """A dashboard with its data.

    Attributes
    ----------
    title : str
    variables : dict of str to str or list of str
        As they were chosen.
    choices : dict of str to list of str
        What each could have been.
    panels : list of Panel
    start, end : float
        The range, in seconds since 1970.
    """

    title: str
    variables: dict
    choices: dict[str, list[str]]
    panels: list[Panel]
    start: float
    end: float

    @property
    def undrawn(self) -> pd.DataFrame:
        """Every panel that shows nothing, and why: columns panel, kind, reason."""
        rows = [(each.title, each.kind, each.reason) for each in self.panels if each.reason]
        return pd.DataFrame(rows, columns=["panel", "kind", "reason"])

    def __str__(self) -> str:
        shown = [each for each in self.panels if each.kind not in ("row", "text")]
        empty = sum(bool(each.reason) for each in shown)
        return f"{self.title}: {len(shown)} panels, {len(shown) - empty} with data"


def dashboards(lab) -> dict[str, dict]:
    """Every dashboard in the cluster by its short name: ``mesh``, ``service``, ``workload``, ``control plane``.

    Raises
    ------
    QueryError
        There is none.
    """
    maps = [each for each in lab.client.list(ConfigMap, namespace=lab.addons) if "dashboards" in each.metadata.name]
    found = [json.loads(text) for each in maps for name, text in (each.data or {}).items() if name.endswith(".json")]
    if not found:
        raise QueryError(
            f"Namespace {lab.addons} has no ConfigMap with dashboards, which Istio's Grafana add-on brings.",
            "meshlab addons grafana installs it.",
        )
    return {re.sub(r"^istio | dashboard$", "", each["title"].lower()): each for each in found}


def dashboard(lab, name: str, since: Window | str | None = None, **variables: str | list[str]) -> Dashboard:
    """One of Istio's dashboards, with its panels' data from Prometheus.

    Parameters
    ----------
    name : str
        Such as ``"mesh"``, ``"service"``, ``"workload"``, ``"control plane"``.
    since : Window or str, optional
        A window from ``lab.window()``, or the last so and so much; without it, as much as the dashboard asks for itself.
    **variables : str or list of str
        What a user would choose at the top of the page, such as ``service="reviews.default.svc.cluster.local"``. Each of
        the others is what the dashboard's author chose, if there is such a thing now, and else the first that there is.

    Raises
    ------
    QueryError
        No such dashboard, variable or choice (names those that there are); or Prometheus is not there.
    """
    known = dashboards(lab)
    if name.lower() not in known:
        raise QueryError(f"There is no dashboard {name!r}.", f"There are: {', '.join(sorted(known))}.")
    model = known[name.lower()]
    start, end = _range(lab, since, model)
    shortest, usual = prometheus.scrape_intervals(lab)
    step = max((end - start) / POINTS, shortest)
    builtin = {
        "__interval": f"{1000 * step:.0f}ms",
        "__range": f"{end - start:.0f}s",
        "__rate_interval": f"{1000 * max(step + usual, 4 * usual):.0f}ms",  # Grafana's own rule: room for four looks
    }
    filled = Variables(lab, model, variables, end, builtin)
    panels = [_panel(each, place, filled) for each, place in _placed(model)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda panel: _load(lab, *panel, start, end, step), panels))
    _explain(lab, [panel for panel, _ in panels], end)
    return Dashboard(model["title"], filled.chosen, filled.choices, [panel for panel, _ in panels], start, end)


def _range(lab, since: Window | str | None, model: dict) -> tuple[float, float]:
    if isinstance(since, Window):
        since.require_end()
        return since.start - QUIET, graph.timed(lab, since).known
    last = since or model.get("time", {}).get("from", "now-30m").removeprefix("now-")
    now = prometheus.clock(lab)
    return now - prometheus.duration(last), now


def _placed(model: dict) -> list[tuple[dict, tuple]]:
    """Panels with their places: each as far up as its columns are free, as Grafana does; a row starts below all before it."""
    flat = [panel for each in model["panels"] for panel in (each, *each.get("panels", []))]
    placed, filled = [], [0] * 24
    for each in sections(flat):
        grid = each["gridPos"]
        x, width, height = (0, 24, 1) if each["type"] == "row" else (grid.get("x", 0), grid["w"], _height(each))
        y = max(filled[x : x + width])
        filled[x : x + width] = [y + height] * width
        placed.append((each, (x, y, width, height)))
    return placed


def sections(flat: list[dict]) -> list[dict]:
    """In reading order between one row and the next, whatever order the file has."""
    section, ordered = 0, []
    for each in flat:
        section += each["type"] == "row"
        ordered.append((section, each["type"] != "row", each["gridPos"]["y"], each["gridPos"].get("x", 0), each))
    return [each[-1] for each in sorted(ordered, key=lambda item: item[:4])]


def _height(panel: dict) -> int:
    """A text is as high as its lines; everything else as its author has it."""
    if panel["type"] != "text":
        return panel["gridPos"]["h"]
    return min(panel["gridPos"]["h"], 1 + panel.get("options", {}).get("content", "").strip("\n").count("\n") // 2)


def _panel(model: dict, place: tuple, filled: Variables) -> tuple[Panel, dict]:
    queries = [(filled.fill(each["expr"]), filled.fill(each.get("legendFormat") or "")) for each in _targets(model)]
    unit = model.get("fieldConfig", {}).get("defaults", {}).get("unit", "")
    text = filled.fill(model.get("options", {}).get("content", "")) if model["type"] == "text" else ""
    panel = Panel(filled.fill(model.get("title") or ""), model["type"], unit, place, queries, text=text)
    if panel.kind not in (*DRAWN, "row"):
        panel.reason = f"a panel of type {panel.kind} is not drawn here"
    strange = [each["id"] for each in model.get("transformations", []) if (panel.kind, each["id"]) != ("table", "merge")]
    if strange:
        panel.reason = f"the transformation {strange[0]} is not made here"
    return panel, model


def _targets(model: dict) -> list[dict]:
    return [each for each in model.get("targets", []) if each.get("expr") and not each.get("hide")]


def _load(lab, panel: Panel, model: dict, start: float, end: float, step: float) -> None:
    if panel.reason or panel.kind in ("row", "text"):
        return
    if panel.kind == "table":
        panel.data = _merged(lab, panel, model, end)
        panel.reason = "" if len(panel.data) else "no data"
        return
    names = _renamed(model)
    series = []
    for query, legend in panel.queries:
        try:
            found = prometheus.promql(lab, query, start=start, end=end, step=f"{step * 1000:.0f}ms")
        except QueryError as error:
            if not error.what.startswith("Prometheus has no data"):
                panel.reason = error.what
            continue
        labels = [name for name in found.columns if name not in ("time", "value")]
        for values, points in found.groupby(labels, dropna=False) if labels else [((), found)]:
            points = points.assign(series=_legend(legend, dict(zip(labels, values, strict=True)), panel.title, names))
            if points["value"].notna().any():
                series.append(points[["time", "value", "series"]])
    if not series:
        panel.reason = panel.reason or "no data"
        return
    panel.data = pd.concat(series, ignore_index=True)
    if panel.kind == "stat":
        how = (model.get("options", {}).get("reduceOptions", {}).get("calcs") or ["lastNotNull"])[0]
        reduced = panel.data.dropna().groupby("series", sort=False)["value"].agg(REDUCED.get(how, "last"))
        panel.data = reduced.reset_index().assign(time=panel.data["time"].max())


def _legend(legend: str, labels: dict, title: str, names: dict[str, str]) -> str:
    labels = {name: value for name, value in labels.items() if isinstance(value, str)}
    if legend in ("", "__auto"):
        text = ", ".join(f"{name}={value}" for name, value in labels.items() if name != "__name__") or title
    else:
        text = re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda found: labels.get(found[1], ""), legend)
    return names.get(text, text)


def _renamed(model: dict) -> dict[str, str]:
    """Names that the dashboard's author gave to single series or columns."""
    overrides = model.get("fieldConfig", {}).get("overrides", [])
    return {
        each["matcher"]["options"]: prop["value"]
        for each in overrides
        if each["matcher"]["id"] == "byName"
        for prop in each["properties"]
        if prop["id"] == "displayName"
    }


def _merged(lab, panel: Panel, model: dict, at: float) -> pd.DataFrame:
    """What the transformation `merge` makes of the queries of a table: one row for each set of labels, one column a query."""
    tables = []
    for target, (query, _) in zip(_targets(model), panel.queries, strict=True):
        found = prometheus.promql(lab, query, at=at).drop(columns="time")
        if len(found):
            tables.append(found.rename(columns={"value": f"Value #{target['refId']}" if target.get("refId") else "Value"}))
    if not tables:
        return pd.DataFrame()
    merged = tables[0]
    for each in tables[1:]:
        merged = merged.merge(each, "outer", [name for name in each.columns if name in merged.columns])
    overrides = {
        each["matcher"]["options"]: {prop["id"]: prop["value"] for prop in each["properties"]}
        for each in model.get("fieldConfig", {}).get("overrides", [])
        if each["matcher"]["id"] == "byName"
    }
    shown = [name for name in merged.columns if not overrides.get(name, {}).get("custom.hidden")]
    names = {name: overrides.get(name, {}).get("displayName", name) for name in shown}
    panel.units = {names[name]: overrides[name]["unit"] for name in shown if "unit" in overrides.get(name, {})}
    return merged[shown].rename(columns=names)


def _explain(lab, panels: list[Panel], at: float) -> None:
    """Say of each panel without data whether its metrics are unknown, or only have nothing to tell here."""
    empty = [panel for panel in panels if panel.reason == "no data"]
    if not empty:
        return
    known = set(prometheus.promql(lab, f"group by (__name__) ({EVERYTHING})", at=at).get("__name__", []))
    for panel in empty:
        asked = {name for query, _ in panel.queries for name in re.findall(r"\b([a-zA-Z_:]\w+)\s*[{\[]", query)}
        missing = sorted(asked - known)
        if asked and not asked & known:
            panel.reason = f"no data: nothing here counts {', '.join(missing)}"
        else:
            panel.reason = "no data: there was no such traffic in this range, or none of what the variables choose"
