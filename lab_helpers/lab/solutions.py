"""Solutions of a chapter's exercises: they stand in the course's own notebook, and are shown on request."""

from __future__ import annotations

import nbformat
from IPython.display import Code, display

from lab_helpers.core.errors import LabError
from lab_helpers.core.paths import ROOT
from lab_helpers.lab import chapters

SOLUTION = "solution"  # the tag of their cells


def solution(number: str) -> None:
    """Show the solution that leads to the check `number`, after asking.

    Parameters
    ----------
    number : str
        ``"12.6"``.

    Raises
    ------
    LabError
        There is no such check, or it needs no solution.
    """
    found = find(number)
    if input(f"Show the solution of {number}? It is yours to find. [y/N] ").strip().lower() not in ("y", "yes"):
        print("Not shown.")
        return
    for source in found:
        display(Code(source, language="yaml" if source.startswith("%%writefile") else "python"))


def find(number: str) -> list[str]:
    """Sources of the cells that solve what check `number` judges: those between the check before it and itself."""
    stem = next((each for each in chapters.stems() if each[:2] == str(number)[:2]), None)
    path = ROOT / "notebooks" / f"{stem}.ipynb"
    if stem is None or not path.is_file():
        raise LabError(f"There is no check {number!r}.", 'Numbers look like "12.6": chapter, dot, step.')
    found: list[str] = []
    for cell in (each for each in nbformat.read(path, as_version=4).cells if each.cell_type == "code"):
        if SOLUTION in cell.metadata.get("tags", []):
            found.append(cell.source)
        elif f'check("{number}"' in cell.source:
            if found:
                return found
            raise LabError(f"Check {number} judges what the chapter's own cells do: it has no solution.", "Run the cells above it.")
        elif 'check("' in cell.source:
            found = []
    raise LabError(f"There is no check {number!r}.", f"Those of chapter {stem} stand in its notebook.")
