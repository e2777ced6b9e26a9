"""What goes into a request, so that curl in a pod and this machine send the same, its path and its headers; and what comes back."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import NamedTuple

from lab_helpers.core.errors import TrafficError

NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # a token, as HTTP has it
CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")  # also half a character, which no encoding has
STRANGE = re.compile(rb"[^A-Za-z0-9._~/?:@!$&'()*+,;=%-]")  # bytes that may not stand in a path, nor in its query
LENGTHS = ("content-length", "transfer-encoding")


class Answer(NamedTuple):
    """What the API server, or whoever it passed the question on to, answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode(errors="replace")

    def json(self):
        return json.loads(self.body)


def target(path: str) -> str:
    """The path, with its query, as it goes over the wire: what may not stand there is percent-encoded.

    Raises
    ------
    TrafficError
        It is no text, does not begin with a slash, or holds what cannot be sent.

    Examples
    --------
    >>> target("/what is [this]?name=Zoë&rate=5%")
    '/what%20is%20%5Bthis%5D?name=Zo%C3%AB&rate=5%25'
    """
    if not isinstance(path, str):
        raise TrafficError(f"The path is {path!r}, which is no text.", "Put it in quotes, such as path='/productpage'.")
    if not path.startswith("/"):
        raise TrafficError(
            f"The path {path!r} does not begin with a slash.", "Write it with one, and without host and port: path='/productpage'."
        )
    if CONTROL.search(path):
        raise TrafficError(
            f"The path {path!r} holds a line break or another control character.", "Leave it out; a line break can be sent as %0A."
        )
    if "#" in path:
        raise TrafficError(f"The path {path!r} holds a #, and what follows it is never sent.", "Leave it out, or write %23.")
    whole = re.sub(r"%(?![0-9A-Fa-f]{2})", "%25", path)
    sent = STRANGE.sub(lambda found: b"%%%02X" % found[0][0], whole.encode()).decode()
    return re.sub(r"%..", lambda found: found[0].upper(), sent)


def fields(headers: Mapping[str, str] | None) -> dict[str, str]:
    """Headers with lower-case names, each of which can be sent by every client in the same way.

    Raises
    ------
    TrafficError
        A name or a value that HTTP does not have, or one name twice; says which.
    """
    if not isinstance(headers or {}, Mapping):
        raise TrafficError(f"headers is {headers!r}, which is no dict.", "Write it as headers={'end-user': 'jason'}.")
    found: dict[str, str] = {}
    for name, value in (headers or {}).items():
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise TrafficError(f"{name!r} cannot be the name of a header.", "Use letters, digits and -, such as end-user.")
        if name.lower() in found:
            raise TrafficError(f"Header {name.lower()} is there twice: upper and lower case are the same.", "Keep one of them.")
        if name.lower() in LENGTHS:
            raise TrafficError(f"Header {name} tells how long a body is, and these requests have none.", "Leave it out.")
        found[name.lower()] = _value(name, value)
    return found


def _value(name: str, value: str) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise TrafficError(f"The value of header {name} is {value!r}, which is no text.", "Put it in quotes.")
    if CONTROL.search(value.replace("\t", " ")):
        raise TrafficError(
            f"The value of header {name} holds a line break or another control character: {value!r}.",
            "Leave it out: a header ends with its line.",
        )
    return value.strip(" \t")  # whoever receives it does so, too


def option(name: str, value: str) -> str:
    """A header as an option in curl's own file of them, which has escapes, and drops a header that ends with its colon."""
    escaped = (f"{name}: {value}" if value else f"{name};").replace("\\", "\\\\").replace('"', '\\"')
    return f'header = "{escaped}"'
