"""YAML and JSON as kubectl reads them.

kubectl makes JSON of YAML; the syntax is libyaml's there and here, `scalars` has what values mean, and keys are made text. Where kubectl
would lose something in silence (of a key that stands twice, all but the last one), it is refused.
"""

from __future__ import annotations

import copy
import json
import math
import re
from collections.abc import Iterator

import yaml

from lab_helpers.core.scalars import CORE, TAGS, NotReadable, number, scalar, whole

MOST = 1_000_000  # values that one document may have once its aliases are written out


def documents(text: str) -> list:
    """All documents of a text, each of values that JSON has.

    Raises
    ------
    NotReadable
        It is neither YAML nor JSON, has a key twice in one mapping, or something that JSON cannot carry.
    """
    try:
        return list(_json(text))  # so does kubectl: of JSON that is not YAML (two halves of a sign), and of objects in a row
    except (ValueError, RecursionError):
        pass
    try:
        return list(_Reader(yaml.parse(text, yaml.CSafeLoader)).documents())
    except yaml.MarkedYAMLError as error:
        raise NotReadable(_told(error, text), error.problem_mark) from error
    except yaml.YAMLError as error:  # a control character
        raise NotReadable(f"character 0x{error.character:02x}: {error.reason}" if hasattr(error, "reason") else str(error)) from error
    except RecursionError as error:
        raise NotReadable("it is nested too deep") from error


def _json(text: str) -> Iterator:
    if not text.lstrip().startswith("{"):
        raise ValueError("kubectl takes for JSON only what begins with a brace")
    read = json.JSONDecoder(object_pairs_hook=_pairs, parse_int=_json_number, parse_float=_json_number, parse_constant=_json_number)
    rest = text.strip()
    while rest:
        value, end = read.raw_decode(rest)
        rest = rest[end:].lstrip()
        yield value


def _pairs(pairs: list[tuple]) -> dict:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a key stands there twice; the reader of YAML knows in which line")
    return dict(pairs)


def _json_number(text: str) -> int | float:
    value = number(text)
    if isinstance(value, str):
        raise ValueError(f"JSON has no number {text}")
    return whole(value)


def _told(error: yaml.MarkedYAMLError, text: str) -> str:
    """What is wrong, in libyaml's words, with where that began which it could not read to its end."""
    begun, mark = error.context_mark, error.problem_mark
    context = f" {error.context}" if error.context else ""
    where = f", which begins in line {begun.line + 1}" if begun and begun.line != mark.line else ""
    line = [*re.split(r"\r\n|[\n\r\x85\u2028\u2029]", text), ""][mark.line]
    tab = " (a tab: indent with spaces)" if line[mark.column : mark.column + 1] == "\t" else ""
    return f"{error.problem}{tab}{context}{where}"


class _Reader:
    """Values made of libyaml's events: what PyYAML makes of them knows too much of Python, and forbids to use an anchor again."""

    def __init__(self, events: Iterator[yaml.Event]):
        self.events = events

    def documents(self) -> Iterator:
        for _ in self.until(yaml.StreamEndEvent, only=yaml.DocumentStartEvent):
            self.anchors: dict[str, tuple | None] = {}  # a value, and of how many it is made; None while it is being read
            self.count = 0
            yield self.value(next(self.events))

    def until(self, end: type[yaml.Event], only: type[yaml.Event] = yaml.Event) -> Iterator[yaml.Event]:
        for event in self.events:
            if isinstance(event, end):
                return
            if isinstance(event, only):
                yield event

    def value(self, event: yaml.Event):
        if isinstance(event, yaml.AliasEvent):
            return self.alias(event)
        before = self.count
        self.add(1, event)
        if event.anchor:
            self.anchors[event.anchor] = None
        if event.tag not in TAGS:
            raise NotReadable(f"the tag {event.tag} means nothing to Kubernetes", event.start_mark)
        if isinstance(event, yaml.ScalarEvent):
            value = scalar(event)
            if isinstance(value, float) and not math.isfinite(value):
                raise NotReadable(f"{event.value} is a number that JSON does not have; if it is text, it wants quotes", event.start_mark)
            value = whole(value) if type(value) in (int, float) else value
        elif isinstance(event, yaml.SequenceStartEvent):
            value = [self.value(each) for each in self.until(yaml.SequenceEndEvent)]
        else:
            value = self.mapping()
        if event.anchor:
            self.anchors[event.anchor] = (value, self.count - before)
        return value

    def alias(self, event: yaml.AliasEvent):
        if event.anchor not in self.anchors:
            raise NotReadable(f"*{event.anchor} stands for nothing: no &{event.anchor} comes before it", event.start_mark)
        if self.anchors[event.anchor] is None:
            raise NotReadable(f"what &{event.anchor} names contains itself", event.start_mark)
        value, count = self.anchors[event.anchor]
        self.add(count, event)
        return copy.deepcopy(value)

    def add(self, count: int, event: yaml.Event) -> None:
        self.count += count
        if self.count > MOST:
            raise NotReadable(f"its aliases, written out, make more than {MOST:,} values", event.start_mark)

    def mapping(self) -> dict:
        found: dict = {}
        lines: dict[str, int] = {}  # of the keys that stand in this mapping itself; what is merged into it, they replace
        for event in self.until(yaml.MappingEndEvent):
            merges = isinstance(event, yaml.ScalarEvent) and event.value == "<<" and (event.implicit[0] or event.tag == f"{CORE}merge")
            key = "<<" if merges else self.key(event)
            if key in lines:
                raise NotReadable(f'the key "{key}" stands twice in one mapping, first in line {lines[key]}', event.start_mark)
            lines[key] = event.start_mark.line + 1
            value = self.value(next(self.events))
            below = self.merged(value, event) if merges else {key: value}
            if lost := sorted(lines.keys() & below) if merges else []:  # YAML would keep it, kubectl would not
                raise NotReadable(f'<< comes after the key "{lost[0]}", and would replace it; put << first', event.start_mark)
            found.update(below)
        return found

    def merged(self, value, event: yaml.Event) -> dict:
        several = value if isinstance(value, list) else [value]
        if not all(isinstance(each, dict) for each in several):
            raise NotReadable("<< wants a mapping, or a list of them", event.start_mark)
        return {key: below for each in reversed(several) for key, below in each.items()}

    def key(self, event: yaml.Event) -> str:
        plain = isinstance(event, yaml.ScalarEvent) and not event.anchor
        key = scalar(event) if plain else self.value(event)
        if isinstance(key, bool):
            return str(key).lower()
        if isinstance(key, float):
            text = f"{key:.6g}"  # Go writes no more digits than a float of 32 bits has; where that would lose some, it gets no key
            if not math.isfinite(key):
                return text.replace("inf", ".inf").replace("nan", ".nan")
            key = text if float(text) == key else key
        if isinstance(key, int) and -(2**63) <= key < 2**63:
            return str(key)
        if not isinstance(key, str):
            if isinstance(key, dict | list):  # most often the {{ name }} of a template
                raise NotReadable(
                    "a key is a mapping or a list; {{ … }} is for templates, and this is to be what comes of one", event.start_mark
                )
            shown = event.value if plain else json.dumps(key)
            raise NotReadable(f"the key {shown or '(none)'} is not text; if it is meant as such, it wants quotes", event.start_mark)
        return key
