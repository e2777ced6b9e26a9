"""Where two documents differ, field by field: what a person wants to know when a diff of lines would be hundreds long."""

from __future__ import annotations

import json
from collections.abc import Iterator

from lab_helpers.core import decoding
from lab_helpers.core.scalars import NotReadable

ABSENT = "—"


def differences(before, after, path: str = "") -> Iterator[tuple[str, str, str]]:
    """Yield each field in which two documents differ: its path, and its value in either (``—`` where there is none).

    A field that only one of them has is named once, however much is below it. The items of a list are told apart by
    their ``name``; YAML or JSON inside a string is looked into.

    Examples
    --------
    >>> list(differences({"a": 1, "c": [{"name": "x", "port": 80}]}, {"a": 1, "c": [{"name": "x", "port": 81}]}))
    [('c.x.port', '80', '81')]
    """
    before, after = _opened(before), _opened(after)
    if before == after:
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for key in dict.fromkeys([*before, *after]):
            below = f"{path}.{key}" if path else str(key)
            if key not in before or key not in after:
                yield below, _short(before[key]) if key in before else ABSENT, _short(after[key]) if key in after else ABSENT
            else:
                yield from differences(before[key], after[key], below)
    else:
        yield path, _short(before), _short(after)


def _opened(value):
    """`value` as something with named fields, where it can be read as such."""
    if isinstance(value, str) and "\n" in value:
        try:
            parsed = decoding.documents(value)
        except NotReadable:
            return value
        return parsed[0] if len(parsed) == 1 and isinstance(parsed[0], dict) else value
    if isinstance(value, list) and value and all(isinstance(each, dict) and "name" in each for each in value):
        return {each["name"]: {key: below for key, below in each.items() if key != "name"} for each in value}
    return value


def _short(value, width: int = 40) -> str:
    """`value` in one line; of something big, what is in it."""
    opened = _opened(value)
    text = json.dumps(opened, ensure_ascii=False) if isinstance(opened, dict | list) else str(opened)
    if len(text) > width and isinstance(opened, dict):
        text = f"{{{', '.join(map(str, opened))}}}"
    if len(text) > width and isinstance(opened, list):
        text = f"{len(opened)} items"
    return text if len(text) <= width else f"{text[: width - 1]}…"
