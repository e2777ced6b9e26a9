"""Checks: a learner's live state in, a sentence out; what is wrong is named, and why is hinted at.

A chapter's checks are functions in its folder's ``checks.py``, each registered under its number when the chapter is imported. A check
returns the sentence that is true if all is well, or that and the statistics behind it, and raises `wrong` otherwise. Its parameters
say by their annotations what it looks at (`inputs`); it is not asked before it has been given that.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from html import escape

from IPython.core.interactiveshell import InteractiveShell
from IPython.display import display

from lab_helpers.core.errors import CheckError, LabError
from lab_helpers.show import progress
from lab_helpers.show.inputs import declared, given, taken

__all__ = ["check", "given", "numbers", "register", "wrong"]


@dataclass(frozen=True)
class _Check:
    title: str
    judge: Callable[..., str | tuple[str, str]]


@dataclass(frozen=True)
class Verdict:
    """What a check has found.

    Attributes
    ----------
    number, title : str
    sentence : str
        What is true, or what is wrong.
    more : str
        The statistics behind it; of what is wrong, the hint.
    passed : bool
    """

    number: str
    title: str
    sentence: str
    more: str = ""
    passed: bool = True

    def __str__(self) -> str:
        line = f"{'✔' if self.passed else '✘'} {self.number} {self.title}: {self.sentence}"
        return f"{line}\n  {self.more}" if self.more else line

    def _repr_pretty_(self, printer, cycle) -> None:
        printer.text(str(self))

    def _repr_html_(self) -> str:
        mark, colour = ("✔", "#2da44e") if self.passed else ("✘", "#cf222e")
        ground = f"color-mix(in srgb, {colour} 12%, transparent)"
        look = f"border-left: 5px solid {colour}; background: {ground}; padding: .5em .9em; margin: .3em 0"
        body = f"<div><b>{mark} {self.number} {escape(self.title)}</b></div><div>{escape(self.sentence)}</div>"
        if self.more and self.passed:
            body += f'<details style="font-size: .9em"><summary>the statistics</summary>{escape(self.more)}</details>'
        elif self.more:
            body += f"<div>→ {escape(self.more)}</div>"
        return f'<div style="{look}">{body}</div>'


_checks: dict[str, _Check] = {}


def register(number: str, title: str) -> Callable:
    """Make a function the check `number`, such as ``"04.2"``; `title` says what it judges."""

    def add(judge: Callable[..., str]) -> Callable[..., str]:
        _checks[number] = _Check(title, judge)
        return judge

    return add


def check(number: str = "", *state, **answers) -> None:
    """Judge a step of a chapter by its live state, and show the verdict.

    Parameters
    ----------
    number : str
        ``"NN.k"``: chapter and step.
    *state, **answers
        What that check looks at: the lab, what was observed, a learner's own answer.

    Raises
    ------
    CheckError
        The state is not as it should be: what is wrong, and a hint.
    LabError
        There is no such check, or it was given something else than it looks at.
    """
    found = _find(number)
    try:
        arguments = inspect.signature(found.judge).bind(*state, **answers).arguments
    except TypeError as error:
        call = ", ".join([f'"{number}"', *inspect.signature(found.judge).parameters])
        do = f"It is check({call}). It judges: {found.title}."
        raise LabError(f"Check {number} was not given what it looks at: {error}.", do) from None
    for name, value in arguments.items():
        if value is ...:
            wanted = declared(found.judge)[name].name
            raise LabError(f"Check {number} waits for your {name}.", f"Put {wanted} in place of the dots, and run both cells.")
    arguments = taken(found.judge, arguments, number, found.title)
    try:
        judged = found.judge(**arguments)
    except CheckError as error:
        progress.keep("checks", number, passed=progress.read()["checks"].get(number, {}).get("passed", False))
        failed = CheckError(f"✘ {number} {found.title}: {error.what}", error.do)
        if InteractiveShell.initialized():
            display(Verdict(number, found.title, error.what, error.do, passed=False))
            failed.shown = True
        raise failed from None
    sentence, more = judged if isinstance(judged, tuple) else (judged, "")
    progress.keep("checks", number, passed=True)
    display(Verdict(number, found.title, sentence, more))


def wrong(what: str, hint: str) -> CheckError:
    """The error that a check raises: what is wrong, and a hint that does not give the answer away."""
    return CheckError(what, hint)


def numbers(chapter: str) -> list[str]:
    """Numbers of all checks of chapter ``"NN"``, in order; none before it is imported."""
    return sorted((each for each in _checks if each.startswith(f"{chapter}.")), key=lambda number: int(number[3:]))


def _find(number: str) -> _Check:
    if not isinstance(number, str) or not re.fullmatch(r"\d\d\.\d+", number):
        raise LabError(f"{number!r} is not the number of a check.", 'Numbers are text and look like "04.2": chapter, dot, step.')
    known = numbers(number[:2])
    if number not in known:
        raise LabError(
            f"There is no check {number}.",
            f"Chapter {number[:2]} has {', '.join(known) or 'none here: run the first cell of its notebook'}.",
        )
    return _checks[number]
