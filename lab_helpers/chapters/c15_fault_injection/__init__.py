"""Chapter 15, fault injection: errors on purpose, who notices them, and how their traces are told from a real failure's."""

from lab_helpers.chapters.c15_fault_injection import checks  # noqa: F401 (they register themselves)
from lab_helpers.chapters.c15_fault_injection.dial import follow
from lab_helpers.chapters.c15_fault_injection.readers import log_in, outcomes, until_denied
from lab_helpers.core.statistics import power, rate_at_most, rate_interval, required_n
from lab_helpers.lab import Chapter, connect, progress, solution
from lab_helpers.show.checks import check
from lab_helpers.show.graphs.mesh import plot_graph
from lab_helpers.show.graphs.waterfall import plot_trace
from lab_helpers.show.living.knob import Knob, freeze, rehearse
from lab_helpers.show.plots import plot_shares
from lab_helpers.show.predictions import predict, resolve
from lab_helpers.traffic.pages import read as pages

CHAPTER = Chapter(
    "15_fault_injection",
    minutes=35,
    question="What does a user notice when a service behind the page fails, and can you find out before it really does?",
    prepare=freeze,
)

__all__ = [
    "Knob", "check", "connect", "follow", "log_in", "outcomes", "pages", "plot_graph", "plot_shares", "plot_trace", "power", "predict",
    "progress", "rate_at_most", "rate_interval", "rehearse", "required_n", "resolve", "solution", "until_denied",
]  # fmt: skip
