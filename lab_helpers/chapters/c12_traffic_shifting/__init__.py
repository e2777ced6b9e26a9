"""Chapter 12, traffic shifting: shares of the traffic by weight, a canary by hand, and three sliders that move a real mesh."""

from lab_helpers.chapters.c12_traffic_shifting import checks  # noqa: F401 (they register themselves)
from lab_helpers.chapters.c12_traffic_shifting.failures import health
from lab_helpers.chapters.c12_traffic_shifting.rules_of_thumb import worth
from lab_helpers.chapters.c12_traffic_shifting.weights import shift
from lab_helpers.chapters.c12_traffic_shifting.widget import TrafficShifting, rehearse
from lab_helpers.core.statistics import goodness_of_fit, peeking, power, rate_at_most, required_n
from lab_helpers.lab import Chapter, connect, progress, solution
from lab_helpers.show.checks import check
from lab_helpers.show.graphs.mesh import plot_graph
from lab_helpers.show.living import freeze
from lab_helpers.show.plots import count, plot_shares
from lab_helpers.show.predictions import predict, resolve

CHAPTER = Chapter(
    "12_traffic_shifting",
    minutes=40,
    question="How does a new version get one request in ten, then all of them, and who proves that it did?",
    prepare=freeze,
)

__all__ = [
    "TrafficShifting", "check", "connect", "count", "goodness_of_fit", "health", "peeking", "plot_graph", "plot_shares", "power",
    "predict", "progress", "rate_at_most", "rehearse", "required_n", "resolve", "shift", "solution", "worth",
]  # fmt: skip
