"""Make an executed notebook fit to be committed: what only tells of the run, and not of the mesh, is taken out."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat

from lab_helpers.show.manifests import LINK

# The kernel's and papermill's own notes: times, paths, versions of this machine.
CELL_NOTES = ("execution", "papermill", "jupyter", "ExecuteTime", "collapsed")
# What no two runs share, and what stands for it: the time to effect, ids of requests and of traces, and a link to a file of the desk.
OF_THE_RUN = (
    (LINK, ""),
    (re.compile(r"(?<=proxies) after \d+\.\d\d s"), ""),
    (re.compile(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "REQUEST-ID"),
    (re.compile(r"(?<=/traces/)[0-9a-f]{16,32}\b"), "TRACE-ID"),
)
WIDGET = "application/vnd.jupyter.widget-view+json"
NOTEBOOK_NOTES = ("papermill", "widgets", "signature", "beside_a_build")


def normalise(source: Path, target: Path | None = None) -> Path:
    """Strip times, run ids and machine details from the notebook `source`; write it to `target`, by default in place.

    Outputs stay as they are, but for what no two runs share: the time that a change took to be in effect, ids of requests and traces.
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
                    output.data[form] = _timeless(content)
            if output.output_type == "stream":
                output.text = _timeless(output.text)
    notebook.cells = cells
    for note in NOTEBOOK_NOTES:
        notebook.metadata.pop(note, None)
    notebook.metadata.kernelspec = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook.metadata.language_info = {"name": "python"}
    notebook.nbformat_minor = 5
    nbformat.write(notebook, target or source)
    return target or source


def note_beside(executed: Path) -> None:
    """Note in an executed notebook that something was being built meanwhile."""
    notebook = nbformat.read(executed, as_version=4)
    notebook.metadata.beside_a_build = True
    nbformat.write(notebook, executed)


def was_beside(executed: Path) -> bool:
    """Whether that was noted."""
    return nbformat.read(executed, as_version=4).metadata.get("beside_a_build", False)


def _timeless(text: str) -> str:
    for pattern, instead in OF_THE_RUN:
        text = pattern.sub(instead, text)
    return text


def _require_success(name: str, number: int, cell) -> None:
    if cell.execution_count is None:
        raise ValueError(f"Cell {number} of {name} was not run.")
    for output in cell.outputs:
        if output.output_type == "error":
            raise ValueError(f"Cell {number} of {name} failed: {output.ename}: {output.evalue}")
