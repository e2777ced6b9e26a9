"""Chapter 06, the mesh graph: the picture that Kiali draws, made of the same counts, and what it can and cannot say."""

from lab_helpers.chapters.c06_mesh_graph import checks  # noqa: F401 (they register themselves)
from lab_helpers.lab import Chapter, connect, progress, solution
from lab_helpers.lab.chapters import BOOKINFO, CLIENTS
from lab_helpers.lab.forward import forwarding
from lab_helpers.show.checks import check
from lab_helpers.show.graphs.mesh import plot_graph
from lab_helpers.show.predictions import predict, resolve

CHAPTER = Chapter(
    "06_mesh_graph",
    minutes=30,
    question="Who talks to whom in the mesh, how well and how safely, and what can a picture of it not show?",
    start=(*CLIENTS, *BOOKINFO),
)

__all__ = ["check", "connect", "forwarding", "plot_graph", "predict", "progress", "resolve", "solution"]
