"""What an eavesdropper has read of several calls, beside each other."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape

import pandas as pd

from lab_helpers.core.errors import LabError
from lab_helpers.show.svg import BAD, GOOD, Drawing, group, text

COLUMN, ROW = 410, 16  # pixels
MOST, LETTERS = 6, 50  # packets of a call; letters of a line
PLAIN, SECRET = 8, 4  # lines of a packet that can be read, and of one that cannot
MONO = "ui-monospace, monospace"


def beside(calls: Mapping[str, pd.DataFrame]) -> Drawing:
    """Draw the packets of some calls, a column for each: who to whom, how many bytes, and what of them can be read.

    Parameters
    ----------
    calls : mapping of str to pandas.DataFrame
        By a name for each call: what ``overhear`` returned.

    Raises
    ------
    LabError
        Nothing was heard of any.
    """
    if not calls or any(each.empty for each in calls.values()):
        raise LabError("There is nothing to draw: no packet was heard.", "Send something while somebody listens: overhear(lab, …).")
    parts, told, height = [], [], 0.0
    for number, (name, heard) in enumerate(calls.items()):
        x, y = 6 + COLUMN * number, 12.0
        parts.append(text(x, y, name, "start", 13, weight=600))
        for packet in heard.head(MOST).itertuples():
            y += ROW + 7
            lines = _lines(packet.text, packet.legible)
            colour = BAD if packet.legible else GOOD
            head = f"{packet.source} → {packet.destination}, {packet.bytes:,} bytes"
            body = [text(x, y, head, "start", colour=colour)]
            for line in lines:
                y += ROW
                look = f'dy=".35em" font-family="{MONO}" font-size="12" fill="currentColor" xml:space="preserve"'
                body.append(f'<text x="{x + 10}" y="{y:.1f}" {look}>{escape(line)}</text>')
            parts.append(group(body, f"{head}\n{packet.text[:1500]}"))
        if len(heard) > MOST:
            y += ROW + 4
            parts.append(text(x, y, f"… and {len(heard) - MOST} more", "start"))
        height = max(height, y)
        told.append(f"{name}: {len(heard)} packets, {int(heard['legible'].sum())} of them legible")
    return Drawing(COLUMN * len(calls), height + 14, parts, f"On the wire. {'; '.join(told)}.")


def _lines(packet: str, legible: bool) -> list[str]:
    """The first lines of a packet, short ones; where many bytes running are no letters, one sign stands for them."""
    most, lines = (PLAIN if legible else SECRET), packet.replace("\r", "").splitlines()
    lines = lines if legible else [re.sub(r"[.\t ]{4,}", "…", "".join(lines))]
    short = [line[at : at + LETTERS] for line in lines for at in range(0, len(line), LETTERS)]
    return [*short[: most - 1], "…"] if len(short) > most else short
