"""Chapter 09, VirtualService: which requests go where, how often and how long, decided by the proxy of whoever sends them."""

from lab_helpers.chapters.c09_virtual_service import checks  # noqa: F401 (they register themselves)
from lab_helpers.chapters.c09_virtual_service.heard import listening
from lab_helpers.chapters.c09_virtual_service.routing import names, routes
from lab_helpers.lab import Chapter, connect, progress, solution
from lab_helpers.lab.chapters import BOOKINFO, CLIENTS
from lab_helpers.lab.forward import forwarding
from lab_helpers.show.checks import check
from lab_helpers.show.graphs.mesh import plot_graph
from lab_helpers.show.predictions import predict, resolve

CHAPTER = Chapter(
    "09_virtual_service",
    minutes=45,
    question="Who decides where a request goes, how often it is tried and how long it may take, and what if nobody has said so?",
    start=(*CLIENTS, *BOOKINFO),
)

__all__ = [
    "check", "connect", "forwarding", "listening", "names", "plot_graph", "predict", "progress", "resolve", "routes", "solution",
]  # fmt: skip
