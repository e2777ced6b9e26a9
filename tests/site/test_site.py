"""The site as a reader meets it: in a real browser, with every other site out of reach."""

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
import yaml

pytestmark = pytest.mark.site

ROOT = Path(__file__).parents[2]
TOC = yaml.safe_load((ROOT / "_toc.yml").read_text())
PAGES = [TOC["root"], *(page["file"] for part in TOC["parts"] for page in part["chapters"])]
CONTRAST = Path(__file__).with_name("contrast.js").read_text()
LOADED = {
    "script": "src",
    "img": "src",
    "iframe": "src",
    "link": "href",
    "source": "src",
    "embed": "src",
    "object": "data",
}


def title(site: Path, page: str) -> str:
    """Return the first heading in the source that `page` was built from."""
    source = site / "_sources" / f"{page}.ipynb"
    text = nbformat.read(source, as_version=4).cells[0].source if source.exists() else source.with_suffix(".md").read_text()
    return re.search(r"^# (.+)$", text, re.M)[1].replace("`", "").replace("'", "’")


class Document(HTMLParser):
    """The ids of an HTML page, where it links to, and what it loads."""

    def __init__(self, path: Path):
        super().__init__()
        self.ids, self.links, self.loads = set(), [], []
        self.feed(path.read_text())

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.ids.update(filter(None, [attributes.get("id"), attributes.get("name")]))
        if tag == "a" and attributes.get("href"):
            self.links.append(attributes["href"])
        if attributes.get(LOADED.get(tag)):
            self.loads.append(attributes[LOADED[tag]])


def broken_links(site: Path) -> list[str]:
    """Return each link within `site` to a page or heading that does not exist, as ``page: link``."""
    documents = {path: Document(path) for path in site.rglob("*.html") if "_static" not in path.parts}
    broken = []
    for path, document in documents.items():
        for link in document.links + document.loads:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            known = documents.get(target)
            if not target.is_file() or (parts.fragment and known and unquote(parts.fragment) not in known.ids):
                broken.append(f"{path.relative_to(site)}: {link}")
    return broken


def foreign_loads(site: Path) -> list[str]:
    """Return each thing that a page or style sheet of `site` would load from elsewhere, as ``page: address``."""
    pages = [(path, load) for path in site.rglob("*.html") for load in Document(path).loads if urlsplit(load).netloc]
    remote = re.compile(r"""(?:url\(|@import)\s*["']?((?:https?:)?//[^"')\s]+)""")
    styles = [(path, load) for path in site.rglob("*.css") for load in remote.findall(path.read_text())]
    return [f"{path.relative_to(site)}: {load}" for path, load in pages + styles]


def test_front_page_leads_to_the_intro(visit, address):
    visitor = visit(address)
    visitor.open("index.html").wait_for_url(f"{address}/{TOC['root']}.html")
    assert visitor.foreign == visitor.complaints == []


def test_every_page_is_in_the_sidebar(visit, address):
    links = visit(address).open(f"{TOC['root']}.html").locator("nav.bd-links a.reference.internal")
    targets = links.evaluate_all("links => links.map(link => link.href)")
    assert set(targets) >= {f"{address}/{page}.html" for page in PAGES[1:]}


def test_search_finds_a_term_and_leads_to_it(visit, address):
    visitor = visit(address)
    page = visitor.open(f"{TOC['root']}.html")
    page.keyboard.press("Control+k")
    page.locator("dialog input[type=search], .search-button__wrapper input[type=search]").first.fill("waypoint")
    page.keyboard.press("Enter")
    page.locator("#search-results a", has_text="Glossary").first.click()
    page.wait_for_url("**/book/glossary.html*")
    assert page.locator("dt", has_text="Waypoint").is_visible()
    assert visitor.foreign == visitor.complaints == []


def test_links_within_the_site_lead_somewhere(site):
    assert broken_links(site) == []


def test_nothing_is_loaded_from_another_site(site):
    assert foreign_loads(site) == []


def test_the_site_does_not_tell_where_it_was_built(site):
    texts = [path for path in site.rglob("*") if path.suffix in {".html", ".js", ".md", ".ipynb", ".css", ".txt"}]
    assert [path for path in texts if str(ROOT) in path.read_text() or f"{Path.home()}/" in path.read_text()] == []


def test_the_checks_see_what_is_wrong(served, visit):
    folder, address = served
    (folder / "grey.html").write_text(
        "<h1 id='here'>Title</h1><p style='color:#aaa'>pale</p><p style='opacity:.5'>fair <b>bold</b></p><p>good</p>"
        "<svg height=60><rect width=99 height=30 fill='#036'/><text y=20 fill='#fff'>white</text><text y=20 fill='#024'>dark</text>"
        "<text y=50 fill='#fff'>lost</text></svg>"
        "<a href='gone.html'>1</a><a href='#nowhere'>2</a><a href='#here'>3</a><img src='http://example.invalid/x.png'>"
    )
    (folder / "style.css").write_text("@import url(//example.invalid/font.css)")
    visitor = visit(address)
    found = visitor.open("grey.html").evaluate(CONTRAST)
    assert [line.rpartition("> ")[2] for line in found] == ["pale", "fair", "bold", "dark", "lost"]
    assert broken_links(folder) == ["grey.html: gone.html", "grey.html: #nowhere"]
    assert foreign_loads(folder) == ["grey.html: http://example.invalid/x.png", "style.css: //example.invalid/font.css"]
    assert visitor.foreign == ["http://example.invalid/x.png"]
    assert visitor.complaints
