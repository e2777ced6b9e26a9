"""Chapter 11, DestinationRules: names for versions, who chooses among pods and how, who is kept where, and whom a rule reaches."""

from lab_helpers.chapters.c11_destination_rule import checks  # noqa: F401 (they register themselves)
from lab_helpers.chapters.c11_destination_rule.known import clusters, workers
from lab_helpers.chapters.c11_destination_rule.modes import compared
from lab_helpers.chapters.c11_destination_rule.places import make_namespace, scale
from lab_helpers.chapters.c11_destination_rule.readers import READERS, by_reader, cookie_of, met
from lab_helpers.core.statistics import goodness_of_fit, in_turn, required_n
from lab_helpers.lab import Chapter, connect, progress, solution
from lab_helpers.show.checks import check
from lab_helpers.show.plots import count
from lab_helpers.show.predictions import predict, resolve

CHAPTER = Chapter(
    "11_destination_rule",
    minutes=40,
    question="A request is on its way to a service: which of its pods gets it, who decides that, and by which rule?",
)

__all__ = [
    "READERS", "by_reader", "check", "clusters", "compared", "connect", "cookie_of", "count", "goodness_of_fit", "in_turn",
    "make_namespace", "met", "predict", "progress", "required_n", "resolve", "scale", "solution", "workers",
]  # fmt: skip
