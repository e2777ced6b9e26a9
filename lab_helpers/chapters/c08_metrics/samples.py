"""What `rate` and `increase` make of a counter: the samples that Prometheus has, and the straight line that it draws through them."""

from __future__ import annotations

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from lab_helpers.core.errors import LabError
from lab_helpers.show.plots import INK, SEEN, STYLE, WANTED, Picture
from lab_helpers.traffic.prometheus import Window


def stretched(times: list[float], values: list[float], start: float, end: float) -> tuple[float, float, float]:
    """What PromQL's `increase` takes a counter to have done between `start` and `end`, from samples of it in between.

    The rise from the first sample to the last, stretched to the ends of the range; but by no more than half the way between two samples
    where the next one would have been due, and not to before the counter was 0.

    Parameters
    ----------
    times, values : list of float
        Two samples or more, the oldest first, of a counter that does not begin anew.
    start, end : float
        Of the range.

    Returns
    -------
    float, float, float
        From when to when, and the increase.
    """
    took, rise = times[-1] - times[0], values[-1] - values[0]
    between = took / (len(times) - 1)
    before, after = (gap if gap < 1.1 * between else between / 2 for gap in (times[0] - start, end - times[-1]))
    if rise > 0:
        before = min(before, took * values[0] / rise)
    return times[0] - before, times[-1] + after, rise * (took + before + after) / took


def plot_samples(samples: pd.DataFrame, window: Window, counted: int) -> Picture:
    """Draw the samples of one counter, and beside them what `increase` makes of them and what was counted.

    Parameters
    ----------
    samples : pandas.DataFrame
        The raw samples of a counter, as a query for a range of it gives them; its ``.attrs["since"]`` is where the range begins.
    window : Window
        In which it was counted.
    counted : int
        How many were counted in it.

    Raises
    ------
    LabError
        There is no sample.
    """
    if samples.empty:
        raise LabError("Prometheus has no sample of this counter in that time.", "Is the query right? It counts from the first request on.")
    summed = samples.groupby("time")["value"].sum()
    times = [time.timestamp() - window.start for time in summed.index]
    values = [float(value) for value in summed]
    begin, end = samples.attrs["since"] - window.start, window.known - window.start
    line, says = _line(times, values, begin, end)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(6.6, 2.7))
        axes = figure.subplots()
        axes.axvspan(0, window.seconds, color=INK, alpha=0.09, lw=0)
        axes.annotate("traffic", (window.seconds / 2, 1), xycoords=("data", "axes fraction"), ha="center", va="bottom", fontsize=9)
        axes.plot(*line, color=WANTED, lw=2, label=f"increase: {says}")
        axes.plot(times, values, "o", color=SEEN, ms=7, label=f"samples; really counted: {counted}", zorder=3)
        axes.set(xlabel="seconds since the traffic began", ylabel="counter", xlim=(begin - 0.3, end + 0.3))
        axes.set_ylim(min(0, *line[1], *values), 1.12 * max(*values, *line[1], 1))
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1.08), ncols=2, frameon=False, borderaxespad=0)
    told = ", ".join(f"{value:.0f} at {time:.1f} s" for time, value in zip(times, values, strict=True))
    return Picture(figure, f"Samples of a counter: {told}. What increase makes of them: {says}. Really counted: {counted}.")


def _line(times: list[float], values: list[float], begin: float, end: float) -> tuple[tuple[list[float], list[float]], str]:
    """The line that `increase` draws, and what it says."""
    if len(times) < 2:
        return ([], []), "no answer, from one sample"
    first, last, increase = stretched(times, values, begin, end)
    slope = (values[-1] - values[0]) / (times[-1] - times[0])
    ends = [values[0] - slope * (times[0] - first), values[-1] + slope * (last - times[-1])]
    return ([first, last], ends), f"the line's rise, {increase:.0f}"
