"""Chapter 2, the ground that a mesh stands on: nodes, the network of pods, metrics, and an autoscaler that lives on these."""

from lab_helpers.chapters.c02_lab_environment import checks  # noqa: F401 (they register themselves)
from lab_helpers.chapters.c02_lab_environment.article import beside_article
from lab_helpers.chapters.c02_lab_environment.autoscaler import follow, scalers_of_profile
from lab_helpers.chapters.c02_lab_environment.cluster import network, nodes
from lab_helpers.chapters.c02_lab_environment.kubelet import certificates, kubelets, usage
from lab_helpers.chapters.c02_lab_environment.scaling import plot_scaling
from lab_helpers.lab import Chapter, connect, progress, solution
from lab_helpers.show.checks import check
from lab_helpers.show.predictions import predict, resolve

CHAPTER = Chapter(
    "02_lab_environment",
    minutes=25,
    question="What is your cluster made of, and what of it do you have to know before you put a mesh on top?",
    start=(),
    alone="Its autoscaler goes by the CPU time that its pods get, and beside other chapters they get less.",
)

__all__ = [
    "beside_article", "certificates", "check", "connect", "follow", "kubelets", "network", "nodes", "plot_scaling", "predict",
    "progress", "resolve", "scalers_of_profile", "solution", "usage",
]  # fmt: skip
