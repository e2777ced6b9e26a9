"""Predictions: asked before a cell is run, and laid beside what was seen after it.

jupyterquiz and the like hold the right answer in the question. Here it is the mesh that answers, later, so that nothing in the question
tells. The output of `predict` is plain HTML that works without a kernel, too; where there is one, a model of anywidget tells it the answer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from numbers import Real

import anywidget
import traitlets
from IPython.display import display

from lab_helpers.core.errors import LabError
from lab_helpers.show import progress

__all__ = ["predict", "resolve"]

HERE = files("lab_helpers.show.predictions")
SCRIPT, STYLE = ((HERE / f"prediction.{kind}").read_text(encoding="utf-8") for kind in ("js", "css"))
_asked: dict[str, Prediction] = {}


def predict(name: str, choices: Sequence[str] = (), *, number: str = "") -> None:
    """Ask for a prediction; unanswered is an answer, too.

    Parameters
    ----------
    name : str
        ``"12.a"``: chapter and letter.
    choices : sequence of str
        What can be chosen; one of them.
    number : str
        Or, of a number that is to be predicted, what it counts or its unit.

    Raises
    ------
    LabError
        The name is none, or there is nothing to choose from.
    """
    if not re.fullmatch(r"\d\d\.[a-z]", str(name)):
        raise LabError(f"{name!r} is not the name of a prediction.", 'Names look like "12.a": chapter, dot, letter.')
    if not isinstance(choices, list | tuple) or not all(isinstance(each, str) for each in choices):
        raise LabError(f"Prediction {name} has {choices!r} to choose from.", 'Give it a list of texts, such as ["no", "yes"].')
    if bool(number) == bool(choices) or len(set(choices)) == 1:
        raise LabError(f"Prediction {name} has nothing to choose from.", "Give it a list of choices, or what a number counts: number=...")
    if old := _asked.pop(name, None):
        old.close()
    _asked[name] = Prediction(name, tuple(choices), number)
    display(_asked[name])


def resolve(name: str, seen: str | float, *, within: float = 0) -> None:
    """Show what was predicted beside what was seen.

    Parameters
    ----------
    name : str
        That of a prediction that was asked before.
    seen : str or number
        One of its choices, or the number; made of what the mesh has just done.
    within : number
        How far a predicted number may be from it and still be right.

    Raises
    ------
    LabError
        It was not asked, or what was seen is none of its choices.
    """
    asked = _asked.get(name)
    if asked is None:
        raise LabError(f"Prediction {name} has not been asked yet.", "Run the cell with its question first.")
    seen = float(seen) if isinstance(seen, Real) and not isinstance(seen, bool) else seen
    if asked.choices and seen not in asked.choices or not asked.choices and not isinstance(seen, float):
        raise LabError(f"What was seen, {seen!r}, is none of the answers to {name}.", f"They are: {', '.join(asked.choices) or 'numbers'}.")
    right = {"right": _agree(asked.answer, seen, within)} if asked.answer else {}
    progress.keep("predictions", name, seen=seen, **right)
    display(Resolution(name, asked.number, asked.answer, _text(seen), _text(within) if asked.number else ""))


class Prediction(anywidget.AnyWidget):
    """A question with its choices, and the answer to it, once there is one.

    Parameters
    ----------
    name : str
    choices : tuple of str
    number : str
        What a number counts, where there are no choices.
    """

    _esm = SCRIPT + "\nexport default { initialize };\n"
    name = traitlets.Unicode().tag(sync=True)
    answer = traitlets.Unicode().tag(sync=True)  # empty as long as there is none

    def __init__(self, name: str, choices: tuple[str, ...], number: str):
        self.choices, self.number = choices, number
        known = _text(progress.read()["predictions"].get(name, {}).get("answer", ""))
        super().__init__(name=name, answer=known if known in choices or number and _is_number(known) else "")

    @traitlets.observe("answer")
    def _keep(self, change) -> None:
        if change["new"] and (change["new"] in self.choices or self.number and _is_number(change["new"])):
            progress.keep("predictions", self.name, answer=float(change["new"]) if self.number else change["new"])

    def __repr__(self) -> str:
        return "\n".join(f"○ {each}" for each in self.choices) or f"___ {self.number}"

    def _repr_mimebundle_(self, **_how) -> dict[str, str]:
        # No view of the model: where its kernel has gone, JupyterLab would have nothing but "model not found" to show.
        inputs = "".join(
            f'<label><input type="radio" name="{self.name}" value="{escape(each)}"><span>{escape(each)}</span></label>'
            for each in self.choices
        )
        inputs = inputs or f'<label><input type="number" step="any"><span>{escape(self.number)}</span></label>'
        content = f"<fieldset><legend>Your prediction</legend>{inputs}</fieldset>"
        return {"text/html": _html("asked", {"name": self.name, "answer": self.answer}, content), "text/plain": repr(self)}


@dataclass(frozen=True)
class Resolution:
    """A prediction beside what was seen; texts, empty where there is none.

    Attributes
    ----------
    name, number, answer, seen : str
    within : str
        How far from `seen` a number may be; empty where it is none.
    """

    name: str
    number: str
    answer: str
    seen: str
    within: str

    def __str__(self) -> str:
        return f"{self.name} predicted: {self.answer or 'not answered'}; seen: {self.seen} {self.number}".rstrip()

    def _repr_pretty_(self, printer, cycle) -> None:
        printer.text(str(self))

    def _repr_html_(self) -> str:
        unit = f" {escape(self.number)}" if self.number else ""
        content = '<dl><dt>You predicted</dt><dd class="predicted">{}</dd><dt>Seen</dt><dd>{}{}</dd></dl>'
        data = {"name": self.name, "answer": self.answer, "seen": self.seen, "within": self.within}
        return _html("resolved", data, content.format(escape(self.answer or "not answered"), escape(self.seen), unit))


def _html(function: str, data: dict[str, str], content: str) -> str:
    facts = " ".join(f'data-{name}="{escape(value)}"' for name, value in data.items())
    box = f"<style>{STYLE}</style><div class='meshlab-prediction' {facts}>{content}</div>"
    return f"{box}<script>(() => {{\n{SCRIPT}{function}(document.currentScript.previousElementSibling);\n}})();</script>"


def _agree(answer: str, seen: str | float, within: float) -> bool:
    return abs(float(answer) - seen) <= within if isinstance(seen, float) else answer == seen


def _text(value: str | float) -> str:
    return f"{value:.10g}" if isinstance(value, float | int) else str(value)


def _is_number(text: str) -> bool:
    return bool(re.fullmatch(r"-?\d*\.?\d+", text))
