"""The waterfall of a trace: one bar a span, below whoever caused it, as long as it took."""

from __future__ import annotations

import math

import pandas as pd

from lab_helpers.core.errors import LabError
from lab_helpers.show.svg import BAD, HUES, Drawing, group, number, text

NAMES, BARS, END, ROW, TOP = 252, 450, 90, 24, 26  # pixels: the column of names, of bars, the space behind; a row, the scale
INDENT = 13


def plot_trace(spans: pd.DataFrame) -> Drawing:
    """Draw the spans of one trace; all that is known of a span comes up when the pointer rests on it.

    Parameters
    ----------
    spans : pandas.DataFrame
        As ``lab.trace()`` returns them.

    Raises
    ------
    LabError
        There is no span.
    """
    if spans.empty:
        raise LabError("There is nothing to draw: the trace has no spans.", "Choose one of lab.traces().")
    total = max((spans["start_ms"] + spans["duration_ms"]).max(), 1e-3)
    depth = _depths(spans)
    services = {name: HUES[place % len(HUES)] for place, name in enumerate(dict.fromkeys(spans["service"]))}
    parts = _scale(total, len(spans))
    for row, span in enumerate(spans.itertuples(index=False)):
        parts.append(_row(span, TOP + row * ROW + ROW / 2, depth[row], total, services[span.service]))
    failed = int(spans["error"].sum())
    told = f"Trace of {len(spans)} spans over {spans['service'].nunique()} services in {number(total)} ms, {failed or 'none'} failed: "
    told += ", ".join(f"{_name(span)} {number(span.duration_ms)} ms" for span in spans.itertuples(index=False))
    return Drawing(NAMES + BARS + END, TOP + len(spans) * ROW + 6, parts, told + ".")


def _name(span) -> str:
    own = span.service.partition(".")[0]
    return f"{own} → {span.to}" if span.kind == "CLIENT" else own


def _depths(spans: pd.DataFrame) -> list[int]:
    """How deep each span lies below the first; its caller always stands above it."""
    level: dict[str, int] = {}
    depths = []
    for span in spans.itertuples(index=False):
        depths.append(level.get(span.parent, -1) + 1)
        level[span.span] = depths[-1]
    return depths


def _scale(total: float, rows: int) -> list[str]:
    step = 10 ** math.floor(math.log10(total))
    step = next(each for each in (step / 5, step / 2, step, 2 * step) if total / each <= 6)
    marks = [number * step for number in range(int(total / step) + 1)]
    parts = []
    for mark in marks:
        x = NAMES + BARS * mark / total
        parts.append(f'<path d="M{x:.1f},{TOP} V{TOP + rows * ROW}" stroke="currentColor" stroke-opacity=".18"/>')
        parts.append(text(x, TOP - 12, f"{mark:g} ms" if mark == marks[-1] else f"{mark:g}", size=10))
    return parts


def _row(span, y: float, depth: int, total: float, hue: str) -> str:
    x, width = NAMES + BARS * span.start_ms / total, max(BARS * span.duration_ms / total, 2)
    colour = BAD if span.error else hue
    # What was sent on is drawn lighter than what came in: the two ends of one call.
    shade = "0.45" if span.kind == "CLIENT" and not span.error else "0.9"
    flags = "" if span.flags == "-" else f" {span.flags}"
    told = f"{number(span.duration_ms)} ms" + (f"  {span.status}{flags}" if span.error else "")
    parts = [
        text(4 + INDENT * depth, y, _name(span), "start", weight=600 if span.kind != "CLIENT" else 400),
        f'<rect x="{x:.1f}" y="{y - 7:.1f}" width="{width:.1f}" height="14" rx="2" fill="{colour}" fill-opacity="{shade}"/>',
        _beside(x, width, y, told, colour if span.error else "currentColor"),
    ]
    title = f"{span.service} ({span.kind.lower()})\n{span.name}\nfrom {number(span.start_ms)} ms, for {number(span.duration_ms)} ms\n"
    return group(parts, title + f"status {span.status}, response flags {span.flags}" + (", failed" if span.error else ""))


def _beside(x: float, width: float, y: float, words: str, colour: str) -> str:
    """Behind the bar, or before it where there is no room behind."""
    room = NAMES + BARS + END - (x + width)
    if room > 7 * len(words):
        return text(x + width + 5, y, words, "start", 10.5, colour)
    return text(x - 5, y, words, "end", 10.5, colour)
