"""Drawings that take the colours of the page around them: an SVG that a page names becomes part of the page."""

from __future__ import annotations

import re
from html import escape
from pathlib import Path

FIGURE = re.compile(r"^```\{figure\} (?P<name>\S+\.svg)\n(?P<options>(?::[^\n]*\n)*)\n?(?P<caption>.*?)^```$", re.MULTILINE | re.DOTALL)
GROUND = re.compile(r' style="background: [^"]*"')  # what it stands on where it is a picture by itself


def inlined(text: str, folder: Path) -> str:
    """A page of the book, as Markdown, with the SVGs of its figures written into it.

    Parameters
    ----------
    text : str
    folder : Path
        To which the names of the figures are relative.
    """
    return FIGURE.sub(lambda found: _inline(found, folder), text)


def _inline(found: re.Match, folder: Path) -> str:
    alt = re.search(r"^:alt: (.*)$", found["options"], re.MULTILINE)
    svg = GROUND.sub("", (folder / found["name"]).read_text(encoding="utf-8"), count=1)
    named = f'role="img" aria-label="{escape(alt[1])}"' if alt else 'aria-hidden="true"'
    return f'```{{raw}} html\n<figure class="drawing" {named}>\n{svg}</figure>\n```\n\n{found["caption"]}'
