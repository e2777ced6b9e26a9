"""Chapter 22, egress: what leaves the mesh, who knows of it, who may, and what keeps the others from it."""

from lab_helpers.chapters.c22_egress import checks  # noqa: F401 (they register themselves)
from lab_helpers.chapters.c22_egress.drawings import draw_reach
from lab_helpers.chapters.c22_egress.everybody import upgrade, would_change
from lab_helpers.chapters.c22_egress.lines import logged
from lab_helpers.chapters.c22_egress.trust import trust
from lab_helpers.chapters.c22_egress.visitor import arrived, invite, leave, visitor
from lab_helpers.chapters.c22_egress.visits import curl, reach
from lab_helpers.kube.apply import Change
from lab_helpers.lab import Chapter, connect, outside, progress, solution
from lab_helpers.show.checks import check
from lab_helpers.show.graphs.mesh import plot_graph
from lab_helpers.show.predictions import predict, resolve


def _prepare(lab) -> list[Change]:
    changes = [*invite(lab), *outside.ensure(lab)]
    arrived(lab)
    return changes


CHAPTER = Chapter(
    "22_egress",
    minutes=45,
    question="Who may reach what outside of the mesh, who sees it, and what keeps a program from going there all the same?",
    prepare=_prepare,
    alone="For some seconds it closes the way out for the whole mesh, and before that it tells whom.",
)

__all__ = [
    "check", "connect", "curl", "draw_reach", "leave", "logged", "plot_graph", "predict", "progress", "reach", "resolve", "solution",
    "trust", "upgrade", "visitor", "would_change",
]  # fmt: skip
