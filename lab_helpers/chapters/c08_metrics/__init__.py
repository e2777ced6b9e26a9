"""Chapter 08, metrics: what proxies count, asked for in PromQL by hand, and Istio's own Grafana dashboards drawn from the answers."""

from lab_helpers.chapters.c08_metrics import checks  # noqa: F401 (they register themselves)
from lab_helpers.chapters.c08_metrics.dashboards import dashboard
from lab_helpers.lab import Chapter, LabError, connect
from lab_helpers.show.checks import check

CHAPTER = Chapter(
    "08_metrics",
    minutes=30,
    question="How many requests, how many failed, how long did they take: what is counted to the last one, and what is an estimate?",
    # Its checks ask for its own namespace only. These two dashboards cannot: they have no variable for one.
    alone="Istio's mesh and control plane dashboards show the traffic, pods and pushes of the whole mesh, and so another chapter's too",
)

__all__ = ["LabError", "check", "connect", "dashboard"]
