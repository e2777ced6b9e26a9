"""Chapter 06, the mesh graph: the picture that Kiali draws, made of the same counts, and what it can and cannot say."""

from lab_helpers.chapters.c06_mesh_graph import checks  # noqa: F401 (they register themselves)
from lab_helpers.lab import Chapter, connect
from lab_helpers.lab.chapters import BOOKINFO, CLIENTS
from lab_helpers.show.checks import check
from lab_helpers.show.graphs.mesh import plot_graph

CHAPTER = Chapter(
    "06_mesh_graph",
    minutes=25,
    question="Who talks to whom in the mesh, how well and how safely, and why may a healthy service be missing from the picture?",
    start=(*CLIENTS, *BOOKINFO),
)

__all__ = ["check", "connect", "plot_graph"]
