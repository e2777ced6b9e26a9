"""Tokens as they should be, and tokens with one thing wrong, each made the moment it is needed."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass

from joserfc import jwt
from joserfc.jwk import RSAKey

from lab_helpers.chapters.c21_jwt.tokens import coded
from lab_helpers.core.errors import TrafficError

ISSUER, AUDIENCE = "https://accounts.bookinfo.example", "bookinfo"
HOUR = 3600
SKEW = 60  # seconds of grace that Envoy gives before nbf and after exp, since clocks differ; Istio has no field for it


def new_key(kid: str) -> RSAKey:
    """A key for RS256 of 2,048 bits, with the name by which tokens say that it has signed them."""
    return RSAKey.generate_key(2048, {"kid": kid, "use": "sig", "alg": "RS256"})


def mint(key: RSAKey, lives: float = HOUR, **claims) -> str:
    """A token of the chapter's issuer, signed now.

    Parameters
    ----------
    key : RSAKey
    lives : float
        Seconds until it ends; less than 0 if it has ended already.
    **claims
        In addition, or instead; None leaves one out.
    """
    now = int(time.time())
    every = {"iss": ISSUER, "sub": "quentin", "aud": AUDIENCE, "iat": now, "exp": now + lives, **claims}
    return jwt.encode({"alg": "RS256", "kid": key.kid}, {name: value for name, value in every.items() if value is not None}, key)


@dataclass(frozen=True)
class Case:
    """A token with one thing wrong, or nothing.

    Attributes
    ----------
    made : callable
        ``made(key, now)`` returns it.
    due : int
        The status that it gets where its issuer, its audience and its key are known, and a token is needed.
    """

    made: Callable[[RSAKey, int], str | None]
    due: int


def cases() -> dict[str, Case]:
    """All of them, by name."""
    return dict(_CASES)


def mint_each(key: RSAKey) -> dict[str, str | None]:
    """A token of each kind, made now: to be sent at once, for some are good for five seconds only.

    Raises
    ------
    TrafficError
        That is no key that can sign.
    """
    if not isinstance(key, RSAKey) or not key.is_private:
        raise TrafficError("That is no key that can sign.", "Give the one that was made above, with its private half.")
    now = int(time.time())
    return {name: case.made(key, now) for name, case in _CASES.items()}


def _at(**times: int) -> Callable[[RSAKey, int], str]:
    return lambda key, now: mint(key, **{name: now + seconds for name, seconds in times.items()})


def _claims(**claims) -> Callable[[RSAKey, int], str]:
    return lambda key, now: mint(key, **claims)


def _another_key(kid: str = "") -> Callable[[RSAKey, int], str]:
    return lambda key, now: mint(new_key(kid or key.kid))


def _none(key: RSAKey, now: int) -> str:
    """A token that says of itself that it needs no signature."""
    return f"{coded({'alg': 'none', 'typ': 'JWT'})}.{mint(key).split('.')[1]}."


def _symmetric(key: RSAKey, now: int) -> str:
    """A token signed with what everybody knows: the public key, taken for a shared secret."""
    signed = f"{coded({'alg': 'HS256', 'typ': 'JWT', 'kid': key.kid})}.{mint(key).split('.')[1]}"
    signature = hmac.new(key.as_pem(private=False), signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def _edited(key: RSAKey, now: int) -> str:
    """A token in which somebody has put another name, under the old signature."""
    header, _, signature = mint(key).split(".")
    return f"{header}.{mint(key, sub='admin').split('.')[1]}.{signature}"


_CASES = {
    "as it should be": Case(_claims(), 200),
    "no token": Case(lambda key, now: None, 403),
    "ended 55 s ago": Case(_at(exp=-55), 200),
    "ended 65 s ago": Case(_at(exp=-65), 401),
    "ended an hour ago, in milliseconds": Case(lambda key, now: mint(key, exp=(now - HOUR) * 1000), 200),
    "never ends": Case(_claims(exp=None), 200),
    "begins in 55 s": Case(_at(nbf=55), 200),
    "begins in 65 s": Case(_at(nbf=65), 401),
    "another issuer": Case(_claims(iss="https://accounts.elsewhere.example"), 401),
    "another audience": Case(_claims(aud="warehouse"), 403),
    "another key": Case(_another_key(), 401),
    "another key, by its own name": Case(_another_key("nobody-knows"), 401),
    "alg none": Case(_none, 401),
    "alg HS256, by the public key": Case(_symmetric, 401),
    "another name under the old signature": Case(_edited, 401),
}
