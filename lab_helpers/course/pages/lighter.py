"""A built page without the scripts that it does not use."""

from __future__ import annotations

import re
from pathlib import Path

SCRIPT = re.compile(r'\s*<script\b[^>]*\bsrc="(?P<src>[^"?]+)[^"]*"[^>]*></script>')
# What a page has that a script serves. Icons come as a font from the theme's style sheet: the script would draw them once more, in 1.5 MB.
SERVES = {
    "fontawesome.js": None,
    "design-tabs.js": 'class="sd-tab-set',
    "togglebutton.js": re.compile(r'class="(?:[^"]* )?toggle[ "]|admonition[^"]* dropdown[ "]'),
    "clipboard.min.js": 'class="highlight',
    "copybutton.js": 'class="highlight',
    "searchtools.js": 'id="search-results"',
    "language_data.js": 'id="search-results"',
    "searchindex.js": 'id="search-results"',
}
UNUSED = ("**/*.map", "_static/scripts/fontawesome*", "_static/webpack-macros.html", "_static/sbt-webpack-macros.html")


def lighten(site: Path) -> None:
    """Take the scripts that a page does not use out of each page of `site`, and the files that no page uses out of the folder."""
    for path in site.rglob("*.html"):
        path.write_text(_lighter(path.read_text(encoding="utf-8")), encoding="utf-8")
    for pattern in UNUSED:
        for path in site.glob(pattern):
            path.unlink()


def _lighter(page: str) -> str:
    bare, seen = SCRIPT.sub("", page), set()

    def kept(found: re.Match) -> str:
        name = found["src"].rpartition("/")[2]
        needs = SERVES.get(name, "")
        used = needs is not None and (needs.search(bare) if isinstance(needs, re.Pattern) else needs in bare)
        repeated = found["src"] in seen
        seen.add(found["src"])
        return found[0] if used and not repeated else ""

    return SCRIPT.sub(kept, page)
