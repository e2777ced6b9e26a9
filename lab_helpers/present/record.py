"""Make an executed notebook fit to be committed: what only tells of the run, and not of the mesh, is taken out."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat

# The kernel's and papermill's own notes: times, paths, versions of this machine.
CELL_NOTES = ("execution", "papermill", "jupyter", "ExecuteTime", "collapsed")
TIME_TO_EFFECT = re.compile(r"(?<=proxies) after \d+\.\d\d s")
WIDGET = "application/vnd.jupyter.widget-view+json"
NOTEBOOK_NOTES = ("papermill", "widgets", "signature")


def normalise(source: Path, target: Path | None = None) -> Path:
    """Strip times, run ids and machine details from the notebook `source`; write it to `target`, by default in place.

    Outputs stay as they are, but for the time that a change took to be in effect, which no two runs share.
    Cell ids become ``NN-k``, so that a second run changes no line but the outputs that differ.

    Raises
    ------
    ValueError
        A cell failed or was not run: such a notebook is not a record.
    """
    notebook = nbformat.read(source, as_version=4)
    prefix = source.name.split("_")[0]
    cells = [cell for cell in notebook.cells if "injected-parameters" not in cell.metadata.get("tags", [])]
    for number, cell in enumerate(cells, 1):
        cell.id = f"{prefix}-{number}"
        for note in CELL_NOTES:
            cell.metadata.pop(note, None)
        if cell.cell_type == "code":
            _require_success(source.name, number, cell)
    for order, cell in enumerate((cell for cell in cells if cell.cell_type == "code"), 1):
        cell.execution_count = order
        for output in cell.outputs:
            if "execution_count" in output:
                output.execution_count = order
            output.get("data", {}).pop(WIDGET, None)  # a widget's model ends with its kernel
            for form, content in output.get("data", {}).items():
                if isinstance(content, str):
                    output.data[form] = TIME_TO_EFFECT.sub("", content)
    notebook.cells = cells
    for note in NOTEBOOK_NOTES:
        notebook.metadata.pop(note, None)
    notebook.metadata.kernelspec = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook.metadata.language_info = {"name": "python"}
    notebook.nbformat_minor = 5
    nbformat.write(notebook, target or source)
    return target or source


def _require_success(name: str, number: int, cell) -> None:
    if cell.execution_count is None:
        raise ValueError(f"Cell {number} of {name} was not run.")
    for output in cell.outputs:
        if output.output_type == "error":
            raise ValueError(f"Cell {number} of {name} failed: {output.ename}: {output.evalue}")
