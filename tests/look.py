"""Pictures of every page of the site and of START, to be looked at: ``make look`` leaves them and contact sheets under ``build/look``.

Each page whole, in light and in dark, as wide as a desk's screen and as a phone's. A sheet shows all pages of one kind side by side, cut
where they get long.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, ImageDraw
from playwright.sync_api import sync_playwright

from lab_helpers.course.desk import folder as desks
from lab_helpers.course.desk import start
from lab_helpers.lab.done import progress
from tests.jupyterlab import serving
from tests.site.conftest import FLAGS, ROOT, Visit, serve

SITE, LOOK = ROOT / "build" / "site" / "_build" / "html", ROOT / "build" / "look"
KINDS = [(theme, width) for theme in ("light", "dark") for width in (1400, 390)]
ACROSS, THUMB = 4, (480, 900)  # thumbnails in a row, and pixels that each may take
MOST = 16_000  # pixels of height: more than that Chromium does not draw


def main() -> None:
    """Take every picture, and say where they are."""
    shutil.rmtree(LOOK, ignore_errors=True)
    pages = [path.relative_to(SITE) for path in sorted([*SITE.glob("book/*.html"), *SITE.glob("notebooks/*.html")])]
    with _browser() as (browser, address), _desk() as desk:
        for theme, width in KINDS:
            folder = LOOK / f"{theme}-{width}"
            folder.mkdir(parents=True)
            for page in pages:
                _take(browser, address, page, theme, width, folder / f"{page.stem}.png")
            _take_start(browser, desk, theme, width, folder / "START.png")
            _sheet(folder, LOOK / f"{theme}-{width}.png")
            print(f"{len(pages) + 1} pages, {theme}, {width} pixels: {LOOK / f'{theme}-{width}.png'}", flush=True)


@contextmanager
def _browser() -> Iterator[tuple]:
    served = serve(SITE)
    address = next(served)
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        yield browser, address
        browser.close()
    next(served, None)


@contextmanager
def _desk() -> Iterator[str]:
    """The address of START on a new desk without a lab."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        desk = desks.open_desk(folder / "work")
        desks.put_start(desk, start.text(desk, progress(desk.folder), {}, "No lab is asked for this picture."))
        with serving(folder) as address:
            yield f"{address % desks.START}&reset"  # not the layout of the last width


def _take_start(browser, address: str, theme: str, width: int, target: Path) -> None:
    page = browser.new_page(viewport={"width": width, "height": 1200}, color_scheme=theme)  # a desk follows the browser's
    try:
        page.goto(address)
        page.locator("h1", has_text="Istio by experiment").first.wait_for(
            state="attached"
        )  # JupyterLab has hardly any room for it on a phone
        page.wait_for_load_state("networkidle")
        page.screenshot(path=target)
    finally:
        page.close()


def _take(browser, address: str, page: Path, theme: str, width: int, target: Path) -> None:
    visit = Visit(browser, address, theme)
    try:
        visit.page.set_viewport_size({"width": width, "height": 900})
        opened = visit.open(str(page))
        height = min(opened.evaluate("document.documentElement.scrollHeight"), MOST)
        opened.set_viewport_size({"width": width, "height": height})  # what loads when it is seen has to be seen
        opened.wait_for_load_state("networkidle")
        opened.screenshot(path=target)
    finally:
        visit.context.close()


def _sheet(folder: Path, target: Path) -> None:
    pictures = sorted(folder.glob("*.png"))
    width, height = THUMB
    rows = -(-len(pictures) // ACROSS)
    sheet = Image.new("RGB", (ACROSS * width, rows * height), "white")
    for number, path in enumerate(pictures):
        left, top = number % ACROSS * width, number // ACROSS * height
        with Image.open(path) as picture:
            small = picture.resize((width - 10, round(picture.height * (width - 10) / picture.width)))
        sheet.paste(small.crop((0, 0, width - 10, min(small.height, height - 30))), (left, top + 20))
        ImageDraw.Draw(sheet).text((left + 5, top + 4), path.stem, fill="black")
    sheet.save(target)


if __name__ == "__main__":
    main()
