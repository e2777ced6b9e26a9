"""A desk in JupyterLab, without a lab: it opens at START, asks nothing, goes nowhere else, and nobody else can speak to its kernels."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path

import pytest
from playwright.sync_api import expect

from lab_helpers.course.desk import folder, start
from lab_helpers.lab.done import progress
from tests.jupyterlab import rested, serving

pytestmark = pytest.mark.site
HERE = re.compile(r"(https?|wss?)://127\.0\.0\.1[:/]|data:|blob:")


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A folder with a desk in ``work``, and the address at which JupyterLab opens it."""
    place = tmp_path_factory.mktemp("a desk")
    opened = folder.open_desk(place / "work")
    folder.put_start(opened, start.text(opened, progress(opened.folder), {}, "There is no lab here."))
    with serving(place) as address:
        yield place, re.sub(r"lab/tree/%s", "", address)


@pytest.fixture
def page(browser, desk):
    """START as a newcomer sees it, and what was asked of other sites."""
    page, foreign = browser.new_page(viewport={"width": 1400, "height": 900}), []
    page.on("request", lambda sent: foreign.append(sent.url) if not HERE.match(sent.url) else None)
    page.goto(desk[1])
    expect(page.get_by_role("heading", name="Istio by experiment")).to_be_visible(timeout=60_000)
    yield page
    page.close()
    assert foreign == []


def test_it_opens_at_start_and_asks_nothing_about_news(page):
    expect(page.get_by_role("tab", name="START.md")).to_have_attribute("aria-selected", "true")
    off = page.evaluate("JSON.parse(document.getElementById('jupyter-config-data').textContent).disabledExtensions")
    assert "@jupyterlab/apputils-extension:announcements" in off
    page.wait_for_load_state("networkidle")
    expect(page.get_by_text("notified about official Jupyter news")).to_have_count(0)


def test_a_chapter_and_a_page_of_the_book_open_by_their_links(page):
    page.get_by_role("link", name="glossary").click()
    expect(page.get_by_role("heading", name="Glossary")).to_be_visible()
    page.get_by_role("tab", name="START.md").click()
    page.get_by_role("cell").get_by_role("link", name=re.compile("^4 · ")).click()
    expect(page.get_by_role("heading", name="Our test application")).to_be_visible(timeout=30_000)


def test_its_kernels_are_spoken_to_by_sockets_that_only_their_user_can_read(page, desk):
    page.get_by_role("cell").get_by_role("link", name=re.compile("^12 · ")).click()
    rested(page)
    runtime = Path(re.search(r"file://(/\S+)/jpserver", (desk[0] / "log").read_text())[1])
    assert not runtime.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)
    kernels = [json.loads(each.read_text()) for each in runtime.glob("kernel-*.json")]
    assert kernels and {each["transport"] for each in kernels} == {"ipc"}
    assert all(Path(each["ip"]).parent == runtime for each in kernels)
