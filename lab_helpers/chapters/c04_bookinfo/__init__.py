"""Chapter 04, Bookinfo: the application that all chapters work on, who calls whom in it, and who chooses the version that answers."""

from lab_helpers.chapters.c04_bookinfo import checks  # noqa: F401 (they register themselves)
from lab_helpers.chapters.c04_bookinfo.inside import containers
from lab_helpers.core.statistics import goodness_of_fit, in_turn, required_n
from lab_helpers.lab import Chapter, connect, progress, solution
from lab_helpers.lab.chapters import CLIENTS
from lab_helpers.lab.forward import forwarding
from lab_helpers.show.checks import check
from lab_helpers.show.plots import count, plot_calls, plot_shares
from lab_helpers.show.predictions import predict, resolve

CHAPTER = Chapter(
    "04_bookinfo",
    minutes=30,
    question="What is Bookinfo made of, and who chooses which of its three faces you get to see?",
    start=CLIENTS,  # it deploys Bookinfo itself, piece by piece
)

__all__ = [
    "check", "connect", "containers", "count", "forwarding", "goodness_of_fit", "in_turn", "plot_calls", "plot_shares", "predict",
    "progress", "required_n", "resolve", "solution",
]  # fmt: skip
