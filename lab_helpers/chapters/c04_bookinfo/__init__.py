"""Chapter 04, Bookinfo: the application that all chapters work on, who calls whom in it, and who chooses the version that answers."""

from lab_helpers.chapters.c04_bookinfo import checks  # noqa: F401 (they register themselves)
from lab_helpers.core.statistics import goodness_of_fit, required_n
from lab_helpers.lab import Chapter, connect
from lab_helpers.lab.chapters import CLIENTS
from lab_helpers.show.checks import check
from lab_helpers.show.plots import count, plot_calls, plot_shares

CHAPTER = Chapter(
    "04_bookinfo",
    minutes=25,
    question="What is Bookinfo made of, and who chooses which of its three faces you get to see?",
    start=CLIENTS,  # it deploys Bookinfo itself, piece by piece
)

__all__ = ["check", "connect", "count", "goodness_of_fit", "plot_calls", "plot_shares", "required_n"]
