"""Manifests on a page: their YAML in colours, what changed in it, and what came of it for a proxy."""

from __future__ import annotations

import re
from html import escape
from urllib.parse import quote

from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers.data import YamlLexer
from pygments.style import Style
from pygments.token import Comment, Literal, Name, Number, Punctuation, String, Token

from lab_helpers.kube.apply import Change, Manifest, Told

ROOM = 30  # lines of all the manifests together that stand open; what is longer folds out
MOST = 24  # lines of what a proxy was told, by type
# Mixed with the page's own colour, so that they can be read in light and in dark; Pygments takes only colours that it knows, or variables.
COLOURS = {
    "key": "color-mix(in srgb, currentColor 50%, #0969da)",
    "text": "color-mix(in srgb, currentColor 50%, #1a7f37)",
    "number": "color-mix(in srgb, currentColor 50%, #bc4c00)",
    "note": "color-mix(in srgb, currentColor 72%, transparent)",
}
LINK = re.compile(r' <a class="meshlab-edit" [^>]*>[^<]*</a>')
SIGNED = {"+": "#2da44e", "-": "#cf222e"}
FOLDED = '<details style="margin: .2em 0"{opened}><summary>{summary}</summary>{content}</details>'


class _Colours(Style):
    styles = {
        Token: "",
        Name.Tag: "var(--key)",
        Literal.Scalar.Plain: "",
        String: "var(--text)",
        Number: "var(--number)",
        Comment: "italic var(--note)",
        Punctuation: "",
    }


def shown(manifests: list[Manifest], changes: list[Change], pre: str) -> str:
    """Each manifest as it was written, as HTML: open as long as there is room, unless nothing of it is new.

    Parameters
    ----------
    manifests : list of Manifest
    changes : list of Change
        What became of their objects; of those that a manifest names none, nothing is known.
    pre : str
        The style of a block of text.
    """
    made, room, parts = {each.what for each in changes if each.action == "created"}, ROOM, []
    for manifest in manifests:
        lines = manifest.text.count("\n")
        opened = lines <= room and not (manifest.objects and made.isdisjoint(manifest.objects))
        room -= lines if opened else 0
        summary = f"<code>{escape(manifest.name)}</code>{_link(manifest.beside)}"
        parts.append(FOLDED.format(opened=" open" if opened else "", summary=summary, content=yaml(manifest.text, pre)))
    return "".join(parts)


def without_links(html: str) -> str:
    """What `shown` gives, for a page that has no editor."""
    return LINK.sub("", html)


def _link(beside: str) -> str:
    """A link that opens a file in JupyterLab's editor: relative to the notebook, as JupyterLab takes it."""
    return f' <a class="meshlab-edit" href="{escape(quote(beside))}">open in the editor</a>' if beside else ""


def yaml(text: str, pre: str) -> str:
    """YAML in colours, as HTML."""
    coloured = highlight(text, YamlLexer(stripnl=False), HtmlFormatter(nowrap=True, noclasses=True, style=_Colours)).rstrip()
    variables = "; ".join(f"--{name}: {colour}" for name, colour in COLOURS.items())
    return f'<pre style="{variables}; {pre}">{coloured}</pre>'


def difference(summary: str, diff: str, pre: str) -> str:
    """A unified diff, as HTML: each line that went or came behind its sign, on a ground of its colour; a long one folds out."""
    lines = diff.splitlines()
    content = f'<pre style="{pre}">{"".join(map(_line, lines))}</pre>'
    return FOLDED.format(opened="", summary=summary, content=content) if len(lines) > ROOM else f"<div>{summary}</div>{content}"


def told(of: Told | None, pre: str) -> str:
    """What a proxy was told, as HTML that folds out; empty where it was nothing."""
    if of is None:
        return ""
    counts = {kind: sum(line[1:3] != "  " for line in lines) for kind, lines in of.differences.items()}
    summary = ", ".join(f"{count} {kind if count > 1 else kind.removesuffix('s')}" for kind, count in counts.items())
    parts = []
    for kind, lines in of.differences.items():
        shown = "".join(map(_line, lines[:MOST]))
        more = f'<span style="display: block; opacity: .75">⋯ {len(lines) - MOST} more lines</span>' if len(lines) > MOST else ""
        parts.append(f'<div>{kind}</div><pre style="{pre}">{shown}{more}</pre>')
    parts.append(f'<pre style="{pre}; opacity: .75">$ {escape(of.command)}</pre>')
    summary = f"what the proxy of {escape(of.proxy)} was told: {summary}"
    return FOLDED.format(opened="", summary=summary, content="".join(parts))


def _line(line: str) -> str:
    if re.match(r"--- |\+\+\+ ", line):
        return ""
    if line.startswith("@@"):
        return '<span style="display: block; opacity: .75">⋯</span>'
    ground = f"; background: color-mix(in srgb, {SIGNED[line[0]]} 18%, transparent)" if line[:1] in SIGNED else ""
    return f'<span style="display: block{ground}">{escape(line) or " "}</span>'
