"""A chapter as a learner gets it: made from the course's notebook, without what was printed and without what is theirs to find."""

from __future__ import annotations

import hashlib
import re
from difflib import SequenceMatcher

from nbformat import NotebookNode
from nbformat.v4 import new_notebook

KEPT_BACK = {"solution", "claim"}  # the tags of cells that a learner does not get: what is to be found, and assertions that teach nothing
METADATA = {"kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}}


def learners(notebook: NotebookNode) -> NotebookNode:
    """The chapter with exercises as skeletons: no output, no solution, links as they are in a desk."""
    cells = [_bare(cell) for cell in notebook.cells if not KEPT_BACK & set(cell.metadata.get("tags", []))]
    return new_notebook(cells=cells, metadata={**METADATA, "language_info": {"name": "python"}})


def fingerprints(notebook: NotebookNode) -> list[str]:
    """A short hash of what each cell says."""
    return [hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:12] for cell in notebook.cells]


def differences(before: list[str], notebook: NotebookNode) -> list[str]:
    """Which cells of `notebook` are other ones than those that had the fingerprints `before`.

    Returns
    -------
    list of str
        One for each heading under which something differs, in order: ``Step 2: a canary: cells 14 and 15``. Cells are counted from 1.
    """
    now, found = fingerprints(notebook), {}
    for kind, _, _, start, end in SequenceMatcher(None, before, now, autojunk=False).get_opcodes():
        for at in [] if kind == "equal" else list(range(start, end)) or [None]:
            # Of a cell that has gone, only its place can be told: before the one that is there now.
            place = min(start, len(now) - 1) if at is None else at
            found.setdefault(_heading(notebook, place), []).append(f"gone before {place + 1}" if at is None else str(at + 1))
    return [f"{heading}: {_counted(cells)}" for heading, cells in found.items()]


def _bare(cell: NotebookNode) -> NotebookNode:
    bare = NotebookNode(id=cell.id, cell_type=cell.cell_type, source=cell.source, metadata={})
    if tags := [tag for tag in cell.metadata.get("tags", []) if not tag.startswith("nbval")]:
        bare.metadata = NotebookNode(tags=tags)
    if cell.cell_type == "code":
        bare.outputs, bare.execution_count = [], None
    else:
        bare.source = bare.source.replace("](../book/", "](book/")
    return bare


def _heading(notebook: NotebookNode, at: int) -> str:
    above = "\n".join(cell.source for cell in notebook.cells[: at + 1] if cell.cell_type == "markdown")
    return (re.findall(r"^#+ (.+)$", above, flags=re.MULTILINE) or ["the beginning"])[-1]


def _counted(cells: list[str]) -> str:
    shown = cells if len(cells) < 5 else [*cells[:3], f"{len(cells) - 3} more"]
    return f"cell{'s' if len(cells) > 1 else ''} {' and '.join(filter(None, [', '.join(shown[:-1]), shown[-1]]))}"
