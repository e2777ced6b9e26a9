"""Chapter 5, sidecars: the three ways by which a pod gets one, what it does to the pod, and what tells you that one is missing."""

from lab_helpers.chapters.c05_injection import checks  # noqa: F401 (they register themselves)
from lab_helpers.chapters.c05_injection.drawing import draw_way
from lab_helpers.chapters.c05_injection.injection import changed, dry_run, line_by_line, lines, redirection, renewed, verdicts
from lab_helpers.chapters.c05_injection.precedence import precedence
from lab_helpers.lab import Chapter, connect, progress, solution
from lab_helpers.lab.chapters import CLIENTS
from lab_helpers.show.checks import check
from lab_helpers.show.predictions import predict, resolve

# Three services show it all and start in seconds, while reviews is three times Java: every pod is made anew several times.
SERVICES = tuple(f"04_bookinfo/{name}.yaml" for name in ("01-productpage", "03-details", "05-ratings"))

CHAPTER = Chapter(
    "05_injection",
    minutes=40,
    question="How does a proxy get into a pod and the pod's traffic into the proxy, and which tool tells you that one is missing?",
    start=(*CLIENTS[:1], *SERVICES),
    injection=False,  # it begins before any pod is in the mesh
)

__all__ = [
    "changed", "check", "connect", "draw_way", "dry_run", "line_by_line", "lines", "precedence", "predict", "progress", "redirection",
    "renewed", "resolve", "solution", "verdicts",
]  # fmt: skip
