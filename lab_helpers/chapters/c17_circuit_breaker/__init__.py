"""Chapter 17, the circuit breaker: limits on connections and waiting requests under load, and pods that are left out while they fail."""

from lab_helpers.chapters.c17_circuit_breaker import checks  # noqa: F401 (they register themselves)
from lab_helpers.chapters.c17_circuit_breaker.breaker import follow
from lab_helpers.chapters.c17_circuit_breaker.curves import curve, plot_curve
from lab_helpers.chapters.c17_circuit_breaker.fortio import at_once, load
from lab_helpers.chapters.c17_circuit_breaker.outliers import endpoints, until_back
from lab_helpers.chapters.c17_circuit_breaker.proxy import counters, limits
from lab_helpers.lab import Chapter, connect, progress, solution
from lab_helpers.show.checks import check
from lab_helpers.show.living.knob import Knob, freeze, rehearse
from lab_helpers.show.predictions import predict, resolve

CHAPTER = Chapter(
    "17_circuit_breaker",
    minutes=40,
    question="What happens when more is asked of a service than it may take, and when one of its pods answers nothing but errors?",
    prepare=freeze,
    alone="It compares times under a load of its own, and beside other chapters everything takes longer.",
)

__all__ = [
    "Knob", "at_once", "check", "connect", "counters", "curve", "endpoints", "follow", "limits", "load", "plot_curve", "predict",
    "progress", "rehearse", "resolve", "solution", "until_back",
]  # fmt: skip
