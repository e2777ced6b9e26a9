"""Plots: a table in, a picture out, no cluster.

Drawn by matplotlib as SVG that becomes part of the page: a few kilobytes, no script, no network, sharp at any size, and
its text takes the colour of the page around it, in light and in dark. (Plotly carries 4 MB of script into a notebook.)
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping

import matplotlib
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from lab_helpers.core.errors import LabError
from lab_helpers.core.statistics import rate_interval

# Blue and orange are told apart by everyone, and show on white as well as on black.
SEEN, WANTED = "#4d8fdb", "#e8833a"
INK = "#010203"  # stands for currentColor, which matplotlib does not know
UNIT = (1.95, 0.75)  # inches a column and a row of the call graph
STYLE = {
    "svg.fonttype": "none", "svg.hashsalt": "meshlab", "font.family": "sans-serif", "font.size": 10, "text.color": INK,
    "axes.edgecolor": INK, "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK,
    "axes.spines.top": False, "axes.spines.right": False,
}  # fmt: skip


class Picture:
    """A figure as a notebook shows it.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    caption : str
        What the picture says, in words: for those who cannot see it, and for terminals.
    """

    def __init__(self, figure: Figure, caption: str):
        drawing = io.StringIO()
        with matplotlib.rc_context(STYLE):
            figure.savefig(drawing, format="svg", transparent=True, bbox_inches="tight", metadata={"Date": None, "Creator": None})
        svg = drawing.getvalue()
        svg = re.sub(r"\s*<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL).replace(INK, "currentColor")
        svg = re.sub(r'<svg [^>]*?width="([\d.]+)pt"', _sized, svg, count=1)
        self.svg, self.caption = svg, caption

    def _repr_html_(self) -> str:
        return f'<figure role="img" aria-label="{self.caption}" style="margin: .5em 0">{self.svg}</figure>'

    def __repr__(self) -> str:
        return self.caption


def plot_shares(seen: pd.DataFrame | Mapping[str, int], expected: Mapping[str, float], confidence: float = 0.99) -> Picture:
    """Draw the share of requests that each version answered, with its interval, beside the share it should have.

    Parameters
    ----------
    seen : pandas.DataFrame or mapping of str to int
        One row a request with a column ``version`` (from ``lab.observe``), or counts by version.
    expected : mapping of str to float
        Weights in any unit, by version.
    confidence : float
        Of each version's Clopper-Pearson interval.

    Raises
    ------
    LabError
        No request was answered.
    """
    counts = count(seen)
    n, total = sum(counts.values()), sum(expected.values())
    if not n or not total:
        raise LabError("There is nothing to plot: no request was answered.", "Send some traffic first: lab.observe(...).")
    names = sorted({*counts, *expected})
    shares = [100 * counts.get(name, 0) / n for name in names]
    wanted = [100 * expected.get(name, 0) / total for name in names]
    limits = [rate_interval(counts.get(name, 0), n, confidence) for name in names]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(6.2, 0.55 + 0.5 * len(names)))
        axes = figure.subplots()
        places = range(len(names))
        axes.barh(places, shares, 0.6, color=SEEN, label=f"seen, with {confidence:.0%} interval")
        spread = [
            [share - 100 * low for share, (low, _) in zip(shares, limits, strict=True)],
            [100 * high - share for share, (_, high) in zip(shares, limits, strict=True)],
        ]
        axes.errorbar(shares, places, xerr=spread, fmt="none", ecolor=INK, elinewidth=1.2, capsize=4)
        axes.vlines(
            wanted,
            [place - 0.42 for place in places],
            [place + 0.42 for place in places],
            WANTED,
            lw=2.5,
            label="expected",
            zorder=3,
        )
        axes.set(
            yticks=list(places),
            yticklabels=[f"{name}\n{counts.get(name, 0):,}" for name in names],
            xlabel=f"% of {n:,} requests",
        )
        axes.set_xlim(0, max(100 * high for _, high in limits) * 1.05)
        axes.invert_yaxis()
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False, borderaxespad=0)
    told = ", ".join(f"{name} {share:.1f} % (expected {want:.1f} %)" for name, share, want in zip(names, shares, wanted, strict=True))
    return Picture(figure, f"Shares of {n:,} requests: {told}.")


def plot_calls(calls: pd.DataFrame) -> Picture:
    """Draw who calls whom, callers on the left.

    Parameters
    ----------
    calls : pandas.DataFrame
        Columns source, destination, requests, as ``lab.calls()`` returns them.

    Raises
    ------
    LabError
        Nobody has called anybody.
    """
    edges = list(calls[["source", "destination", "requests"]].itertuples(index=False))
    if not edges:
        raise LabError("There is nothing to draw: no proxy has counted a call.", "Send some traffic first: lab.page().")
    columns = layers(edges)
    places = {name: (column, -row + (len(names) - 1) / 2) for column, names in enumerate(columns) for row, name in enumerate(names)}
    tallest = max(len(names) for names in columns)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(UNIT[0] * len(columns), UNIT[1] * tallest))
        axes = figure.subplots()
        axes.set(xlim=(-0.45, len(columns) - 0.55), ylim=(-tallest / 2, tallest / 2))
        axes.axis("off")
        for name, (x, y) in places.items():
            axes.add_patch(FancyBboxPatch((x - 0.33, y - 0.2), 0.66, 0.4, "round,pad=0.02", fc="none", ec=SEEN, lw=1.5))
            axes.text(x, y, name, ha="center", va="center", fontsize=9)
        for source, destination, requests in edges:
            (x, y), (to_x, to_y) = places[source], places[destination]
            start, end = (x + 0.35, y), (to_x - 0.35, to_y)
            # The number stands at the end of the arrow where fewer of them meet.
            crowded = (calls["source"] == source).sum() > (calls["destination"] == destination).sum()
            part = 0.74 if crowded else 0.26
            place = tuple(first + part * (last - first) for first, last in zip(start, end, strict=True))
            axes.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": INK, "lw": 1})
            label = {"textcoords": "offset points", "ha": "center", "va": "center", "fontsize": 8, "color": WANTED}
            axes.annotate(f"{requests:,}", place, _beside(end[0] - start[0], end[1] - start[1]), **label)
    told = ", ".join(f"{each.source} → {each.destination} ({each.requests:,})" for each in edges)
    return Picture(figure, f"Calls: {told}.")


def _beside(dx: float, dy: float) -> tuple[float, float]:
    """Nine points to the upper side of an arrow that runs by `dx`, `dy` columns and rows."""
    x, y = dx * UNIT[0], dy * UNIT[1]
    length = (x * x + y * y) ** 0.5 or 1
    return -9 * y / length, 9 * x / length


def count(seen: pd.DataFrame | Mapping[str, int]) -> dict[str, int]:
    """Requests by version; those that no version answered are left out."""
    if isinstance(seen, pd.DataFrame):
        return {str(name): int(number) for name, number in seen["version"].value_counts().items()}
    return dict(seen)


def layers(edges: list) -> list[list[str]]:
    """Names by their distance from the way in, each as far right as its last caller allows."""
    names = sorted({name for edge in edges for name in edge[:2]})
    depth = dict.fromkeys(names, 0)
    for _ in names:  # a path visits each name once at most; calls in a circle end here too
        for source, destination, _requests in edges:
            depth[destination] = max(depth[destination], min(depth[source] + 1, len(names) - 1))
    return [[name for name in names if depth[name] == level] for level in sorted(set(depth.values()))]


def _sized(found: re.Match) -> str:
    width = float(found.group(1))
    return re.sub(r'width="[\d.]+pt"', f'width="{width * 4 / 3:.0f}" style="max-width: 100%; height: auto"', found.group(0))
