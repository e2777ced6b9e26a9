"""How long answers took, as a distribution: where they heap up says more than any mean."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from lab_helpers.core.errors import LabError
from lab_helpers.show.svg import HUES, Drawing, group, text

GAP = 0.2  # seconds without an answer between two heaps
NAMES, WIDE, END, ROW, TOP = 132, 440, 28, 58, 8  # pixels: the column of names, the scale, the space behind; a row, the space above
BAR, FULL = 5, 40  # pixels: a bin, and the highest bar


def clusters(milliseconds: Iterable[float], gap: float = GAP) -> list[tuple[int, float]]:
    """Where the answers heap up, from the fastest on: how many, and their median, in seconds.

    Parameters
    ----------
    milliseconds : iterable of float
        Such as the column ``latency_ms`` of ``lab.observe()``.
    gap : float
        Seconds without an answer that part two heaps.

    Examples
    --------
    >>> clusters([20, 30, 40, 3010, 3030])
    [(3, 0.03), (2, 3.02)]
    """
    heaps: list[list[float]] = []
    for each in sorted(value / 1000 for value in milliseconds):
        if heaps and each - heaps[-1][-1] < gap:
            heaps[-1].append(each)
        else:
            heaps.append([each])
    return [(len(heap), round((heap[(len(heap) - 1) // 2] + heap[len(heap) // 2]) / 2, 3)) for heap in heaps]


def plot_latency(groups: Mapping[str, Iterable[float]], marks: Mapping[str, float] | None = None, upto: float = 0) -> Drawing:
    """Draw how many answers took how long, a row for each group.

    Parameters
    ----------
    groups : mapping of str to iterable of float
        Latencies in milliseconds, by the name of the row.
    marks : mapping of str to float, optional
        Moments to point at, in seconds, by their names.
    upto : float
        Where the scale ends at least, in seconds.

    Raises
    ------
    LabError
        There is not a single latency.
    """
    rows = {name: [each / 1000 for each in values] for name, values in groups.items()}
    if not any(rows.values()) and not upto:
        raise LabError("There is nothing to draw: nobody has answered.", "Send some traffic first: pages(lab).")
    last = max([upto, *(marks or {}).values(), *(max(values, default=0) for values in rows.values())])
    step = next((each for each in (0.1, 0.2, 0.5, 1, 2, 5, 10) if last / each <= 8), 20)
    end = step * math.ceil(last / step + 0.2)
    bottom = TOP + len(rows) * ROW + (18 if marks else 0)
    parts = [_scale(end, step, bottom)]
    for name, moment in (marks or {}).items():
        x = NAMES + WIDE * moment / end
        parts.append(f'<path d="M{x:.1f},{TOP + 16} V{bottom}" stroke="{HUES[1]}" stroke-width="1.5" stroke-dasharray="4 3"/>')
        parts.append(text(x, TOP + 6, name, colour=HUES[1]))
    for row, (name, values) in enumerate(rows.items()):
        parts.append(_row(name, values, bottom - (len(rows) - row - 1) * ROW, end))
    told = "; ".join(f"{name}: {_told(values)}" for name, values in rows.items())
    return Drawing(NAMES + WIDE + END, bottom + 24, parts, f"Seconds until the answer. {told}.")


def _told(values: list[float]) -> str:
    return ", ".join(f"{count} after {median:.1f} s" for count, median in clusters(1000 * each for each in values)) or "none"


def _scale(end: float, step: float, bottom: float) -> str:
    moments = [each * step for each in range(round(end / step) + 1)]
    lines = "".join(f"M{NAMES + WIDE * each / end:.0f},{TOP + 16} V{bottom} " for each in moments)
    names = [text(NAMES + WIDE * each / end, bottom + 12, f"{each:g} s" if each == moments[-1] else f"{each:g}") for each in moments]
    return f'<path d="{lines}" stroke="currentColor" stroke-opacity=".15" fill="none"/>' + "".join(names)


def _row(name: str, values: list[float], base: float, end: float) -> str:
    bins: dict[int, int] = {}
    for each in values:
        at = int(each / end * WIDE / BAR)
        bins[at] = bins.get(at, 0) + 1
    most = max(bins.values(), default=1)
    bars = "".join(f"M{NAMES + at * BAR},{base:g}v-{max(FULL * count / most, 2):.0f}h4V{base:g}" for at, count in sorted(bins.items()))
    parts = [
        text(4, base - 26, name, "start", weight=600),
        text(4, base - 10, f"{len(values)} answers" if len(values) != 1 else "1 answer", "start"),
        f'<path d="{bars}" fill="{HUES[0]}"/>',
        f'<path d="M{NAMES},{base:g}h{WIDE}" stroke="currentColor" stroke-opacity=".5"/>',
    ]
    return group(parts, f"{name}: {_told(values)}")
