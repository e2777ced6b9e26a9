"""The page "the article and the course": each item of the article, and the heading of the chapter under which it is met."""

from __future__ import annotations

import re
import tomllib
from importlib.resources import files
from pathlib import Path

import nbformat

from lab_helpers.core.errors import LabError

ITEMS = files("lab_helpers.course.pages") / "article.toml"
WHOLE = "00"  # what is true of the article as a whole, and not of a part


def items() -> dict[str, dict[str, list[str]]]:
    """Every item by the stem of its chapter and its number: what it is, and the beginning of a heading where its chapter is written."""
    return tomllib.loads(ITEMS.read_text(encoding="utf-8"))


def headings(notebook: Path) -> list[str]:
    """The headings of a chapter below its title, as written."""
    cells = nbformat.read(notebook, as_version=4).cells
    return [line for cell in cells if cell.cell_type == "markdown" for line in re.findall(r"^##+ (.+?)\s*$", cell.source, re.MULTILINE)]


def find(notebook: Path, beginning: str) -> str:
    """The one heading of a chapter that begins so.

    Raises
    ------
    LabError
        There is none, or more than one.
    """
    found = [each for each in headings(notebook) if re.match(rf"{re.escape(beginning)}(?!\w)", each)]
    if len(found) != 1:
        what = "no heading" if not found else f"{len(found)} headings"
        raise LabError(f"{notebook.stem} has {what} beginning with {beginning!r}.", "article.toml names one: correct it there.")
    return found[0]


def table(notebooks: Path) -> str:
    """The page's tables, as Markdown: one for each chapter, with links to the headings of those that are in `notebooks`."""
    parts = []
    for stem, listed in items().items():
        notebook = notebooks / f"{stem}.ipynb"
        rows = [f"| {number} | {item[0]} | {_where(notebook, item)} |" for number, item in listed.items()]
        parts.append(
            "\n".join([f"## {_title(notebook, stem)}", "", "| item | in the article | in the course |", "|---|---|---|", *rows, ""])
        )
    return "\n".join(parts)


def _title(notebook: Path, stem: str) -> str:
    if stem == WHOLE:
        return "The article as a whole"
    if notebook.is_file():
        return nbformat.read(notebook, as_version=4).cells[0].source.splitlines()[0].removeprefix("# ")
    return f"{int(stem[:2])} · {stem[3:].replace('_', ' ').capitalize()} (planned)"


def _where(notebook: Path, item: list[str]) -> str:
    if notebook.stem == WHOLE:
        return "every chapter: a test holds it"
    if not notebook.is_file():
        return "planned"
    _, beginning = item
    if not beginning:
        return f"[the whole chapter](../notebooks/{notebook.name})"
    heading = find(notebook, beginning)
    return f"[{heading}](../notebooks/{notebook.name}#{_anchor(heading)})"


def _anchor(heading: str) -> str:
    """The id that MyST gives a heading: as GitHub does."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
