"""Predictions in a real browser: with a kernel they go to the desk; without one the page keeps them, and lays them beside what was seen."""

import json

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook
from playwright.sync_api import expect

from lab_helpers.core.wait import wait_until
from lab_helpers.show.predictions import Prediction, Resolution
from lab_helpers.show.progress import VARIABLE
from tests.jupyterlab import choose, opened, serving

pytestmark = pytest.mark.site
CELLS = [
    "from lab_helpers.show.predictions import predict, resolve",
    'predict("99.a", ["no", "yes"])',
    'predict("99.b", number="pages")',
    'resolve("99.a", "yes")\nresolve("99.b", 3, within=1)',
]


def notebook():
    return new_notebook(cells=[new_code_cell(each) for each in CELLS])


def answer(page):
    page.get_by_label("yes").check()
    page.get_by_label("pages").fill("5")
    page.get_by_label("pages").blur()


def test_on_a_page_without_a_kernel(served, visit):
    folder, address = served
    asked = [Prediction("99.a", ("no", "yes"), ""), Prediction("99.b", (), "pages")]
    shown = [each._repr_mimebundle_()["text/html"] for each in asked]
    shown += [Resolution("99.a", "", "", "yes", "")._repr_html_(), Resolution("99.b", "pages", "", "3", "1")._repr_html_()]
    (folder / "page.html").write_text("<!doctype html><meta charset=utf-8>" + "".join(shown), encoding="utf-8")
    visitor = visit(address)
    page = visitor.open("page.html")
    boxes = page.locator(".meshlab-prediction")
    expect(boxes.nth(2)).to_contain_text("not answered")
    answer(page)
    for _ in range(2):  # and once more when somebody comes back
        expect(boxes.nth(2)).to_have_class("meshlab-prediction right")
        expect(boxes.nth(3)).to_have_class("meshlab-prediction other")
        expect(boxes.nth(3)).to_contain_text("5")
        page.reload()
        expect(page.get_by_label("yes")).to_be_checked()
        expect(page.get_by_label("pages")).to_have_value("5")
    page.get_by_label("pages").fill("4")
    page.get_by_label("pages").blur()
    expect(boxes.nth(3)).to_have_class("meshlab-prediction right")
    assert visitor.complaints == visitor.foreign == []


def test_executed_by_nobody_in_particular_they_are_open(tmp_path):
    done = NotebookClient(notebook()).execute()
    texts = [output["data"]["text/plain"] for cell in done.cells for output in cell.outputs]
    assert texts == ["○ no\n○ yes", "___ pages", "99.a predicted: not answered; seen: yes", "99.b predicted: not answered; seen: 3 pages"]


def test_in_jupyterlab_they_go_to_the_desk(tmp_path, browser, monkeypatch):
    desk = tmp_path / "work"
    desk.mkdir()
    nbformat.write(notebook(), desk / "n.ipynb")
    monkeypatch.setenv(VARIABLE, str(desk))
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    kept = lambda: json.loads((desk / "progress.json").read_text())["predictions"]  # noqa: E731
    with serving(tmp_path) as address:
        opened(page, address % "n.ipynb")
        for cell in (0, 1, 2):
            run(page, cell)
        expect(page.get_by_label("pages")).to_be_visible(timeout=60_000)
        answer(page)
        wait_until(lambda: (desk / "progress.json").exists() and len(kept()) == 2, "both answers to reach the kernel", 30)
        assert kept() == {"99.a": {"answer": "yes"}, "99.b": {"answer": 5.0}}
        page.get_by_label("yes").focus()
        page.keyboard.press("ArrowUp")
        wait_until(lambda: kept()["99.a"]["answer"] == "no", "an arrow key to choose", 30)
        run(page, 3)
        boxes = page.locator(".meshlab-prediction")
        expect(boxes.nth(2)).to_have_class("meshlab-prediction other", timeout=30_000)
        expect(boxes.nth(2)).to_contain_text("no")
        assert kept()["99.a"] == {"answer": "no", "seen": "yes", "right": False}
    page.close()


def run(page, cell):
    page.locator(".jp-Notebook .jp-InputArea-editor").nth(cell).click()
    choose(page, "Run", "runmenu:run")
