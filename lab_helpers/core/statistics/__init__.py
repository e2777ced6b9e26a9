"""Judging a mesh by numbers: whether a share, a rate or a latency is what it should be, as far as chance lets us tell.

A share is judged by Pearson's chi-square statistic with a stated false-alarm rate `ALPHA`, a rate by its Clopper-Pearson interval, a
latency by the bootstrap interval of its quantile. Whoever asks for a verdict also says how small a fault it must find
(`required_n`), so that no check has to be repeated until it passes. For up to three versions nothing of this is an approximation.
"""

from lab_helpers.core.statistics.design import failure_rate, peeking, power, required_n, within_points
from lab_helpers.core.statistics.fit import ALPHA, Fit, goodness_of_fit, in_turn
from lab_helpers.core.statistics.intervals import quantile_interval, rate_at_most, rate_interval
from lab_helpers.core.statistics.shares import validate_weights

__all__ = [
    "ALPHA",
    "Fit",
    "failure_rate",
    "goodness_of_fit",
    "in_turn",
    "peeking",
    "power",
    "quantile_interval",
    "rate_at_most",
    "rate_interval",
    "required_n",
    "validate_weights",
    "within_points",
]
