"""How long requests took, as far as the buckets of Istio's histogram let it be told."""

from __future__ import annotations

import pandas as pd

from lab_helpers.core.wait import wait_until
from lab_helpers.traffic import prometheus
from lab_helpers.traffic.counted import counted
from lab_helpers.traffic.prometheus import Window

DURATION, TIMED = "istio_request_duration_milliseconds", 30.0


def quantile(upto: pd.Series, share: float) -> float:
    """A quantile out of cumulative buckets, as ``histogram_quantile`` of PromQL has it: straight lines within a bucket."""
    wanted = share * upto.iloc[-1]
    place = int((upto >= wanted).argmax())
    if not wanted or place == len(upto) - 1:  # beyond the last bound nothing is known
        return float(upto.index[-2]) if wanted and len(upto) > 1 else float("nan")
    low, before = (upto.index[place - 1], upto.iloc[place - 1]) if place else (0.0, 0.0)
    return float(low + (upto.index[place] - low) * (wanted - before) / (upto.iloc[place] - before))


def timed(lab, window: Window) -> Window:
    """The window, known a little later: a proxy shows what it has timed only every 5 s, and what it has counted at once."""
    ours = f'source_workload_namespace="{lab.namespace}"'
    told = [ours, f'source_workload_namespace!="{lab.namespace}",destination_workload_namespace="{lab.namespace}"']
    wanted = counted(lab, window, told, [])["requests"].sum()

    def later() -> Window | None:
        now = Window(window.start, window.end, prometheus.clock(lab))
        return now if counted(lab, now, told, [], f"{DURATION}_count")["requests"].sum() >= wanted else None

    return wait_until(later, "Prometheus to learn how long requests took", TIMED, every=0.2, do="See the targets of Prometheus.")
