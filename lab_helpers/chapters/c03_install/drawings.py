"""What profiles install, as a picture, and how two of them differ, in a table that fits on a telephone."""

from __future__ import annotations

from html import escape

import pandas as pd

from lab_helpers.show import svg
from lab_helpers.show.render import FAINT, block

SHORT = {"control plane": "istiod"}  # the heads of the columns have 44 pixels each
LEFT, ACROSS, LAST, HIGH = 108, 43, 14, 22  # pixels: names, a column, more room before the last one, a row


def draw_profiles(table: pd.DataFrame) -> svg.Drawing:
    """Draw what each profile installs: a row a profile, a dot where it has the part, and the number of its objects.

    Parameters
    ----------
    table : pandas.DataFrame
        Of `profiles`.
    """
    parts = [name for name in table.columns if name != "objects"]
    columns = [LEFT + ACROSS * (at + 0.5) + (LAST if at == len(parts) else 0) for at in range(len(parts) + 1)]
    drawn = [svg.text(x, 12, SHORT.get(name, name)) for x, name in zip(columns, [*parts, "objects"], strict=True)]
    for row, (profile, has) in enumerate(table.iterrows()):
        y = 36 + HIGH * row
        place = f'x1="0" x2="{columns[-1] + ACROSS / 2:g}" y1="{y - HIGH / 2:g}" y2="{y - HIGH / 2:g}"'
        line = f'<line {place} stroke="currentColor" opacity=".2"/>'
        dots = [f'<circle cx="{x:g}" cy="{y}" r="6" fill="{svg.GOOD}"/>' for x, name in zip(columns, parts, strict=False) if has[name]]
        words = [svg.text(2, y, profile, "start"), svg.text(columns[-1] + 14, y, str(has["objects"]), "end")]
        drawn.append(svg.group([line, *words, *dots], _said(profile, has, parts)))
    caption = "What each profile installs. " + " ".join(_said(name, has, parts) for name, has in table.iterrows())
    return svg.Drawing(columns[-1] + ACROSS / 2, 36 + HIGH * len(table), drawn, caption)


def _said(profile: str, has: pd.Series, parts: list[str]) -> str:
    return f"{profile}: {', '.join(name for name in parts if has[name]) or 'nothing that runs'} ({has['objects']} objects)."


class SideBySide:
    """How two profiles differ, object by object: a row a field, with its value on either side.

    Parameters
    ----------
    table : pandas.DataFrame
        Of `compare_profiles`.
    """

    def __init__(self, table: pd.DataFrame):
        self.table = table
        self.sides = list(table.columns[2:])

    def __repr__(self) -> str:
        lines = []
        for name, rows in self.table.groupby("object", sort=False):
            lines += [name, *(f"  {each[1] or '(the whole object)'}: {each[2]} → {each[3]}" for each in rows.itertuples(index=False))]
        return "\n".join([f"{' → '.join(self.sides)}", *lines])

    def _repr_html_(self) -> str:
        widths = zip(["", *self.sides], (50, 25, 25), strict=True)
        head = "".join(_cell(escape(each), "th", f"; width: {width}%") for each, width in widths)
        rows = []
        for name, fields in self.table.groupby("object", sort=False):
            rows.append(_cell(escape(name), 'th colspan="3"'))
            for _, field, *values in fields.itertuples(index=False):
                rows.append("".join(map(_cell, [escape(field) if field else "all of it", *map(escape, values)])))
        look = "width: 100%; max-width: 46em; table-layout: fixed; border-collapse: collapse; font-size: 13px"
        body = "".join(f"<tr>{each}</tr>" for each in rows)
        return block(f'<table style="{look}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>')


def _cell(content: str, tag: str = "td", more: str = "") -> str:
    look = f"padding: .15em .4em; border-top: 1px solid {FAINT}; text-align: left; vertical-align: top; overflow-wrap: anywhere"
    return f'<{tag} style="{look}{more}">{content}</{tag.split()[0]}>'


def side_by_side(table: pd.DataFrame) -> SideBySide:
    """Show what `compare_profiles` has found, object by object."""
    return SideBySide(table)
