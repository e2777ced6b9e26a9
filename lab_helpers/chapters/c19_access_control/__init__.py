"""Chapter 19, access control lists: who may ask whom for what, who says so, and what a rule lets slip."""

from lab_helpers.chapters.c19_access_control import checks  # noqa: F401 (they register themselves)
from lab_helpers.chapters.c19_access_control.asking import ask, both_ways
from lab_helpers.chapters.c19_access_control.doors import follow, until_all
from lab_helpers.chapters.c19_access_control.reasons import logged, verdicts, why
from lab_helpers.lab import Chapter, connect, progress, solution
from lab_helpers.lab.chapters import BOOKINFO, CLIENTS
from lab_helpers.show.checks import check
from lab_helpers.show.graphs.mesh import plot_graph
from lab_helpers.show.graphs.waterfall import plot_trace
from lab_helpers.show.living.knob import Knob, freeze, rehearse
from lab_helpers.show.predictions import predict, resolve
from lab_helpers.traffic.pages import read as pages

CHAPTER = Chapter(
    "19_access_control",
    minutes=45,
    question="Who may ask which service for what, whose proxy says no, and what does a list of rules let slip?",
    start=(*CLIENTS, *BOOKINFO),
    prepare=freeze,
)

__all__ = [
    "Knob", "ask", "both_ways", "check", "connect", "follow", "logged", "pages", "plot_graph", "plot_trace", "predict", "progress",
    "rehearse", "resolve", "solution", "until_all", "verdicts", "why",
]  # fmt: skip
