"""How far a learner has come: all chapters' checks and predictions, from what the desk keeps."""

from __future__ import annotations

import os
import re
from pathlib import Path

import nbformat
import pandas as pd

from lab_helpers.core.errors import LabError
from lab_helpers.core.paths import ROOT
from lab_helpers.lab import chapters
from lab_helpers.show import checks
from lab_helpers.show import progress as kept


def progress(desk: Path | None = None) -> pd.DataFrame:
    """Say what has been done in a desk.

    Parameters
    ----------
    desk : Path, optional
        By default the one that the notebook is in.

    Returns
    -------
    DataFrame
        One row a chapter, in order, by its stem: ``checks`` and ``passed``, ``predictions``, ``answered`` and ``right``, all counts.
    """
    if desk is not None and not (isinstance(desk, str | os.PathLike) and os.path.isdir(desk)):
        raise LabError(f"{desk!r} is no folder.", "Leave it out in a notebook of your desk; else give the path of the desk.")
    known = kept.read(desk)
    return pd.DataFrame({stem: _counts(stem, known) for stem in chapters.stems()}).T.rename_axis("chapter")


def _counts(stem: str, known: dict) -> dict[str, int]:
    chapters.load(stem)
    numbers, asked = checks.numbers(stem[:2]), _asked(stem)
    answers = [known["predictions"].get(name, {}) for name in asked]
    return {
        "checks": len(numbers),
        "passed": sum(known["checks"].get(number, {}).get("passed", False) for number in numbers),
        "predictions": len(asked),
        "answered": sum("answer" in each for each in answers),
        "right": sum("answer" in each and each.get("right", False) for each in answers),
    }


def _asked(stem: str) -> list[str]:
    """Names of a chapter's predictions: they stand in its notebook, and nowhere else."""
    path = ROOT / "notebooks" / f"{stem}.ipynb"
    if not path.is_file():
        return []
    sources = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    return sorted(set(re.findall(r'predict\(\s*"(\d\d\.[a-z])"', "\n".join(sources))))
