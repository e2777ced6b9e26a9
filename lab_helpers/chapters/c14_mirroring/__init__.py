"""Chapter 14, mirroring: a new version gets a copy of the traffic and answers nobody; what that shows, what it costs, whom it harms."""

from lab_helpers.chapters.c14_mirroring import checks  # noqa: F401 (they register themselves)
from lab_helpers.chapters.c14_mirroring.access import heard, unused, written
from lab_helpers.chapters.c14_mirroring.ends import both_ends, given_up, sent_by_client
from lab_helpers.core.statistics import required_n
from lab_helpers.lab import Chapter, connect, progress, solution
from lab_helpers.show.checks import check
from lab_helpers.show.graphs.mesh import plot_graph
from lab_helpers.show.predictions import predict, resolve

CHAPTER = Chapter(
    "14_mirroring",
    minutes=35,
    question="How is a new version tried with everybody's requests and nobody's answers, and where does one see what it did?",
)

__all__ = [
    "both_ends", "check", "connect", "given_up", "heard", "plot_graph", "predict", "progress", "required_n", "resolve",
    "sent_by_client", "solution", "unused", "written",
]  # fmt: skip
