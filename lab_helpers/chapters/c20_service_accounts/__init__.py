"""Chapter 20, service accounts: who is who in the mesh, what proves it, and what becomes of a rule whose name nobody has."""

from lab_helpers.chapters.c20_service_accounts import checks  # noqa: F401 (they register themselves)
from lab_helpers.chapters.c20_service_accounts.address import apply_for_address_of, lines_from
from lab_helpers.chapters.c20_service_accounts.asking import ask_once, who_may
from lab_helpers.chapters.c20_service_accounts.kept import kept_open
from lab_helpers.chapters.c20_service_accounts.names import strangers
from lab_helpers.chapters.c20_service_accounts.steps import draw_permits, follow, shown
from lab_helpers.lab import Chapter, connect, progress, solution
from lab_helpers.lab.asking.identity import identities
from lab_helpers.lab.chapters import BOOKINFO, CLIENTS
from lab_helpers.show.checks import check
from lab_helpers.show.living.knob import Knob, freeze
from lab_helpers.show.predictions import predict, resolve
from lab_helpers.traffic.pages import read as pages
from lab_helpers.traffic.pages import seen as seen_on

CHAPTER = Chapter(
    "20_service_accounts",
    minutes=40,
    question="How does one service know who is asking, and what is that knowledge worth?",
    start=(*CLIENTS, *BOOKINFO),
    prepare=freeze,
)

__all__ = [
    "Knob", "apply_for_address_of", "ask_once", "check", "connect", "draw_permits", "follow", "identities", "kept_open", "lines_from",
    "pages", "predict", "progress", "resolve", "seen_on", "shown", "solution", "strangers", "who_may",
]  # fmt: skip
