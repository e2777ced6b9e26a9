"""Chapter 07, traces: one request followed through every service that it touched, in Zipkin or Jaeger, and in the access log."""

from lab_helpers.chapters.c07_tracing import checks  # noqa: F401 (they register themselves)
from lab_helpers.chapters.c07_tracing.busy import own_time
from lab_helpers.chapters.c07_tracing.dependencies import dependencies
from lab_helpers.chapters.c07_tracing.lines import logs
from lab_helpers.lab import Chapter, connect, progress, solution
from lab_helpers.show.checks import check
from lab_helpers.show.graphs.waterfall import plot_trace
from lab_helpers.show.plots import plot_calls
from lab_helpers.show.predictions import predict, resolve

CHAPTER = Chapter(
    "07_tracing",
    minutes=30,
    question="Where did this one request spend its time, and which call within it failed although the page came back with 200?",
)

__all__ = ["check", "connect", "dependencies", "logs", "own_time", "plot_calls", "plot_trace", "predict", "progress", "resolve", "solution"]
