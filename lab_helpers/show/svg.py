"""Small pictures written as SVG: part of the page, without a script; what a thing is comes up when the pointer rests on it."""

from __future__ import annotations

from html import escape

# Told apart by everyone, and seen on white as well as on black.
GOOD, WARN, BAD = "#2f9e60", "#e8833a", "#e0474c"
SMALLEST = 12  # pixels: what is smaller cannot be read by everybody
HUES = ("#4d8fdb", "#e8833a", "#9a6fd0", "#2f9e60", "#c7588f", "#8a8a3a", "#3aa3a3")


class Drawing:
    """An SVG as a notebook shows it.

    Parameters
    ----------
    width, height : float
        In pixels; on a page that is narrower it scrolls, so that its text stays as large as it is.
    parts : list of str
        Elements of the SVG.
    caption : str
        What the picture says, in words: for those who cannot see it, and for terminals.
    """

    def __init__(self, width: float, height: float, parts: list[str], caption: str):
        self.caption, self.across = caption, width
        head = f'<svg viewBox="0 0 {width:g} {height:g}" width="{width:g}" xmlns="http://www.w3.org/2000/svg"'
        look = "max-width: 100%; height: auto; color: inherit; font: 12px system-ui, sans-serif"
        self.svg = f'{head} style="{look}">{"".join(parts)}</svg>'

    def _repr_html_(self) -> str:
        look = "margin: .5em 0; overflow-x: auto"
        kept = f'<div style="width: {self.across:g}px">{self.svg}</div>'
        return f'<figure role="img" aria-label="{escape(self.caption)}" tabindex="0" style="{look}">{kept}</figure>'

    def __repr__(self) -> str:
        return self.caption


def legible(colour: str) -> str:
    """A colour of lines and areas as one for words: mixed with the page's own, it stands out enough in light and in dark."""
    return f"color-mix(in srgb, currentColor 50%, {colour})"


def text(x: float, y: float, words: str, anchor: str = "middle", size: float = 12, colour: str = "currentColor", weight: int = 400) -> str:
    """A line of text, vertically centred on `y`; one that would be too small to read is made larger."""
    fill = legible(colour) if colour in {GOOD, WARN, BAD, *HUES} else colour
    look = f'text-anchor="{anchor}" font-size="{max(size, SMALLEST):g}" fill="{fill}"'
    look += f' font-weight="{weight}"' if weight != 400 else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" dy=".35em" {look}>{escape(words)}</text>'


def group(parts: list[str], title: str, name: str = "") -> str:
    """Parts that belong together, with what comes up when the pointer rests on them."""
    return f"<g{f' class={chr(34)}{name}{chr(34)}' if name else ''}><title>{escape(title)}</title>{''.join(parts)}</g>"


def number(value: float, digits: int = 3) -> str:
    """A number as people write it, with so many digits that count: 0.0123, 1.23, 12.3, 1,230."""
    if value == 0 or value != value:
        return "0" if value == 0 else "–"
    rounded = float(f"{value:.{digits}g}")
    return f"{rounded:,.0f}" if abs(rounded) >= 10 ** (digits - 1) else f"{rounded:.{digits}g}"
