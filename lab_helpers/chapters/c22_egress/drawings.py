"""Who has got where, under which rules: a picture of several tables of visits, side by side."""

from __future__ import annotations

import pandas as pd

from lab_helpers.chapters.c22_egress.visits import NOWHERE, PASSED
from lab_helpers.show import svg

LEFT, ACROSS, HIGH, TOP = 208, 128, 24, 46  # pixels: names, a column, a row, the heads
KEY = (("by its name", svg.GOOD, True), ("as unknown", svg.GOOD, False), ("not at all", svg.BAD, True))


def draw_reach(tables: dict[str, pd.DataFrame]) -> svg.Drawing:
    """Draw who has got where: a row for each caller and address, a column for each of several rules; hollow is what went as unknown.

    Parameters
    ----------
    tables : dict of str to pandas.DataFrame
        Of `reach`, by what was the rule then: in two lines, if it is long.
    """
    rows = list(dict.fromkeys(pair for table in tables.values() for pair in zip(table["caller"], table["asks"], strict=True)))
    width = LEFT + ACROSS * len(tables)
    drawn, said = [], []
    for column, rule in enumerate(tables):
        lines = rule.split("\n")
        drawn += [svg.text(_middle(column), 12 + 16 * number, line, weight=600) for number, line in enumerate(lines)]
    for number, (caller, asks) in enumerate(rows):
        y = TOP + HIGH * (number + 0.5)
        new = not number or rows[number - 1][0] != caller
        top, faint = y - HIGH / 2, ".5" if new else ".15"
        line = f'<line x1="0" x2="{width}" y1="{top:g}" y2="{top:g}" stroke="currentColor" opacity="{faint}"/>'
        words = [svg.text(2, y, caller, "start", weight=600)] if new else []
        drawn += [line, *words, svg.text(LEFT - 8, y, asks.partition("://")[2] if asks.startswith("https") else asks, "end")]
        for column, (rule, table) in enumerate(tables.items()):
            found = table[(table["caller"] == caller) & (table["asks"] == asks)]
            drawn += [_cell(column, y, each, rule) for each in found.to_dict("records")[:1]]
    bottom = TOP + HIGH * len(rows) + 18
    for number, (words, colour, known) in enumerate(KEY):
        x = LEFT + 26 + 150 * number
        drawn += [_dot(x, bottom, colour, known), svg.text(x + 12, bottom, words, "start")]
    drawn.append(svg.text(LEFT - 8, bottom, "reached", "end"))
    for rule, table in tables.items():
        kept = [f"{each.caller} from {each.asks}" for each in table.itertuples() if each.outcome != "200"]
        said.append(f"{' '.join(rule.split())}: {'kept from it are ' + ', '.join(kept) if kept else 'everybody gets everywhere'}.")
    return svg.Drawing(max(width, LEFT + 150 * len(KEY)), bottom + 12, drawn, f"Who gets where. {' '.join(said)}")


def _cell(column: int, y: float, row: dict, rule: str) -> str:
    colour = svg.GOOD if row["outcome"] == "200" else svg.BAD
    dot = _dot(_middle(column) - 26, y, colour, row["by"] != PASSED)
    way = f", by {row['by']}" if row["by"] != NOWHERE else ", sent nowhere by its proxy"
    title = f"{' '.join(rule.split())}: {row['caller']} asks for {row['asks']}: {row['outcome']}{way}"
    return svg.group([dot, svg.text(_middle(column) - 14, y, row["outcome"], "start")], title)


def _dot(x: float, y: float, colour: str, full: bool) -> str:
    return f'<circle cx="{x:g}" cy="{y:g}" r="5.5" fill="{colour if full else "none"}" stroke="{colour}" stroke-width="2"/>'


def _middle(column: int) -> float:
    return LEFT + ACROSS * (column + 0.5)
