"""Chapter 18, mutual TLS: who speaks plain text, a workload's certificate and its renewal, STRICT at every level and the ways past it."""

from lab_helpers.chapters.c18_mtls import checks  # noqa: F401 (they register themselves)
from lab_helpers.chapters.c18_mtls.beside import beside
from lab_helpers.chapters.c18_mtls.calls import Going, call
from lab_helpers.chapters.c18_mtls.certificates import fields, held, s_client, signers
from lab_helpers.chapters.c18_mtls.endpoints import spoken
from lab_helpers.chapters.c18_mtls.logs import logged
from lab_helpers.chapters.c18_mtls.outside import knock, node_port
from lab_helpers.chapters.c18_mtls.rotation import history, plot_lives
from lab_helpers.chapters.c18_mtls.ways import ask
from lab_helpers.lab import Chapter, connect, progress, solution
from lab_helpers.lab.chapters import BOOKINFO, CLIENTS
from lab_helpers.lab.whole_mesh import governed
from lab_helpers.show.checks import check
from lab_helpers.show.graphs.mesh import plot_graph
from lab_helpers.show.predictions import predict, resolve

CHAPTER = Chapter(
    "18_mtls",
    minutes=45,
    question="Who speaks plain text in a mesh, what does a workload's certificate say, and who is shut out once nothing else is accepted?",
    start=(*CLIENTS, *BOOKINFO),
    alone="For a moment it has the whole mesh refuse plain text, and with it the callers without a sidecar of other chapters.",
)

__all__ = [
    "Going", "ask", "beside", "call", "check", "connect", "fields", "governed", "held", "history", "knock", "logged", "node_port",
    "plot_graph", "plot_lives", "predict", "progress", "resolve", "s_client", "signers", "solution", "spoken",
]  # fmt: skip
