"""What a check looks at, declared by the annotations of its function, and what it was given instead, in words.

A check is only asked once all that it was given is of the kind that it declares. Whatever it raises then is a fault of ours, and is
shown as one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from numbers import Real
from typing import Annotated, get_type_hints

import numpy as np
import pandas as pd

from lab_helpers.core.errors import LabError


@dataclass(frozen=True)
class Kind:
    """A kind of input: how a sentence names it, and what is made of a value of it; None where a value is not of it."""

    name: str
    take: Callable


def given(answer) -> set[str]:
    """A learner's answer as a set of words, whether it came as one word or as several."""
    return {answer} if isinstance(answer, str) else set(answer)


def table(
    *others: str, text: Iterable[str] = (), numbers: Iterable[str] = (), measured: Iterable[str] = (), flags: Iterable[str] = ()
) -> type:
    """The annotation for a table.

    Parameters
    ----------
    *others : str
        Columns that it has to have, whatever is in them.
    text, numbers, flags : iterable of str
        Columns of which every value has to be there and of that kind.
    measured : iterable of str
        Columns of numbers, some of which may be missing.
    """
    kinds = {
        **{name: ("text", lambda each: isinstance(each, str)) for name in text},
        **{name: ("numbers", lambda each: _is_number(each) and not math.isnan(each)) for name in numbers},
        **{name: ("numbers", lambda each: _is_number(each) or each is None) for name in measured},
        **{name: ("True or False", lambda each: isinstance(each, bool | np.bool_)) for name in flags},
        **{name: ("", lambda each: True) for name in others},
    }
    types = {"text": object, "numbers": float, "True or False": bool, "": object}

    def take(value):
        if not isinstance(value, pd.DataFrame) or value.columns.has_duplicates:
            return None
        if not len(value):  # a table of nothing may well have no columns, or such as could hold anything
            return value.reindex(columns=[*dict.fromkeys([*value.columns, *kinds])]).astype(
                {name: types[kind] for name, (kind, _) in kinds.items()}
            )
        return value if all(name in value and value[name].map(of).all() for name, (_, of) in kinds.items()) else None

    listed = [f"{name} ({kind})" if kind else name for name, (kind, _) in kinds.items()]
    return Annotated[pd.DataFrame, Kind(f"a table with the columns {_listed(listed)}", take)]


def having(attribute: str, name: str) -> type:
    """The annotation for whatever has an attribute, such as the ``seconds`` of a window; `name` is how a sentence calls it."""
    return Annotated[object, Kind(name, lambda value: value if not isinstance(value, type) and hasattr(value, attribute) else None)]


def several(inner: type, name: str) -> type:
    """The annotation for a list, or the like, of things of one class."""

    def take(value):
        if isinstance(value, str | pd.DataFrame) or not isinstance(value, Iterable):
            return None
        value = list(value) if isinstance(value, Iterator) else value
        return value if all(isinstance(each, inner) and not isinstance(each, bool) for each in value) else None

    return Annotated[object, Kind(name, take)]


def _words(value):
    if not isinstance(value, str | Iterable) or isinstance(value, pd.DataFrame):
        return None
    words = given(value) if isinstance(value, str) else list(value)
    return set(words) if all(isinstance(each, str) for each in words) else None


def _is_number(value) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


NUMBER = Kind("a number", lambda value: value if _is_number(value) and not math.isnan(value) else None)
TEXT = Kind("text", lambda value: value if isinstance(value, str) else None)
LAB = Kind("the lab", lambda value: value if hasattr(value, "client") and hasattr(value, "namespace") else None)
KINDS = {float: NUMBER, int: NUMBER, str: TEXT, dict: Kind("a dict", lambda value: value if isinstance(value, dict) else None)}

Words = Annotated[object, Kind("a word, or several in braces", _words)]
Pair = Annotated[object, Kind("two words in parentheses", lambda value: value if _is_pair(value) else None)]
Estimate = Annotated[float, Kind("a number", lambda value: value if _is_number(value) else None)]  # what a query gives may be NaN


def _is_pair(value) -> bool:
    return isinstance(value, tuple | list) and len(value) == 2 and all(isinstance(each, str) for each in value)


def declared(judge: Callable) -> dict[str, Kind]:
    """What a check looks at, by parameter.

    Raises
    ------
    TypeError
        One of its parameters does not say of what kind it is. (A fault of the chapter's.)
    """
    hints = get_type_hints(judge, include_extras=True)
    kinds = {}
    for name in judge.__code__.co_varnames[: judge.__code__.co_argcount]:
        hint = hints.get(name)
        marked = [each for each in getattr(hint, "__metadata__", ()) if isinstance(each, Kind)]
        known = marked[0] if marked else LAB if name == "lab" else KINDS.get(hint)
        if known is None and not isinstance(hint, type):
            raise TypeError(f"{judge.__name__} does not say what {name} is: annotate it by show.inputs")
        kinds[name] = known or Kind(
            f"a value of the type {hint.__name__}", lambda value, hint=hint: value if isinstance(value, hint) else None
        )
    return kinds


def taken(judge: Callable, arguments: dict, number: str, title: str) -> dict:
    """What a check was given, as it takes it.

    Raises
    ------
    LabError
        One of the arguments is of another kind: what was given, what the check looks at.
    """
    kinds = declared(judge)
    found = {}
    for name, value in arguments.items():
        found[name] = kinds[name].take(value)
        if found[name] is None:
            what = f"Check {number} was given {described(value)} for {name}, and looks at {kinds[name].name}."
            raise LabError(what, f"{_hint(value, kinds[name])}It judges: {title}.")
    return found


def described(value) -> str:
    """A value as a sentence names it.

    Examples
    --------
    >>> [described(each) for each in (None, "2", 0.5, [1, 2])]
    ['nothing (None)', "the text '2'", 'the number 0.5', 'a list of 2']
    """
    if value is None:
        return "nothing (None)"
    if isinstance(value, str):
        return f"the text {value!r}" if len(value) <= 40 else f"the text {value[:40]!r}…"
    if isinstance(value, pd.DataFrame):
        return f"a table with the columns {_listed(list(value.columns))}" if len(value.columns) else "a table without columns"
    if LAB.take(value) is not None and not isinstance(value, type):
        return "the lab"
    if _is_number(value):
        return f"{value}, which is not a number" if math.isnan(value) else f"the number {value}"
    if isinstance(value, dict | list | tuple | set | frozenset):
        return f"a {type(value).__name__} of {len(value)}"
    if callable(value):
        return f"{getattr(value, '__name__', 'something')} itself, which is to be called"
    return f"{value}, of the type {type(value).__name__}" if isinstance(value, bool) else f"something of the type {type(value).__name__}"


def _hint(value, kind: Kind) -> str:
    if kind.name == NUMBER.name and isinstance(value, str):
        return "A number has no quotation marks. "
    if kind.name == TEXT.name and hasattr(value, "stdout"):
        return "What a command has printed is its .stdout. "
    return "Has the cell that makes it run to its end? " if value is None or isinstance(value, pd.DataFrame | list) else ""


def _listed(names: list) -> str:
    return ", ".join(map(str, names))
