"""Ways to choose a pod, side by side: who was asked how often, and what that did to the time it took."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd


def compared(seen: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """One row for each way to choose a pod.

    Parameters
    ----------
    seen : mapping of str to pandas.DataFrame
        By mode, what ``lab.observe`` saw.

    Returns
    -------
    pandas.DataFrame
        By mode: how many requests each version answered; ``failed``, how many nobody did; ``mean ms`` and ``p95 ms``, how long they took.
    """
    rows = {}
    for mode, each in seen.items():
        answered = each["version"].value_counts().sort_index()
        times = each["latency_ms"]
        rows[mode] = {
            **{str(version): int(number) for version, number in answered.items()},
            "failed": int((each["status"] != 200).sum()),
            "mean ms": round(times.mean()),
            "p95 ms": round(times.quantile(0.95)),
        }
    table = pd.DataFrame.from_dict(rows, orient="index").fillna(0).astype(int)
    versions = sorted(set(table.columns) - {"failed", "mean ms", "p95 ms"})
    return table[[*versions, "failed", "mean ms", "p95 ms"]]
