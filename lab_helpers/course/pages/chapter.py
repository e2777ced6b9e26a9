"""A chapter as a page: what only a kernel, a learner or a test needs is folded or left out, and a figure is drawn when it is seen."""

from __future__ import annotations

import json
import re
from html import escape

import nbformat

from lab_helpers.show.manifests import without_links

PLOTLY = "application/vnd.plotly.v1+json"
WIDGET = "application/vnd.jupyter.widget-view+json"
UNSEEN = {"claim", "remove-cell"}  # cells that prove something to a test, and tell a reader nothing
SET_UP = re.compile(r"^from lab_helpers\.chapters\.c\w+ import \*", re.MULTILINE)
ASKS = re.compile(r"predict\(")
PROMPT = {"code_prompt_show": "Set-up: show the cell", "code_prompt_hide": "Set-up: hide the cell"}
TABLE = re.compile(r'<table[^>]*class="dataframe".*?</table>', re.DOTALL)
ROW = re.compile(r"<tr[^>]*>(.*?)</tr>", re.DOTALL)
NUMBER = re.compile(r"[-−+]?[\d.,]+(e[-+]?\d+)?( ?(%|ms|s))?|NaN|–")
DRAWS = '<script src="../_static/figures.js" defer></script>'


def readable(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Change an executed chapter, in place, into what a page can show by itself; return it.

    Cells tagged ``claim`` go, set-up cells are folded, widgets leave their recording, each figure becomes its data and a place to draw it
    in, and what papermill notes of the machine is dropped.
    """
    notebook.metadata.pop("papermill", None)
    notebook.cells = [cell for cell in notebook.cells if not UNSEEN & set(cell.metadata.get("tags", []))]
    for cell in (each for each in notebook.cells if each.cell_type == "code"):
        tags = cell.metadata.setdefault("tags", [])
        if "parameters" in tags or SET_UP.search(cell.source):
            cell.metadata.tags = [*tags, "hide-input"]
            cell.metadata.mystnb = PROMPT
        elif ASKS.match(cell.source) and cell.outputs:
            cell.metadata.tags = [*tags, "remove-input"]  # what it shows is the question, with its choices
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    for output in outputs:
        if "text/html" in output.get("data", {}):
            output.data.pop(WIDGET, None)  # its kernel is not there; the HTML beside it shows a recording
            output.data["text/html"] = TABLE.sub(_aligned, without_links(output.data["text/html"]))
    for output in (each for each in outputs if PLOTLY in each.get("data", {})):
        words = output.data.get("text/plain", "A figure.")
        output.data = {"text/html": figure(output.data[PLOTLY], words), "text/plain": words}
    return notebook


def has_figures(notebook: nbformat.NotebookNode) -> bool:
    """Whether a page made by `readable` draws any figure."""
    return any(DRAWS in output.get("data", {}).get("text/html", "") for cell in notebook.cells for output in cell.get("outputs", []))


def figure(data: dict, words: str) -> str:
    """A plotly figure as HTML: its place on the page, what it says in words, and its data, which ``figures.js`` draws when it is seen."""
    height = int(data.get("layout", {}).get("height", 450))
    text = json.dumps({"data": data["data"], "layout": data["layout"]}, separators=(",", ":")).replace("</", "<\\/")
    told = f'<details><summary>The same in words</summary><pre tabindex="0">{escape(words)}</pre></details>'
    return (
        f'<div class="meshlab-figure" role="figure" aria-label="{escape(words.splitlines()[0])}" style="min-height: {height}px">'
        f'<script type="application/json">{text}</script></div>{told}{DRAWS}'
    )


def _aligned(table: re.Match) -> str:
    """A table of pandas whose columns of numbers say so, to be aligned by the style sheet; those with joined cells stay."""
    rows = [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row, re.DOTALL) for row in ROW.findall(table[0])]
    if re.search("(row|col)span", table[0]) or len(rows) < 2 or len({len(row) for row in rows}) > 1:
        return table[0]
    numbers = [all(NUMBER.fullmatch(cell.strip()) for cell in cells) for cells in zip(*rows[1:], strict=True)]

    def marked(row: re.Match) -> str:
        columns = iter(numbers)
        return re.sub(r"<t[dh](?=[ >])", lambda cell: f'{cell[0]} class="number"' if next(columns) else cell[0], row[0])

    return ROW.sub(marked, table[0])
