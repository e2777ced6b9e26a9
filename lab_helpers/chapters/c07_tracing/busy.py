"""Who keeps a request waiting: a span's time less that of the spans below it."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd


def own_time(traces: pd.DataFrame | Iterable[pd.DataFrame]) -> pd.DataFrame:
    """How long each service was busy itself, and not waiting for somebody else.

    Parameters
    ----------
    traces : pandas.DataFrame or iterable of pandas.DataFrame
        One trace as ``lab.trace()`` returns it, or several: then a service that is not in a trace was busy for 0 ms of it.

    Returns
    -------
    pandas.DataFrame
        One row a service, the busiest first: service, ``own_ms`` (of its spans, less what those below them took; of an average trace).
    """
    traces = [traces] if isinstance(traces, pd.DataFrame) else list(traces)
    rows = [row for spans in traces for row in _rows(spans)]
    table = pd.DataFrame(rows, columns=["service", "own_ms"])
    table = table.groupby("service", as_index=False).sum()
    table["own_ms"] /= max(len(traces), 1)
    return table.sort_values("own_ms", ascending=False, ignore_index=True)


def _rows(spans: pd.DataFrame) -> list[tuple[str, float]]:
    rows = []
    for each in spans.itertuples(index=False):
        below = spans[spans["parent"] == each.span]
        busy, upto = 0.0, each.start_ms
        for start, end in sorted(zip(below["start_ms"], below["start_ms"] + below["duration_ms"], strict=True)):
            start, end = max(start, upto), min(end, each.start_ms + each.duration_ms)
            busy, upto = busy + max(end - start, 0), max(upto, end)
        rows.append((each.service, each.duration_ms - busy))
    return rows
