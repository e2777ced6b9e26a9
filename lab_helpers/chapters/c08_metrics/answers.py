"""What stands in a dashboard's panels: each one's questions to Prometheus, and its answers as the panel shows them."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

import pandas as pd

from lab_helpers.chapters.c08_metrics.variables import EVERYTHING, Variables
from lab_helpers.core.errors import QueryError
from lab_helpers.traffic import prometheus

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


def asked(model: dict, place: tuple, filled: Variables) -> Panel:
    """A panel with its questions, and not yet their answers; or with the reason why it cannot be drawn."""
    queries = [(filled.fill(each["expr"]), filled.fill(each.get("legendFormat") or "")) for each in _targets(model)]
    unit = model.get("fieldConfig", {}).get("defaults", {}).get("unit", "")
    text = filled.fill(model.get("options", {}).get("content", "")) if model["type"] == "text" else ""
    panel = Panel(filled.fill(model.get("title") or ""), model["type"], unit, place, queries, text=text)
    if panel.kind not in (*DRAWN, "row"):
        panel.reason = f"a panel of type {panel.kind} is not drawn here"
    strange = [each["id"] for each in model.get("transformations", []) if (panel.kind, each["id"]) != ("table", "merge")]
    if strange:
        panel.reason = f"the transformation {strange[0]} is not made here"
    return panel


def _targets(model: dict) -> list[dict]:
    return [each for each in model.get("targets", []) if each.get("expr") and not each.get("hide")]


def answer(lab, panel: Panel, model: dict, start: float, end: float, step: float) -> None:
    """Ask Prometheus what `panel`, made of `model`, shows between `start` and `end`."""
    if panel.reason or panel.kind in ("row", "text"):
        return
    if panel.kind == "table":
        panel.data = _merged(lab, panel, model, end)
        panel.reason = "" if len(panel.data) else "no data"
        return
    names, called = _renamed(model), Counter()
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
            if points["value"].notna().any():
                name = _legend(legend, dict(zip(labels, values, strict=True)), panel.title, names)
                called[name] += 1
                if called[name] > 1 and panel.kind != "heatmap":  # such as of a restarted istiod: each Pod is a line, of the same legend
                    name = f"{name} ({called[name]})"
                series.append(points.assign(series=name)[["time", "value", "series"]])
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


def explain(lab, panels: list[Panel], at: float) -> None:
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
