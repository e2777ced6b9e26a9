"""Chapter 21, tokens: who a user is, proven by a signature; what a proxy makes of it, and where it has the keys from."""

from time import time

from joserfc import jwt
from joserfc.jwk import RSAKey

from lab_helpers.chapters.c21_jwt import checks  # noqa: F401 (they register themselves)
from lab_helpers.chapters.c21_jwt.asking import ask, ask_each, ask_routes, beside
from lab_helpers.chapters.c21_jwt.keysets import apply_with, key_set, keys_of, new_file, refusal
from lab_helpers.chapters.c21_jwt.minting import mint, mint_each
from lab_helpers.chapters.c21_jwt.pictures import grace, plot_stream, way_in
from lab_helpers.chapters.c21_jwt.rotation import Stream
from lab_helpers.chapters.c21_jwt.server import failures, publish, shut_down, visits
from lab_helpers.chapters.c21_jwt.tokens import read, shortened
from lab_helpers.lab import Chapter, connect, progress, solution
from lab_helpers.lab.chapters import BOOKINFO, CLIENTS
from lab_helpers.show.checks import check
from lab_helpers.show.living.knob import Knob, freeze, rehearse
from lab_helpers.show.predictions import predict, resolve

CHAPTER = Chapter(
    "21_jwt",
    minutes=50,
    question="How does a proxy know who the user is, what does it do about a bad token, and what happens when the keys change?",
    start=(
        *CLIENTS,
        *(each for each in BOOKINFO if not each.endswith("02-gateway.yaml")),
        "10_gateway/02-proxy.yaml",
        "21_jwt/01-keys.yaml",
    ),
    prepare=freeze,
    alone="Its proxies refuse keys that are none, and whoever applies something meanwhile is told so.",
)

__all__ = [
    "Knob", "RSAKey", "Stream", "apply_with", "ask", "ask_each", "ask_routes", "beside", "check", "connect", "failures", "grace", "jwt",
    "key_set", "keys_of", "mint", "mint_each", "new_file", "plot_stream", "predict", "progress", "publish", "read", "refusal", "rehearse",
    "resolve", "shortened", "shut_down", "solution", "time", "visits", "way_in",
]  # fmt: skip
