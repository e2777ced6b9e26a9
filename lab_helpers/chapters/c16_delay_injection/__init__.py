"""Chapter 16, delay injection: slow answers on purpose, and all the clocks that run out because of them."""

from lab_helpers.chapters.c16_delay_injection import checks  # noqa: F401 (they register themselves)
from lab_helpers.chapters.c16_delay_injection.dial import follow
from lab_helpers.chapters.c16_delay_injection.latency import clusters, plot_latency
from lab_helpers.chapters.c16_delay_injection.slow import together
from lab_helpers.lab import Chapter, connect, progress, solution
from lab_helpers.show.checks import check
from lab_helpers.show.living.knob import Knob, freeze, rehearse
from lab_helpers.show.predictions import predict, resolve
from lab_helpers.traffic.pages import read as pages

CHAPTER = Chapter(
    "16_delay_injection",
    minutes=35,
    question="A service behind the page becomes slow: how long do users wait, for what, and whose clock runs out first?",
    prepare=freeze,
    alone="It tells late answers by their seconds, and beside other chapters everything takes longer.",
)

__all__ = [
    "Knob", "check", "clusters", "connect", "follow", "pages", "plot_latency", "predict", "progress", "rehearse", "resolve", "solution",
    "together",
]  # fmt: skip
