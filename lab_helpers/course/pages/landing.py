"""The first page of the site: what weights do to traffic, replayed, and a picture of each chapter; both from the chapters' outputs."""

from __future__ import annotations

import re
from html import escape
from pathlib import Path

import nbformat

from lab_helpers.lab import chapters

REPLAY = "meshlab-shifting"  # the class of the recording of chapter 12's sliders


def replay(notebook: Path) -> str:
    """The recording of the sliders of chapter 12, as Markdown; empty where there is no such notebook, or it holds none."""
    found = [shown for shown in (_shown(notebook) if notebook.is_file() else []) if REPLAY in shown and "<script" in shown]
    return _raw(re.sub(r"<p class='note'>.*?</p>", "", found[-1])) if found else ""


def gallery(notebooks: Path, stems: list[str], cards: Path) -> str:
    """A card for each chapter, as Markdown: its number, title, question, minutes and picture, from the folder `cards` or its outputs."""
    parts = []
    for stem in (each for each in stems if each in chapters.stems()):
        record, notebook = chapters.load(stem), notebooks / f"{stem}.ipynb"
        parts.append(
            f'<a class="chapter" href="../notebooks/{stem}.html"><div class="picture" aria-hidden="true">{_picture(notebook, cards)}</div>'
            f"<div><strong>{escape(title(notebook))}</strong></div><div>{escape(record.question)}</div>"
            f"<div><small>{record.minutes} minutes</small></div></a>"
        )
    return _raw(f'<div class="gallery">{"".join(parts)}</div>')


def title(notebook: Path) -> str:
    """A chapter's title, as its first line has it."""
    first = nbformat.read(notebook, as_version=4).cells[0].source.splitlines()[0]
    return first.removeprefix("# ")


def _picture(notebook: Path, cards: Path) -> str:
    """The picture on a chapter's card: one made for it, else its first drawing, without words, which are too small to read there."""
    if (card := cards / f"{notebook.stem}.svg").is_file():
        return card.read_text(encoding="utf-8")
    svgs = (re.search(r"<svg\b.*?</svg>", shown, re.DOTALL) for shown in _shown(notebook))
    found = next((found[0] for found in svgs if found), "")
    return re.sub(r"<(text|title)\b.*?</\1>", "", found, flags=re.DOTALL)


def _shown(notebook: Path) -> list[str]:
    cells = nbformat.read(notebook, as_version=4).cells
    return [output.get("data", {}).get("text/html", "") for cell in cells for output in cell.get("outputs", [])]


def _raw(html: str) -> str:
    return f"```{{raw}} html\n{html}\n```\n"
