"""What a token says, to whoever finds it: it is read without any key, and shown so that nobody can use it."""

from __future__ import annotations

import base64
import json
import time
from dataclasses import dataclass

from lab_helpers.core.errors import TrafficError

TIMES = ("exp", "nbf", "iat")  # claims that are a time, in seconds since 1970
LAST = 253_402_300_799  # the last second of the year 9999
PARTS = ("header", "claims")


@dataclass(frozen=True, repr=False)
class Reading:
    """What is written in a token.

    Attributes
    ----------
    header, claims : dict
    now : int
        When it was read, in seconds since 1970.
    """

    header: dict
    claims: dict
    now: int

    def __str__(self) -> str:
        shown = [f"{name}: {json.dumps(value, ensure_ascii=False)}{self._time(name, value)}" for name, value in self.claims.items()]
        return "\n".join([f"header  {json.dumps(self.header)}", "claims", *(f"  {each}" for each in shown)])

    def __repr__(self) -> str:
        return str(self)

    def _time(self, name: str, value) -> str:
        return f"  ({when(value, self.now)})" if name in TIMES and isinstance(value, int | float) else ""


def read(token: str) -> Reading:
    """Read a token as anybody can: its first two parts are JSON in base64, and nothing is encrypted. The signature is not looked at.

    Raises
    ------
    TrafficError
        It is none; says in which part.
    """
    parts = token.split(".") if isinstance(token, str) else []
    if len(parts) != 3:
        found = f"It has {len(parts)} parts" if isinstance(token, str) else f"It is of the type {type(token).__name__}"
        raise TrafficError(
            f"That is no token. {found}, where a token has three, with dots between them.", "Give what jwt.encode has returned."
        )
    header, claims = (_part(name, part) for name, part in zip(PARTS, parts, strict=False))
    return Reading(header, claims, int(time.time()))


def shortened(token: str) -> str:
    """A token as it may be shown: where each part begins, and of the signature only how long it is.

    Examples
    --------
    >>> shortened("abcdefghijklmnop.qrstuvwxyz.0123456789")
    'abcdefghijkl… . qrstuvwxyz . (10 characters)'
    """
    *said, signature = token.split(".")
    return " . ".join([*(f"{each[:12]}…" if len(each) > 12 else each for each in said), f"({len(signature)} characters)"])


def when(moment: float, now: float) -> str:
    """A time of a token in words, from `now` on.

    Examples
    --------
    >>> when(1_000, 4_600), when(4_630, 4_600), when(1_782_191_719_000, 4_600)
    ('1 h ago', 'in 30 s', 'in the year 58445: are these milliseconds?')
    """
    if moment > LAST:
        return f"in the year {1970 + int(moment / (365.2425 * 86_400))}: are these milliseconds?"
    apart = round(abs(moment - now))
    if apart < 2:
        return "now"
    size, unit = next(((size, unit) for size, unit in ((86_400, "days"), (3_600, "h"), (60, "min")) if apart >= 0.99 * size), (1, "s"))
    return f"{apart / size:.0f} {unit} ago" if moment < now else f"in {apart / size:.0f} {unit}"


def coded(part: dict) -> str:
    """One part of a token: JSON in base64 as URLs have it, without padding."""
    return base64.urlsafe_b64encode(json.dumps(part, separators=(",", ":")).encode()).rstrip(b"=").decode()


def _part(name: str, part: str) -> dict:
    try:
        found = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except ValueError as error:
        raise TrafficError(f"That is no token: its {name} is not JSON in base64.", "Has something been added to it, or cut off?") from error
    if not isinstance(found, dict):
        raise TrafficError(
            f"That is no token: its {name} is {json.dumps(found)[:40]}, not an object.", "Give what jwt.encode has returned."
        )
    return found
