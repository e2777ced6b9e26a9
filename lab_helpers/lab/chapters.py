"""What a chapter says of itself, and where all of them are found: nothing else knows a list of chapters."""

from __future__ import annotations

import difflib
import importlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lab_helpers.core.errors import LabError
from lab_helpers.kube.apply import Change

FOLDER = Path(__file__).parents[1] / "chapters"
CLIENTS = ("shared/client.yaml", "shared/plain-client.yaml")  # pods to send requests from: with a sidecar, and without one
BOOKINFO = tuple(f"04_bookinfo/{name}.yaml" for name in ("01-productpage", "02-gateway", "03-details", "04-reviews", "05-ratings"))


@dataclass(frozen=True)
class Chapter:
    """The record of one chapter.

    Attributes
    ----------
    stem : str
        ``NN_slug``, the name of its notebook.
    minutes : int
        To read and try it.
    question : str
        What it answers, in one sentence.
    start : tuple of str
        Manifests that it begins with, and nothing else.
    injection : bool
        Whether it begins with sidecars.
    prepare : callable, optional
        Called with the lab before all else: what the cluster needs for the chapter beyond its namespace; returns what it changed.
    ambient : bool
        Whether Istio has ambient mode, too.
    alone : str
        Why no other chapter may run on the cluster at the same time; empty where one may.
    """

    stem: str
    minutes: int
    question: str
    start: tuple[str, ...] = (*CLIENTS[:1], *BOOKINFO)
    injection: bool = True
    prepare: Callable[..., list[Change]] | None = None
    ambient: bool = False
    alone: str = ""

    @property
    def number(self) -> str:
        """``NN``, by which its checks begin."""
        return self.stem[:2]


def stems() -> list[str]:
    """The stems of all chapters, in order."""
    return sorted(path.name.removeprefix("c") for path in FOLDER.glob("c[0-9][0-9]_*/") if (path / "__init__.py").is_file())


def load(stem: str) -> Chapter:
    """The record of the chapter `stem`.

    Raises
    ------
    LabError
        There is no such chapter; names the nearest ones.
    """
    known = stems()
    if stem not in known:
        raise LabError(f"There is no chapter {stem!r}.", instead(stem, known))
    return importlib.import_module(f"lab_helpers.chapters.c{stem}").CHAPTER


def instead(stem: str, known: list[str]) -> str:
    """What somebody may have meant by a chapter that is not there, of those that there are: by its number alone, or by its name."""
    number = re.fullmatch(r"0?(\d{1,2})", str(stem))
    close = [each for each in known if number and each.startswith(f"{int(number[1]):02}_")]
    close = close or difflib.get_close_matches(str(stem), known, n=3, cutoff=0.6)
    return f"Did you mean {' or '.join(close)}?" if close else f"The chapters are: {', '.join(known)}."
