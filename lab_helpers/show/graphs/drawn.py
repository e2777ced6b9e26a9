"""A graph as a notebook shows it: never so small that its words cannot be read; where it is wider than the page, it scrolls."""

from __future__ import annotations

from html import escape

from lab_helpers.show.graphs.layout import LINE, Arrow, Box
from lab_helpers.show.svg import Drawing, text

LEAST = 12  # pixels that a letter is high at least


class Graph(Drawing):
    """A drawing that shrinks with the page only as far as its words can be read.

    Parameters
    ----------
    width, height : float
        In pixels.
    parts : list of str
        Elements of the SVG.
    caption : str
        What the picture says, in words.
    legend : str
        HTML: what its colours and lines mean; nothing where they need no words.
    """

    def __init__(self, width: float, height: float, parts: list[str], caption: str, legend: str = ""):
        super().__init__(width, height, parts, caption)
        self.width, self.legend = width, legend
        self.svg = self.svg.replace("max-width: 100%", f"width: 100%; font-size: {LINE}px")

    def _repr_html_(self) -> str:
        size = f"min-width: {self.width * LEAST / LINE:.0f}px; max-width: {self.width:.0f}px"
        scrolled = f'<div style="{size}">{self.svg}</div>'
        legend = f'<figcaption style="font-size: {LEAST}px; margin-top: .3em">{self.legend}</figcaption>' if self.legend else ""
        look = "margin: .5em 0; padding: 0"
        named = f'role="img" aria-label="{escape(self.caption)}"'
        return f'<figure style="{look}"><div {named} tabindex="0" style="overflow-x: auto">{scrolled}</div>{legend}</figure>'


def line(arrow: Arrow, colour: str, more: str = "") -> str:
    """An arrow: its line, and its head."""
    path = f'<path d="{arrow.path}" fill="none" stroke="{colour}" stroke-width="2"{more}/>'
    return f'{path}<path d="M{arrow.x:.1f},{arrow.y:.1f} l-9,-4.5 v9 z" fill="{colour}"/>'


def words(arrow: Arrow, above: str, below: str = "") -> str:
    """What stands at the level end of an arrow, before its head."""
    x = arrow.x - 12
    return text(x, arrow.y - 9, above, "end", LINE) + (text(x, arrow.y + 10, below, "end", LINE) if below else "")


def box(place: Box, colour: str, names: list[str], dashed: bool = False, free: float = 0) -> str:
    """A box with a line of text or two; so much on its right is left free."""
    line_ = ' stroke-dasharray="4 3"' if dashed else ""
    frame = f'<rect x="{place.x:.1f}" y="{place.y:.1f}" width="{place.width:.1f}" height="{place.height:.1f}" rx="6" '
    frame += f'fill="{colour}" fill-opacity=".08" stroke="{colour}" stroke-width="1.4"{line_}/>'
    first = place.y + place.height / 2 - (len(names) - 1) * 8
    middle = place.x + (place.width - free) / 2
    return frame + "".join(text(middle, first + 16 * number, each, size=LINE) for number, each in enumerate(names))
