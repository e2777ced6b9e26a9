"""What a single value of YAML means to kubectl: text, a number, true, false or nothing.

kubectl reads it with Go's ``sigs.k8s.io/yaml``, which keeps neither to YAML 1.1 nor to 1.2, nor does PyYAML keep to it: ``y`` is true and
``1:30`` is text, ``0o17`` and ``017`` are 15, ``1e3`` is the whole number 1000, a date is text.
"""

from __future__ import annotations

import base64
import binascii
import math
import re

import yaml

CORE = "tag:yaml.org,2002:"
TYPES = {"int": int, "float": float, "bool": bool, "null": type(None), "timestamp": None}
TAGS = {None, "!", *(f"{CORE}{each}" for each in (*TYPES, "str", "binary", "merge", "map", "seq", "set", "omap"))}
DATE = re.compile(r"\d{4}-\d\d?-\d\d?")
WORDS = {
    **{form: True for word in ("y", "yes", "true", "on") for form in (word, word.capitalize(), word.upper())},
    **{form: False for word in ("n", "no", "false", "off") for form in (word, word.capitalize(), word.upper())},
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
    **{sign + form: float(f"{sign}inf") for sign in ("", "+", "-") for form in (".inf", ".Inf", ".INF")},
}
INTEGER = re.compile(r"([-+]?)(?:0x([0-9a-f]+)|0b([01]+)|0o?([0-7]+)|(0|[1-9][0-9]*))", re.IGNORECASE | re.ASCII)
BASES = (16, 2, 8, 10)
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
# Of a number that begins with its point, Go takes underscores only between digits; of others, it takes all of them away.
POINT = re.compile(r"\.[0-9]+(_[0-9]+)*([eE][-+]?[0-9]+(_[0-9]+)*)?")


class NotReadable(ValueError):
    """A text that kubectl could not read, or would read with a loss.

    Attributes
    ----------
    problem : str
    line, column : int
        From 1; 0 where they are not known.
    """

    def __init__(self, problem: str, mark: yaml.Mark | None = None):
        super().__init__(problem)
        self.problem = problem
        self.line, self.column = (mark.line + 1, mark.column + 1) if mark else (0, 0)


def number(text: str) -> int | float | str:
    """A number as Go reads it; whatever is none, as it is."""
    if text.startswith("."):
        digits = text.replace("_", "") if POINT.fullmatch(text) else ""
    else:
        digits = text.replace("_", "") if text[0] in "+-0123456789" else ""
    if found := INTEGER.fullmatch(digits):
        sign, *groups = found.groups()
        base, written = next((base, group) for base, group in zip(BASES, groups, strict=True) if group)
        value = int(sign + written, base)
        if -(2**63) <= value < 2**64:
            return value
    return float(digits) if FLOAT.fullmatch(digits) and math.isfinite(float(digits)) else text


def whole(value: int | float) -> int | float:
    """A number as Kubernetes keeps it: an int where it is whole and has 64 bits, else a float."""
    return int(value) if -(2**63) <= value < 2**63 and value == int(value) else float(value)


def scalar(event: yaml.ScalarEvent):
    """What a scalar means; numbers as they are written, infinite ones as well."""
    text, tag = event.value, (event.tag or "").removeprefix(CORE)
    if not tag and not event.implicit[0] or tag not in ("", "null", "bool", "int", "float", "timestamp", "binary"):
        return text
    if tag == "binary":
        try:
            return base64.b64decode(text, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError) as error:
            raise NotReadable("!!binary is to hold text in base64, and does not", event.start_mark) from error
    value = WORDS[text] if text in WORDS else number(text)
    if tag == "float" and type(value) is int:
        value = float(value)
    if tag == "timestamp" and DATE.match(text):
        return text
    if tag and type(value) is not TYPES[tag]:
        raise NotReadable(f"{text!r} is no !!{tag}", event.start_mark)
    return value
