"""Istio's Grafana dashboards as one plotly figure: every panel at its place in the grid, with its unit and its legend."""

from __future__ import annotations

import re
from dataclasses import replace

import pandas as pd
import plotly.graph_objects as go

from lab_helpers.chapters.c08_metrics.answers import Panel
from lab_helpers.chapters.c08_metrics.dashboards import Dashboard
from lab_helpers.show.svg import HUES, number

DRAWN_WIDE = ("timeseries", "stat", "table", "heatmap")
UNIT, HEAD = 34, 30  # pixels: a row of the grid; the title of a panel
INK = "#7a828c"  # read on white and on black: a figure does not know what it lies on
WIDE = {"reqps": 1.5, "ms": 1.2, "percentunit": 1.2, "bps": 1.5}  # of a table's columns, beside names
RULE = "rgba(128,136,146,.28)"
TABLE = {"fill": {"color": "rgba(0,0,0,0)"}, "line": {"color": RULE}, "align": "left"}
AXIS = {"gridcolor": RULE, "zeroline": False, "tickfont": {"size": 9}, "showline": False, "automargin": False}
# What holds for each of its parts is said once: a notebook keeps every figure, and so does a page.
LOOK = {
    "data": {"scatter": [{"mode": "lines", "line": {"width": 1.5}, "marker": {"size": 4}, "connectgaps": True}]},
    "layout": {
        "paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)", "font": {"color": INK, "size": 10}, "colorway": HUES,
        "hovermode": "closest", "showlegend": False, "margin": {"l": 8, "r": 8, "t": 62, "b": 8},
        "annotationdefaults": {
            "showarrow": False, "xref": "paper", "yref": "paper", "xanchor": "left", "yanchor": "middle", "align": "left",
        },
        "shapedefaults": {"type": "rect", "xref": "paper", "yref": "paper", "line": {"color": RULE, "width": 1}, "layer": "below"},
        "xaxis": {**AXIS, "type": "date", "tickformat": "%H:%M:%S", "showgrid": False},
        "yaxis": {**AXIS, "nticks": 5, "rangemode": "tozero"},
    },
}  # fmt: skip
# Grafana's units: how plotly writes a tick, and what stands behind the number. `~s` writes 0.004 s as 4m and 1,200 as 1.2k.
UNITS = {
    "reqps": ("~s", " req/s"), "ops": ("~s", " ops/s"), "cps": ("~s", " counts/s"), "qps": ("~s", " queries/s"), "rps": ("~s", " reads/s"),
    "percentunit": ("~%", ""), "percent": ("~f", " %"), "s": ("~s", "s"), "ms": ("~f", " ms"), "Bps": ("~s", "B/s"), "bps": ("~s", "b/s"),
    "decbytes": ("~s", "B"), "bytes": ("~s", "B"), "short": ("~s", ""), "none": ("~f", ""),
}  # fmt: skip


def figure(dashboard: Dashboard) -> go.Figure:
    """Draw a dashboard.

    Parameters
    ----------
    dashboard : Dashboard
        As `dashboard` returns it; panels without data stay as frames that say why.
    """
    panels = [_Place(each, number) for number, each in enumerate(_shrunk(dashboard.panels), 1)]
    rows = max(each.bottom for each in panels)
    title = {"text": _title(dashboard), "x": 0.005, "y": 1 - 18 / (rows * UNIT + 70), "yanchor": "top", "font": {"size": 15}}
    made = go.Figure(layout={"template": LOOK, "height": rows * UNIT + 70, "title": title})
    for each in panels:
        _draw(made, each, rows)
    return made


def show(dashboard: Dashboard) -> dict:
    """What a notebook shows of a dashboard: the figure, and the same in words."""
    lines = [str(dashboard), *(f"  {each.panel}: {each.reason}" for each in dashboard.undrawn.itertuples())]
    return {"application/vnd.plotly.v1+json": figure(dashboard).to_plotly_json(), "text/plain": "\n".join(lines)}


def _shrunk(panels: list[Panel]) -> list[Panel]:
    """Panels as wide as the page made no higher than what they hold, and the ones below moved up."""
    saved, shown = [], []
    for each in panels:
        x, y, width, height = each.place
        moved = y - sum(spared for bottom, spared in saved if bottom <= y)
        if width == 24 and each.kind in DRAWN_WIDE:
            fits = 3 if each.reason else 2 + len(each.data) if each.kind == "table" else height
            saved.append((y + height, max(height - fits, 0)))
            height = min(height, fits)
        shown.append(replace(each, place=(x, moved, width, height)))
    return shown


class _Place:
    """A panel, and where in the figure it goes: x and y from 0 to 1, y upwards."""

    def __init__(self, panel: Panel, number: int):
        self.panel, self.number = panel, "" if number == 1 else str(number)
        self.left, self.right = round(panel.place[0] / 24 + 0.004, 4), round((panel.place[0] + panel.place[2]) / 24 - 0.004, 4)
        self.top, self.bottom = panel.place[1], panel.place[1] + panel.place[3]

    def y(self, rows: int, pixels: float) -> float:
        """So many pixels below the panel's top edge."""
        return round(min(max(1 - (self.top * UNIT + pixels) / (rows * UNIT), 0), 1), 5)


def _title(dashboard: Dashboard) -> str:
    chosen = [f"{name}: {value if isinstance(value, str) else '+'.join(value)}" for name, value in dashboard.variables.items()]
    seconds = dashboard.end - dashboard.start
    told = "  ·  ".join([*(chosen if len(chosen) < 4 else chosen[:3]), f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"])
    return f"{dashboard.title}<br><span style='font-size:11px'>{told}</span>"


def _draw(made: go.Figure, place: _Place, rows: int) -> None:
    panel = place.panel
    height = panel.place[3] * UNIT
    if panel.kind in ("row", "text"):
        words = panel.title if panel.kind == "row" else re.sub(r"<[^>]+>|\*\*|\s+", " ", panel.text).strip()
        size = 13 if panel.kind == "row" else 11
        _words(made, place.left, place.y(rows, UNIT / 2 if panel.kind == "row" else height / 2), _wrapped(words, place), size, "left")
        return
    made.add_shape(x0=place.left, x1=place.right, y0=place.y(rows, height - 4), y1=place.y(rows, 2))
    _words(made, place.left + 0.006, place.y(rows, 13), _wrapped(panel.title, place, 1), 11, "left")
    if panel.reason:
        _words(made, (place.left + place.right) / 2, place.y(rows, (height + HEAD) / 2), _wrapped(panel.reason, place, 4), 10, "center")
        return
    {"timeseries": _lines, "stat": _stat, "table": _table, "heatmap": _heatmap}[panel.kind](made, place, rows, height)


def _axes(made: go.Figure, place: _Place, rows: int, height: float, legend: float, unit: str) -> dict:
    form, behind = UNITS.get(unit, ("~s", f" {unit}" if unit else ""))
    x = {
        "domain": [round(place.left + 0.045, 4), round(place.right - 0.008, 4)],
        "anchor": f"y{place.number}",
        "nticks": 3 if place.panel.place[2] < 9 else 5,
    }
    y = {"domain": [place.y(rows, height - legend - 30), place.y(rows, HEAD)], "anchor": f"x{place.number}"}
    y |= {"tickformat": form} | ({"ticksuffix": behind} if behind else {})
    made.update_layout({f"xaxis{place.number}": x, f"yaxis{place.number}": y})
    return {"xaxis": f"x{place.number}", "yaxis": f"y{place.number}"}


def _lines(made: go.Figure, place: _Place, rows: int, height: float) -> None:
    groups = list(place.panel.data.groupby("series", sort=False))
    shown = min(len(groups), 4 if height > 190 else 2)
    legend = 13 * shown + 6
    axes = _axes(made, place, rows, height, legend, place.panel.unit)
    form, behind = UNITS.get(place.panel.unit, ("~s", ""))
    form = form.replace("~", ".3~")
    step = _step(place.panel.data["time"])
    for place_in, (name, points) in enumerate(groups):
        points = points.set_index("time")["value"].dropna()
        few = {"mode": "lines+markers"} if len(points) < 3 else {}
        when, every = _grid(points.index, step)
        made.add_scatter(
            **when, **few, y=[_short(value) for value in points.reindex(every)], name=name,
            line={"color": HUES[place_in % len(HUES)]}, hovertemplate=f"%{{fullData.name}}<br>%{{y:{form}}}{behind}<extra></extra>", **axes,
        )  # fmt: skip
        if place_in < shown:
            last = f" and {len(groups) - shown} more" if place_in == shown - 1 and len(groups) > shown else ""
            mark = f"<span style='color:{HUES[place_in % len(HUES)]}'>▬</span> "
            y = place.y(rows, height - legend + 13 * place_in + 4)
            _words(made, place.left + 0.01, y, mark + _wrapped(name, place, 1, 12) + last, 9, "left")


def _step(times: pd.Series) -> pd.Timedelta:
    """Between two points of a panel."""
    apart = pd.Series(times.unique()).sort_values().diff().min()
    return pd.Timedelta(seconds=1) if pd.isna(apart) else apart


def _grid(times: pd.Index, step: pd.Timedelta) -> tuple[dict, pd.Index]:
    """When the points of a line are: the first and how many ms lie between two; and each of them, NaT where there is no value."""
    places = {round((time - times[0]) / step): time for time in times}
    every = pd.Index([places.get(place, pd.NaT) for place in range(max(places) + 1)])
    return {"x0": times[0].strftime("%Y-%m-%d %H:%M:%S"), "dx": round(step.total_seconds() * 1000)}, every


def _stat(made: go.Figure, place: _Place, rows: int, height: float) -> None:
    value = place.panel.data["value"].iloc[-1]
    _words(
        made,
        (place.left + place.right) / 2,
        place.y(rows, (height + HEAD) / 2 - 4),
        _written(value, place.panel.unit),
        24,
        "center",
        HUES[0],
    )


def _table(made: go.Figure, place: _Place, rows: int, height: float) -> None:
    data = place.panel.data
    cells = [[_written(value, place.panel.units.get(name, "")) for value in data[name]] for name in data.columns]
    wide = [WIDE.get(place.panel.units.get(name), 2.4) for name in data.columns]
    made.add_table(
        header={"values": [f"<b>{name}</b>" for name in data.columns], **TABLE},
        cells={"values": cells, "height": 24, "font": {"size": 10}, **TABLE},
        columnwidth=wide,
        domain={"x": [place.left, place.right], "y": [place.y(rows, height - 6), place.y(rows, HEAD)]},
    )  # fmt: skip


def _heatmap(made: go.Figure, place: _Place, rows: int, height: float) -> None:
    axes = _axes(made, place, rows, height, 0, "none")
    table = place.panel.data.pivot_table(index="series", columns="time", values="value", aggfunc="sum")
    table = table.loc[sorted(table.index, key=lambda name: float(name.replace("+Inf", "inf")))]
    # Prometheus's buckets hold all that is faster as well; a heatmap shows each bucket's own.
    own = table.diff().fillna(table.iloc[:1]).clip(lower=0)
    when, every = _grid(own.columns, _step(place.panel.data["time"]))
    made.add_heatmap(
        **when, y=[f"≤ {name}" for name in own.index],
        z=[[_short(value) for value in line] for line in own.reindex(columns=every).to_numpy()],
        colorscale="Blues", showscale=False, hovertemplate="%{y}<br>%{z:.3~s}/s<extra></extra>", **axes,
    )  # fmt: skip
    made.update_layout({f"yaxis{place.number}": {"type": "category", "ticksuffix": ""}})


def _words(made: go.Figure, x: float, y: float, words: str, size: int, anchor: str, colour: str = INK) -> None:
    look = {} if anchor == "left" else {"xanchor": anchor, "align": anchor}
    font = {"size": size} if colour == INK else {"size": size, "color": colour}
    made.add_annotation(x=round(x, 4), y=round(y, 5), text=words, font=font, **look)


def _wrapped(words: str, place: _Place, most: int = 3, spare: int = 0) -> str:
    """Words in lines that fit the panel on a page 700 pixels wide, the rest cut off."""
    room = max(int((place.right - place.left) * 700 / 5.6) - spare, 12)
    lines = [""]
    for word in words.split(" "):
        if len(lines[-1]) + len(word) < room:
            lines[-1] = f"{lines[-1]} {word}".strip()
        else:
            lines.append(word)
    lines = [line if len(line) <= room else f"{line[: room - 1]}…" for line in lines if line]
    return "<br>".join(lines[:most]) + ("…" if len(lines) > most else "")


def _written(value, unit: str) -> str:
    if not isinstance(value, int | float):
        return str(value)
    if pd.isna(value):
        return "–"
    if unit == "percentunit":
        return f"{100 * value:.4g} %"
    for factor, sign in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if unit != "ms" and abs(value) >= factor:
            return f"{number(value / factor)} {sign}{UNITS.get(unit, ('', ''))[1].strip()}"
    return f"{number(value)} {UNITS.get(unit, ('', ''))[1].strip()}".strip()


def _short(value: float) -> float | None:
    """Three digits that count: a notebook keeps every one of them."""
    return None if pd.isna(value) else float(f"{value:.3g}")
