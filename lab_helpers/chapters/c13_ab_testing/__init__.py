"""Chapter 13, A/B testing: versions chosen by what a request says of its user, how far a header gets, and who may say so."""

from lab_helpers.chapters.c13_ab_testing import checks  # noqa: F401 (they register themselves)
from lab_helpers.chapters.c13_ab_testing.browser import DESK, PHONE, Browser, inside
from lab_helpers.chapters.c13_ab_testing.visitors import logged_in, newcomers, who_got_what
from lab_helpers.lab import Chapter, connect, progress, solution
from lab_helpers.show.checks import check
from lab_helpers.show.predictions import predict, resolve

CHAPTER = Chapter(
    "13_ab_testing",
    minutes=40,
    question="How do chosen users get another version, how far does the header get that says who they are, and who else can send it?",
)

__all__ = [
    "DESK", "PHONE", "Browser", "check", "connect", "inside", "logged_in", "newcomers", "predict", "progress", "resolve", "solution",
    "who_got_what",
]  # fmt: skip
