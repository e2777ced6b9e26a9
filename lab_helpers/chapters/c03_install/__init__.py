"""Chapter 3, installing Istio: what ``istioctl`` would do, what it did, how it is taken away again, and who notices."""

from lab_helpers.chapters.c03_install import checks  # noqa: F401 (they register themselves)
from lab_helpers.chapters.c03_install.compare import compare_profiles, dump, profiles
from lab_helpers.chapters.c03_install.drawings import draw_profiles, side_by_side
from lab_helpers.chapters.c03_install.entrance import knock
from lab_helpers.istio import installation
from lab_helpers.istio.configuration import keep, restore
from lab_helpers.lab import Chapter, connect, progress, solution
from lab_helpers.show.checks import check
from lab_helpers.show.predictions import predict, resolve

CHAPTER = Chapter(
    "03_install",
    minutes=35,
    question="What does istioctl put into a cluster, how is it changed and taken away again, and does a running application notice?",
    prepare=installation.ensure,
    alone="It takes Istio away from the whole cluster for half a minute, and with it everybody's configuration.",
)

__all__ = [
    "check", "compare_profiles", "connect", "draw_profiles", "dump", "keep", "knock", "predict", "profiles", "progress", "resolve",
    "restore", "side_by_side", "solution",
]  # fmt: skip
