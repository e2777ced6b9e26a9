"""How a notebook shows what the library returns: a command with its output, what an apply did, a page as in a browser.

The HTML takes its colours from the page around it (``currentColor``), so that it reads in light and in dark, and needs
no script and no network, so that the static site shows what the notebook showed.
"""

from __future__ import annotations

import re
from html import escape
from importlib.resources import files

import pandas as pd

from lab_helpers.core.errors import LabError
from lab_helpers.istio.gateway import Page
from lab_helpers.kube.apply import Outcome
from lab_helpers.kube.commands import Output
from lab_helpers.show import manifests

FAINT = "color-mix(in srgb, currentColor 25%, transparent)"
BLOCK = f"border-left: 3px solid {FAINT}; padding: 0 0 0 .8em; margin: .3em 0; font-size: .95em"
PRE = (
    "margin: .2em 0; padding: 0; border: 0; background: none; color: inherit; overflow-x: auto; "
    "font: .85em/1.35 ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
)
SIGNS = {"created": "+", "configured": "~", "deleted": "−", "absent": "·", "unchanged": "·", "replaced": "~"}
UNSHOWN = r"<(script|dialog|nav)\b.*?</\1>|<img[^>]*>|<title>.*?</title>"
PAGE_STYLE = files("lab_helpers.show").joinpath("bookinfo.css")


def register() -> None:
    """Have IPython, if it runs, show the types below and a `LabError`; those of higher layers say themselves how."""
    try:
        shell = get_ipython()
    except NameError:
        return
    LabError._render_traceback_ = error
    pd.set_option("display.max_colwidth", None)  # a table that is too wide scrolls; what pandas cuts off is nowhere to be read
    pd.set_option("display.max_columns", None)
    formatter = shell.display_formatter.formatters["text/html"]
    for kind, show in ((Output, output), (Outcome, outcome), (Page, page)):
        formatter.for_type(kind, show)
        shell.display_formatter.formatters["text/plain"].for_type(kind, _plain)


def output(result: Output) -> str:
    """A command line, the manifests that it was given and what it printed, as HTML."""
    return _block(result.command, result.shown, before=manifests.shown(result.manifests, [], PRE))


def outcome(result: Outcome) -> str:
    """What was applied, as HTML, and what an apply or delete did to each object, with what changed in it."""
    changes = manifests.shown(result.manifests, result.changes, PRE) + "".join(map(_change, result.changes))
    effect = f'<div style="font-size: .85em; opacity: .75">{escape(result.effect)}</div>' if result.effect else ""
    warnings = "".join(f"<div>⚠ {escape(each)}</div>" for each in result.warnings)
    return _block(result.command, "", changes + effect + warnings + manifests.told(result.told, PRE))


def page(result: Page) -> str:
    """A page of Bookinfo as a browser shows it, as HTML: in a frame that runs no script and loads nothing."""
    body = re.search(r"<body[^>]*>(.*)</body>", result.text, re.DOTALL)
    content = re.sub(UNSHOWN, "", body.group(1) if body else result.text, flags=re.DOTALL)
    style = PAGE_STYLE.read_text(encoding="utf-8") if result.headers.get("content-type", "").startswith("text/html") else ""
    document = f"<!doctype html><meta charset=utf-8><style>{style}</style>{content if content.strip() else '(no content)'}"
    frame = f'<iframe sandbox loading="lazy" title="{escape(result.url)}" srcdoc="{escape(_shorter(document))}"'
    look = f"width: 100%; height: {_height(result)}px; border: 1px solid {FAINT}; border-radius: 4px; background: #fff"
    frame += f' style="{look}"></iframe>'
    shown = str(result).splitlines()
    return _block(shown[0].removeprefix("$ "), shown[1], frame)


def error(problem: LabError) -> list[str]:
    """The lines that IPython shows for a `LabError`: its two sentences, and no traceback through our own code."""
    if problem.shown:
        return ["The notebook stops here until this passes."]
    return [f"{type(problem).__name__}: {problem.what}", *([f"→ {problem.do}"] if problem.do else [])]


def _height(result: Page) -> int:
    return 360 if result.reviews_pod else 215 if "<h1" in result.text else 250 if "<h3" in result.text else 60


def _shorter(document: str) -> str:
    return re.sub(r"\s+", " ", document)


def block(content: str) -> str:
    """HTML set off from the page around it, as everything is that the course shows."""
    return f'<div style="{BLOCK}">{content}</div>'


def _block(command: str, text: str, more: str = "", before: str = "") -> str:
    body = f'<pre style="{PRE}">{escape(text.rstrip())}</pre>' if text.strip() else ""
    return block(f'<pre style="{PRE}; opacity: .75">$ {escape(command)}</pre>{before}{body}{more}')


def _change(change) -> str:
    line = f"<code>{SIGNS.get(change.action, ' ')}</code> {escape(change.what)} {escape(change.action)}"
    warnings = "".join(f"<div>⚠ {escape(each)}</div>" for each in change.warnings)
    return (manifests.difference(line, change.diff, PRE) if change.diff else f"<div>{line}</div>") + warnings


def _plain(result, printer, cycle) -> None:
    printer.text(str(result))
