"""Chapter 10, the gateway: a port for outsiders, the routes behind it, TLS in front of them, and who may attach what."""

from lab_helpers.chapters.c10_gateway import checks, neighbour  # noqa: F401 (they register themselves)
from lab_helpers.chapters.c10_gateway.certificates import Authority, hand, keep
from lab_helpers.chapters.c10_gateway.faults import spoil
from lab_helpers.chapters.c10_gateway.neighbour import as_neighbour, leave
from lab_helpers.chapters.c10_gateway.rendered import render
from lab_helpers.lab import Chapter, connect, progress, solution
from lab_helpers.lab.asking.curl import curl
from lab_helpers.lab.chapters import BOOKINFO, CLIENTS
from lab_helpers.show.checks import check
from lab_helpers.show.graphs.mesh import plot_graph
from lab_helpers.show.predictions import predict, resolve

CHAPTER = Chapter(
    "10_gateway",
    minutes=50,
    question="How does a request get in from outside, why is it answered 404, and who holds the certificate and the right to a name?",
    start=(*CLIENTS, *(each for each in BOOKINFO if not each.endswith("02-gateway.yaml"))),
    prepare=neighbour.clear,
)

__all__ = [
    "Authority", "as_neighbour", "check", "connect", "curl", "hand", "keep", "leave", "plot_graph", "predict", "progress", "render",
    "resolve", "solution", "spoil",
]  # fmt: skip
