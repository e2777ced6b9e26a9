"""Plots: a table in, a picture out, no cluster.

Drawn by matplotlib as SVG that becomes part of the page: a few kilobytes, no script, no network, sharp at any size, and
its text takes the colour of the page around it, in light and in dark. (Plotly carries 4 MB of script into a notebook.)
"""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Mapping
from html import escape

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from lab_helpers.core.errors import LabError
from lab_helpers.core.statistics import rate_interval
from lab_helpers.show.graphs.drawn import Graph, box, line, words
from lab_helpers.show.graphs.layout import LETTER, laid_out
from lab_helpers.show.svg import legible

# Blue and orange are told apart by everyone, and show on white as well as on black.
SEEN, WANTED = "#4d8fdb", "#e8833a"
INK = "#010203"  # stands for currentColor, which matplotlib does not know
LEAST = 9  # points that text is high at least: 12 pixels on the page
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
        self.svg, self.caption = re.sub(r'<text style="[^"]*"', _readable, svg), caption

    def _repr_html_(self) -> str:
        kept = f'<div style="width: max-content">{self.svg}</div>'  # on a narrow page it scrolls, and stays readable
        named = f'role="img" aria-label="{escape(self.caption)}" tabindex="0"'
        return f'<figure {named} style="margin: .5em 0; overflow-x: auto">{kept}</figure>'

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
    missed = [name for name, want, (low, high) in zip(names, wanted, limits, strict=True) if not 100 * low <= want <= 100 * high]
    note = _missed(missed, sum(1 for want in wanted if want), confidence)
    # So small, and with letters so large, that they can be read on a phone, which scales it down.
    with matplotlib.rc_context({**STYLE, "font.size": 11}):
        figure = Figure(figsize=(4, 0.55 + 0.5 * len(names)))
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
            xlabel="\n".join([f"% of {n:,} requests", *textwrap.wrap(note, 50)]),
        )
        axes.set_xlim(0, max(100 * high for _, high in limits) * 1.05)
        axes.invert_yaxis()
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False, borderaxespad=0)
    told = ", ".join(f"{name} {share:.1f} % (expected {want:.1f} %)" for name, share, want in zip(names, shares, wanted, strict=True))
    return Picture(figure, f"Shares of {n:,} requests: {told}.{f' {note}.' if note else ''}")


def _missed(names: list[str], versions: int, confidence: float) -> str:
    """What to think of an interval that misses its mark; empty where none does."""
    if not names:
        return ""
    often = round(100 * (1 - confidence) * max(versions, 1))
    return f"{' and '.join(names)}: the interval misses its mark, as by chance alone in up to {often} of 100 pictures"


def plot_calls(calls: pd.DataFrame) -> Graph:
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
    sizes = {name: (len(name) * LETTER + 18, 32) for each in edges for name in each[:2]}
    plan = laid_out([each[:2] for each in edges], [len(f"{each.requests:,}") * LETTER + 12 for each in edges], sizes)
    parts = [line(arrow, "currentColor") + words(arrow, f"{each.requests:,}") for each, arrow in zip(edges, plan.arrows, strict=True)]
    parts += [box(place, SEEN, [name]) for name, place in plan.boxes.items()]
    told = ", ".join(f"{each.source} → {each.destination} ({each.requests:,})" for each in edges)
    return Graph(plan.width, plan.height, parts, f"Calls: {told}.")


def count(seen: pd.DataFrame | Mapping[str, int]) -> dict[str, int]:
    """Requests by version; those that no version answered are left out."""
    if isinstance(seen, pd.DataFrame):
        return {str(name): int(number) for name, number in seen["version"].value_counts().items()}
    return dict(seen)


def _sized(found: re.Match) -> str:
    width = float(found.group(1))
    return re.sub(r'width="[\d.]+pt"', f'width="{width * 4 / 3:.0f}" style="max-width: 100%; height: auto"', found.group(0))


def _readable(found: re.Match) -> str:
    """The style of a text: large enough, and in a colour that stands out from the page, in light and in dark."""
    style = re.sub(r"(?<=font-size: )[\d.]+(?=px)", lambda size: f"{max(float(size[0]), LEAST):g}", found[0])
    return re.sub(r"(?<=fill: )#(?!fff)[0-9a-f]{6}", lambda colour: legible(colour[0]), style)
