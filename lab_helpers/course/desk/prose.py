"""Pages of the book as JupyterLab can show them: plain Markdown, without what only the site knows."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

from lab_helpers.core.paths import ROOT
from lab_helpers.course import site
from lab_helpers.course.pages import article

BOOK = ROOT / "book"
NOT_HERE = ("intro",)  # START is the first page of a desk
FENCED = re.compile(r"^(`{3,}|:{3,})\{([\w-]+)\} *(.*?)\n(.*?)^\1 *$", flags=re.MULTILINE | re.DOTALL)
ELSEWHERE = "The site of the course has this list; it is made where the site is."


def pages() -> dict[str, str]:
    """Every page of the book that a desk has, by the name of its file."""
    included = {"_seconds.md": site.seconds_table(), "_article.md": article.table(ROOT / "notebooks")}
    found = {path.name: path.read_text(encoding="utf-8") for path in sorted(BOOK.glob("*.md")) if path.stem not in NOT_HERE}
    titles = {name: _title(text) for name, text in found.items()}
    return {name: plain(text, titles, included) for name, text in found.items()}


def pictures() -> dict[str, bytes]:
    """The pictures that pages show, by the name that they are shown by."""
    shown = {name for path in BOOK.glob("*.md") for name in re.findall(r"\{figure\} (\S+)", path.read_text(encoding="utf-8"))}
    return {name: (BOOK / name).read_bytes() for name in sorted(shown)}


def plain(text: str, titles: dict[str, str], included: dict[str, str]) -> str:
    """A page without directives and roles: what they hold, in Markdown that any viewer knows.

    Parameters
    ----------
    text : str
    titles : dict of str to str
        Those of all pages, by file: what a link without a text is called.
    included : dict of str to str
        What a page may include, by the name by which it does.
    """
    text = FENCED.sub(lambda found: _directive(found[2], found[3].strip(), found[4], included), text)
    text = re.sub(r"^(\S.*)\n: +(.*(?:\n {2}.*)*)", lambda found: f"**{found[1]}.** {found[2]}\n", text, flags=re.MULTILINE)
    text = re.sub(r"\[\]\(([\w.-]+)(#[\w-]+)?\)", lambda found: f"[{titles.get(found[1], found[1])}]({found[1]})", text)
    text = re.sub(r"\{doc\}`/notebooks/(\w+)`", r"[\1](../\1.ipynb)", text)
    text = re.sub(r"(?<!`)\{[\w:-]+\}`([^`<]+?)(?: *<[^`]*>)?`", r"\1", text)
    text = re.sub(r"\]\((?:\.\./|/)notebooks/(\w+)(?:\.ipynb|\.html)?", r"](../\1.ipynb", text)
    return re.sub(r"\n{3,}", "\n\n", text)


def _directive(name: str, argument: str, content: str, included: dict[str, str]) -> str:
    options = dict(re.findall(r"^:([\w-]+): *(.*)$", content, flags=re.MULTILINE))
    content = re.sub(r"^:[\w-]+:.*\n", "", content, flags=re.MULTILINE).strip("\n")
    if name == "include":
        return included.get(Path(argument).name, ELSEWHERE)
    if name == "figure":
        return f"![{options.get('alt', '')}]({argument})\n\n{content}"
    if name == "glossary":
        return re.sub(
            r"^(\S.*)\n((?: {2}.*\n?)+)", lambda found: f"**{found[1]}.** {textwrap.dedent(found[2])}", content, flags=re.MULTILINE
        )
    if name in ("warning", "note", "tip", "important"):
        return textwrap.indent(f"**{name.capitalize()}.** {content.strip()}", "> ", lambda line: True)
    return content


def _title(text: str) -> str:
    return text.splitlines()[0].removeprefix("# ")
