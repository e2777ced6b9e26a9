"""One slider that moves a real mesh: a share of faults, a delay, a limit, and the picture of what callers get."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from typing import Any

from lab_helpers.core.errors import LabError
from lab_helpers.kube import objects
from lab_helpers.show.living import Living, freeze, module

__all__ = ["Knob", "Step", "freeze", "rehearse"]

HERE = files("lab_helpers.show.living")
SCRIPT, STYLE = (HERE / "knob.js").read_text(encoding="utf-8"), (HERE / "knob.css").read_text(encoding="utf-8")
Follow = Callable[[Any, float, Callable[[], bool]], Iterator["Step"]]


@dataclass(frozen=True)
class Step:
    """What is known of a setting after some of its requests.

    Attributes
    ----------
    picture : object
        Anything with ``_repr_html_``; each a complete picture, as wide as the one before.
    sentence : str
        The same in words.
    done, of : int
        How much of the measurement that is.
    """

    picture: Any
    sentence: str
    done: int
    of: int


def rehearse(lab, follow: Follow, values: Sequence[float]) -> list[list[dict]]:
    """Measure each of `values` in turn by `follow`: the recording for those who have no mesh, one list of states for each.

    A state has ``value``, ``picture`` (HTML), ``sentence``, ``done``, ``of``.
    """
    return [list(_states(lab, follow, value, lambda: False)) for value in values]


def _states(lab, follow: Follow, value: float, stopped: Callable[[], bool]) -> Iterator[dict]:
    with objects.sentences("Following the slider"):
        for each in follow(lab, value, stopped):
            picture = each.picture._repr_html_()
            yield {"value": value, "picture": picture, "sentence": each.sentence, "done": each.done, "of": each.of}


class Knob(Living):
    """A slider over some values of one setting.

    Parameters
    ----------
    lab : Lab
    follow : callable
        ``follow(lab, value, stopped)`` applies `value`, sends requests, and yields a `Step` after each batch of them; it sends no more once
        ``stopped()`` says yes.
    label, unit : str
        What the slider sets, such as ``"ratings answers 403 to"``, ``"%"``.
    values : sequence of number
        What it can be set to, in order.
    recorded : sequence
        What `rehearse` returned, for readers without a mesh. Its last setting is what the slider begins with.

    Raises
    ------
    LabError
        `values` are not two or more numbers in order, or the recording has one that is none of them.
    """

    name, script, style, wanted = "meshlab-knob", SCRIPT, STYLE, "value"
    _esm = module(SCRIPT)

    def __init__(
        self, lab, follow: Follow, *, label: str, unit: str = "", values: Sequence[float], recorded: Sequence[Sequence[dict]] = ()
    ):
        values = list(values)
        if len(values) < 2 or values != sorted(set(values)):
            raise LabError(f"A slider cannot have the values {values}.", "Give two or more numbers in ascending order.")
        strange = [states[0]["value"] for states in recorded if states[0]["value"] not in values]
        if strange:
            raise LabError(f"The recording has {strange[0]}, and the slider has not.", f"Add {strange[0]} to values.")
        self.follow = follow
        first = recorded[-1][-1] if recorded else {"value": values[0]}
        super().__init__(lab, first, recorded, {"label": label, "unit": unit, "values": values})

    def steps(self, wanted: float, stopped: Callable[[], bool]) -> Iterator[dict]:
        """As `rehearse`, for one value."""
        if wanted not in self.told["values"]:
            raise LabError(f"The slider has no {wanted}.", f"It has {', '.join(map(str, self.told['values']))}.")
        return _states(self.lab, self.follow, wanted, stopped)

    def finished(self, state: dict) -> bool:
        """Whether all was sent."""
        return state["done"] >= state["of"]

    @classmethod
    def still(cls, last: dict) -> str:
        """Picture and sentence."""
        return f"{last['picture']}<p>{escape(last['sentence'])}</p>"

    def __repr__(self) -> str:
        return f"A slider: {self.told['label']} … {self.told['unit']}".rstrip()
