"""Every page can be read by everybody: in both themes, by WCAG as axe-core sees it, on a phone, on paper; it loads only what it uses."""

from importlib.resources import files
from pathlib import Path

import pytest

from tests.site.test_site import CONTRAST, PAGES, title

pytestmark = pytest.mark.site

AXE = (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
LAYOUT = Path(__file__).with_name("layout.js").read_text()
# What unfolds fades in: axe-core would see it half there.
OPEN = """async () => {
  document.querySelectorAll("details").forEach((each) => each.open = true);
  await Promise.allSettled(document.getAnimations().map((each) => each.finished));
}"""
CHAPTERS = [page for page in PAGES if page.startswith("notebooks/")]
LIMIT, SHARED = 1_000_000, 900_000  # bytes of a page's own, and of scripts, styles and fonts that all pages have together


# Contrast takes axe-core nine tenths of its time, half of it for the thousands of coloured words of a page's code: these contrast.js looks
# at, in a tenth of that time.
JUDGED = """async () => {
  const only = { resultTypes: ["violations"], iframes: false };
  const contrast = await axe.run({ exclude: [["pre"]] }, { ...only, runOnly: { type: "rule", values: ["color-contrast"] } });
  const others = await axe.run(document, { ...only, rules: { "color-contrast": { enabled: false } } });
  return [...contrast.violations, ...others.violations];
}"""


def serious(page) -> list[str]:
    """Return what axe-core finds on an open page that is serious or worse, each with the element that it is about."""
    page.evaluate(AXE)
    grave = [each for each in page.evaluate(JUDGED) if each["impact"] in {"serious", "critical"}]
    return [f"{each['id']}: {node['html'][:120]}" for each in grave for node in each["nodes"]]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("page", [*PAGES, "search"])
def test_page(page, theme, visit, site, address, record_property):
    """One visit for all that one look at a page can tell."""
    visitor, sizes = visit(address, theme), {}
    name = lambda answer: answer.url.removeprefix(f"{address}/").partition("?")[0]  # noqa: E731
    visitor.page.on("response", lambda answer: sizes.setdefault(name(answer), len(answer.body())))
    opened = visitor.open(f"{page}.html")
    if page in PAGES:
        record_property("bytes", loads_no_more_than_it_uses(dict(sizes)))
        assert opened.locator("h1").first.inner_text().rstrip("#") == title(site, page)
    assert opened.locator("html").get_attribute("data-theme") == theme
    if page in CHAPTERS[:-1]:
        after = CHAPTERS[CHAPTERS.index(page) + 1]
        assert opened.locator("a.right-next").evaluate("link => link.href") == f"{address}/{after}.html"
    if page in CHAPTERS[1:]:
        before = CHAPTERS[CHAPTERS.index(page) - 1]
        assert opened.locator("a.left-prev").evaluate("link => link.href") == f"{address}/{before}.html"
    opened.evaluate(OPEN)
    if page in PAGES:  # before Plotly draws, whose marks are letters
        assert opened.evaluate(CONTRAST) == []
    for figure in opened.locator(".meshlab-figure").all():
        figure.scroll_into_view_if_needed()
        figure.locator(".main-svg").first.wait_for()
    assert visitor.complaints == []  # axe-core, below, asks for what no reader's browser does
    assert visitor.foreign == []
    assert serious(opened) == []
    if theme == "light" and page in PAGES:
        for width, height in ((390, 844), (1400, 900)):  # a phone first
            opened.set_viewport_size({"width": width, "height": height})
            assert opened.evaluate(LAYOUT) == []


def loads_no_more_than_it_uses(sizes: dict[str, int]) -> int:
    """Hold what a page has loaded to its limits; return how many bytes of it are its own."""
    shared = {name: size for name, size in sizes.items() if name.startswith("_static/")}
    own = sum(sizes.values()) - sum(shared.values())
    assert own <= LIMIT, sizes
    assert sum(shared.values()) <= SHARED, shared
    scripts = {Path(name).name for name in sizes if name.endswith(".js")}
    assert not scripts & {"fontawesome.js", "plotly.min.js", "searchindex.js", "searchtools.js", "design-tabs.js", "togglebutton.js"}
    return own


def test_the_checks_see_what_is_wrong(served, visit):
    folder, address = served
    (folder / "bad.html").write_text(
        "<html lang=en><title>t</title><main><h1>Title</h1><svg width=40 viewBox='0 0 100 50'><text y=20 font-size=16>tiny</text>"
        "</svg><svg width=200 height=30><text y=20 font-size=16 fill=#bbb>pale</text></svg><div style='overflow: hidden; width: 50px'>"
        "<table><tr><td>averyveryverylongword</table></div><div style='overflow: auto; width: 50px' tabindex=0><table><tr><td>"
        "averyveryverylongword</table></div><p style='width: 2000px'>wide</p><img src=x.png></main>"
    )
    page = visit(address).open("bad.html")
    seen = page.evaluate(LAYOUT)
    assert [line.partition(" pixels")[0] for line in seen] == ["the page is 2008", 'cut off: <td class=""> averyveryverylongword', "6.4"]
    assert [line.partition(":")[0] for line in serious(page)] == ["image-alt"]


def test_a_dashboard_is_drawn_when_it_is_seen(visit, address):
    visitor, asked = visit(address), []
    visitor.page.on("request", lambda request: asked.append(request.url.rpartition("/")[2]))
    page = visitor.open("notebooks/08_metrics.html")
    figures = page.locator(".meshlab-figure")
    assert figures.count() >= 2
    assert "plotly.min.js" not in asked
    figures.first.scroll_into_view_if_needed()
    figures.first.locator(".main-svg").first.wait_for()
    assert asked.count("plotly.min.js") == 1
    assert visitor.complaints == visitor.foreign == []


def test_paper_unfolds_and_wraps(visit, address):
    page = visit(address).open("notebooks/04_bookinfo.html")
    folded = page.locator("main details:not([open]) pre").first
    assert not folded.is_visible()
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 700, "height": 900})
    hidden = page.locator("main details:not([open]) pre").evaluate_all(
        "all => all.filter((each) => !each.getBoundingClientRect().height).length"
    )
    assert hidden == 0
    wide = page.locator("main pre").evaluate_all(
        "all => all.filter((each) => each.scrollWidth > each.clientWidth + 1).map((each) => each.textContent)"
    )
    assert wide == []


def test_output_never_wraps_on_a_screen(visit, address):
    page = visit(address).open("notebooks/05_injection.html")
    styles = page.locator("main div.cell_output pre").evaluate_all(
        "all => all.map((each) => getComputedStyle(each)).map((each) => [each.whiteSpace, each.overflowX])"
    )
    assert styles and all(space == "pre" and over == "auto" for space, over in styles)


def test_a_page_of_a_chapter_has_no_claims_and_folds_its_set_up(visit, address):
    page = visit(address).open("notebooks/04_bookinfo.html")
    set_up = page.locator("div.cell.tag_parameters, div.cell:has(details):has-text('import *')").first
    assert not set_up.locator("pre").first.is_visible()
    assert page.locator(".tag_claim, .tag_remove-cell").count() == 0
