"""Chapter 12, traffic shifting: shares of the traffic by weight, a canary by hand, and three sliders that move a real mesh."""

from lab_helpers.chapters.c12_traffic_shifting import checks  # noqa: F401 (they register themselves)
from lab_helpers.chapters.c12_traffic_shifting.weights import shift
from lab_helpers.chapters.c12_traffic_shifting.widget import TrafficShifting, rehearse
from lab_helpers.core.statistics import failure_rate, goodness_of_fit, rate_interval, required_n, within_points
from lab_helpers.lab import Chapter, connect
from lab_helpers.show.checks import check
from lab_helpers.show.plots import count, plot_shares

CHAPTER = Chapter(
    "12_traffic_shifting",
    minutes=30,
    question="How does a new version get one request in ten, then all of them, and who proves that it did?",
)

__all__ = [
    "TrafficShifting",
    "check",
    "connect",
    "count",
    "failure_rate",
    "goodness_of_fit",
    "plot_shares",
    "rate_interval",
    "rehearse",
    "required_n",
    "shift",
    "within_points",
]
