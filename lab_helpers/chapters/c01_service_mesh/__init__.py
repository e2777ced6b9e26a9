"""Chapter 1, what a service mesh is: three questions to an application that has none, and the same three once it has one."""

from lab_helpers.chapters.c01_service_mesh import checks  # noqa: F401 (they register themselves)
from lab_helpers.chapters.c01_service_mesh.callers import attempts
from lab_helpers.chapters.c01_service_mesh.drawings import draw_services
from lab_helpers.lab import Chapter, connect, progress, solution
from lab_helpers.lab.asking.identity import accepted, identities
from lab_helpers.lab.asking.wire import overhear
from lab_helpers.lab.chapters import BOOKINFO, CLIENTS
from lab_helpers.show.checks import check
from lab_helpers.show.plots import plot_calls
from lab_helpers.show.predictions import predict, resolve

CHAPTER = Chapter(
    "01_service_mesh",
    minutes=30,
    question="Who may call whom, who can listen, and who keeps count: first with Kubernetes alone, then with a proxy beside every pod?",
    start=(*CLIENTS, *BOOKINFO),
    injection=False,  # it begins before there is a mesh
    alone="It listens to all that passes its node, and what others send in great numbers it cannot write down as fast.",
)

__all__ = [
    "accepted", "attempts", "check", "connect", "draw_services", "identities", "overhear", "plot_calls", "predict", "progress",
    "resolve", "solution",
]  # fmt: skip
