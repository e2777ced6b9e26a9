"""Chapter 08, metrics: what proxies count, asked for in PromQL by hand, and Istio's own Grafana dashboards drawn from the answers."""

from lab_helpers.chapters.c08_metrics import checks  # noqa: F401 (they register themselves)
from lab_helpers.chapters.c08_metrics.dashboards import dashboard
from lab_helpers.chapters.c08_metrics.fresh import fresh_client
from lab_helpers.chapters.c08_metrics.questions import Questions
from lab_helpers.chapters.c08_metrics.samples import plot_samples
from lab_helpers.lab import Chapter, LabError, connect, progress, solution
from lab_helpers.show.checks import check
from lab_helpers.show.predictions import predict, resolve

CHAPTER = Chapter(
    "08_metrics",
    minutes=35,
    question="How many requests, how many failed, how long did they take: what is counted to the last one, and what is an estimate?",
    prepare=fresh_client,
    # Its checks ask for its own namespace only. These two dashboards cannot: they have no variable for one.
    alone="Istio's mesh and control plane dashboards show the traffic, pods and pushes of the whole mesh, and so another chapter's too",
)

__all__ = ["LabError", "Questions", "check", "connect", "dashboard", "plot_samples", "predict", "progress", "resolve", "solution"]
