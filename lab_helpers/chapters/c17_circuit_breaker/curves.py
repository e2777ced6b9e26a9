"""The share of requests that are refused, by how many callers there are: measured in several runs, drawn with its intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from lab_helpers.chapters.c17_circuit_breaker.fortio import load
from lab_helpers.core.errors import LabError
from lab_helpers.core.statistics import rate_interval
from lab_helpers.show.plots import INK, SEEN, STYLE, WANTED, Picture

CONFIDENCE = 0.99


def curve(lab, connections: Sequence[int], requests: int, service: str = "productpage") -> pd.DataFrame:
    """Run fortio once for each number of `connections`.

    Returns
    -------
    pandas.DataFrame
        One row a run: ``connections``, ``requests``, ``refused`` (answered 503), ``failed`` (neither 200 nor 503), ``share`` (of the
        refused, 0 to 1), ``low`` and ``high`` (its 99 % Clopper-Pearson interval), ``ms`` (mean of those that were answered 200).
    """
    return table([load(lab, each, requests, service) for each in connections])


def table(runs: Sequence) -> pd.DataFrame:
    """Runs of fortio as `curve` has them."""
    rows = []
    for run in runs:
        low, high = rate_interval(run.refused, run.requests, CONFIDENCE)
        failed = run.requests - run.refused - run.codes.get(200, 0)
        rows.append((run.connections, run.requests, run.refused, failed, run.refused / run.requests, low, high, run.ms))
    return pd.DataFrame(rows, columns=["connections", "requests", "refused", "failed", "share", "low", "high", "ms"])


def plot_curve(curves: Mapping[str, pd.DataFrame]) -> Picture:
    """Draw curves, each under its name.

    Raises
    ------
    LabError
        There is nothing to draw.
    """
    if not curves or any(each.empty for each in curves.values()):
        raise LabError("There is nothing to draw: no run of fortio.", "Run it first: curve(lab, [1, 2, 4, 8], requests=200).")
    told = []
    with matplotlib.rc_context({**STYLE, "font.size": 11}):
        figure = Figure(figsize=(5.6, 2.9))
        axes = figure.subplots()
        for (name, points), colour, mark in zip(curves.items(), (SEEN, WANTED), "os", strict=False):
            spread = [100 * (points["share"] - points["low"]), 100 * (points["high"] - points["share"])]
            axes.errorbar(
                points["connections"], 100 * points["share"], spread, label=name, color=colour, marker=mark, ms=6, lw=1.8, capsize=4
            )
            told.append(f"{name}: " + ", ".join(f"{each.share:.0%} at {each.connections}" for each in points.itertuples()))
        axes.set(xlabel="callers at a time", ylabel="% refused with 503", ylim=(-3, 103))
        axes.set_xticks(sorted({int(each) for points in curves.values() for each in points["connections"]}))
        axes.axhline(0, color=INK, lw=0.6, alpha=0.4)
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False, borderaxespad=0)
    return Picture(figure, f"Share refused, by callers at a time. {'; '.join(told)}.")
