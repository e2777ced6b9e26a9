"""What an autoscaler saw and did, over time: a table in, a picture out."""

from __future__ import annotations

import matplotlib
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lab_helpers.core.errors import LabError
from lab_helpers.show.plots import INK, SEEN, STYLE, WANTED, Picture


def plot_scaling(seen: pd.DataFrame, target: float) -> Picture:
    """Draw the use that an autoscaler measured, above the number of pods that it wanted and got.

    Parameters
    ----------
    seen : pandas.DataFrame
        As `follow` returns it; several may be put together by ``pandas.concat``.
    target : float
        The use that it aims at, in percent of the request.

    Raises
    ------
    LabError
        Nothing was measured.
    """
    if not seen["utilization"].notna().any():
        raise LabError("There is nothing to draw: the autoscaler has measured nothing.", "Give it time: follow(lab, ...).")
    seconds = (seen["time"] - seen["time"].iloc[0]).dt.total_seconds()
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 3.4))
        above, below = figure.subplots(2, 1, sharex=True, gridspec_kw={"hspace": 0.25})
        above.step(seconds, seen["utilization"], where="post", color=SEEN, lw=2, label="measured, mean of the pods")
        above.axhline(target, color=WANTED, lw=1.5, ls="--", label="target")
        above.set(ylabel="% of the request", ylim=(0, None))
        below.step(seconds, seen["wanted"], where="post", color=WANTED, lw=2, ls="--", label="wanted")
        below.step(seconds, seen["pods"], where="post", color=SEEN, lw=2, label="ready")
        below.set(ylabel="pods", xlabel="seconds", ylim=(0, seen[["wanted", "pods"]].to_numpy().max() + 0.6))
        below.yaxis.set_major_locator(MaxNLocator(integer=True))
        for axes in (above, below):
            axes.legend(frameon=False, ncols=2, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0, labelcolor=INK)
    told = f"highest use {seen['utilization'].max():.0f} % at a target of {target:g} %"
    return Picture(figure, f"Autoscaling over {seconds.iloc[-1]:.0f} s: {told}; from {seen['pods'].iloc[0]} pods to {seen['pods'].max()}, "
                           f"then {seen['pods'].iloc[-1]}.")  # fmt: skip
