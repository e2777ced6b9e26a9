"""Who keeps a request waiting: a span's time less that of the spans below it."""

from __future__ import annotations

import pandas as pd


def own_time(spans: pd.DataFrame) -> pd.DataFrame:
    """How long each service was busy itself, and not waiting for somebody else.

    Parameters
    ----------
    spans : pandas.DataFrame
        As ``lab.trace()`` returns them.

    Returns
    -------
    pandas.DataFrame
        One row a service, the busiest first: service, ``own_ms`` (of its spans, less what those below them took).
    """
    rows = []
    for each in spans.itertuples(index=False):
        below = spans[spans["parent"] == each.span]
        busy, upto = 0.0, each.start_ms
        for start, end in sorted(zip(below["start_ms"], below["start_ms"] + below["duration_ms"], strict=True)):
            start, end = max(start, upto), min(end, each.start_ms + each.duration_ms)
            busy, upto = busy + max(end - start, 0), max(upto, end)
        rows.append((each.service, each.duration_ms - busy))
    table = pd.DataFrame(rows, columns=["service", "own_ms"])
    return table.groupby("service", as_index=False).sum().sort_values("own_ms", ascending=False, ignore_index=True)
