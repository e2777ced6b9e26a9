"""Grafana's dashboards without Grafana: Istio's own JSON out of the cluster, its variables and queries answered by Prometheus."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pandas as pd

from lab_helpers.chapters.c08_metrics.answers import Panel, answer, asked, explain
from lab_helpers.chapters.c08_metrics.variables import Variables
from lab_helpers.core.errors import QueryError
from lab_helpers.kube import objects
from lab_helpers.kube.kinds import CONFIG_MAP
from lab_helpers.traffic import graph, prometheus
from lab_helpers.traffic.prometheus import Window

QUIET = 10.0  # seconds before the traffic, so that a line has somewhere to rise from
POINTS = 40  # of a line: as many as a small panel can show


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

    def _repr_mimebundle_(self, **_how) -> dict:
        from lab_helpers.chapters.c08_metrics import panels  # only now: plotly takes half a second to load

        return panels.show(self)


def dashboards(lab) -> dict[str, dict]:
    """Every dashboard in the cluster by its short name: ``mesh``, ``service``, ``workload``, ``control plane``.

    Raises
    ------
    QueryError
        There is none.
    """
    maps = [each for each in lab.client.list(CONFIG_MAP, lab.addons_namespace) if "dashboards" in each["metadata"]["name"]]
    found = [json.loads(text) for each in maps for name, text in (each.get("data") or {}).items() if name.endswith(".json")]
    if not found:
        raise QueryError(
            f"Namespace {lab.addons_namespace} has no ConfigMap with dashboards, which Istio's Grafana add-on brings.",
            "meshlab addons grafana installs it.",
        )
    return {re.sub(r"^istio | dashboard$", "", each["title"].lower()): each for each in found}


@objects.sentences("Reading a dashboard")
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
    panels = [(asked(each, place, filled), each) for each, place in _placed(model)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda panel: answer(lab, *panel, start, end, step), panels))
    panels = [panel for panel, _ in panels]
    explain(lab, panels, end)
    return Dashboard(model["title"], filled.chosen, filled.choices, panels, start, end)


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
