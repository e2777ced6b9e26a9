"""The sliders of chapter 12 in JupyterLab when their kernel has gone: the recording, or a sentence that says to run the cell again."""

import io
import os
import re
import subprocess
import sys

import nbformat
import pytest
from matplotlib.image import imread
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook
from playwright.sync_api import expect

from lab_helpers.core.wait import wait_until
from tests.jupyterlab import choose, environment, opened, serving

pytestmark = pytest.mark.site
SHARES = {"counts": {"v1": 45, "v2": 75, "v3": 180}, "intervals": {}, "failed": 0, "p": 0.9, "lowest": 0.04, "alpha": 1e-5, "proxies": 9,
          "seconds": 0.2, "missed": ["v2"]}  # fmt: skip
RECORDED = [[{"weights": {"v1": 15, "v2": 25, "v3": 60}, "sent": 300, "n": 300, **SHARES}]]
# The sliders, with a mesh that has names for three versions and does whatever it is asked.
CELL = f"""
from types import SimpleNamespace
from lab_helpers.chapters.c12_traffic_shifting import widget
named = {{"apiVersion": "v1", "kind": "DestinationRule", "metadata": {{"name": "reviews"}}}}
subsets = {{**named, "spec": {{"host": "reviews", "subsets": [{{"name": name}} for name in ("v1", "v2", "v3")]}}}}
parts = [{{"destination": {{"subset": name}}, "weight": weight}} for name, weight in {RECORDED[0][0]["weights"]}.items()]
route = {{"spec": {{"hosts": ["reviews"], "http": [{{"route": parts}}]}}}}
client = SimpleNamespace(list=lambda kind: [subsets] if kind.kind == "DestinationRule" else [route])
widget.follow = lambda lab, service, weights, n, stopped: [{{"weights": weights, "sent": n, "n": n, **{SHARES}}}]
lab = SimpleNamespace(namespace="default", client=client)
widget.TrafficShifting(lab, recorded={RECORDED})
"""
# Beside the sliders: a widget like any other, by which to see that JupyterLab is through with what it found in the file.
REST = "from lab_helpers.show.living import freeze\nfreeze(lab)"
CELLS = [CELL, "import anywidget\nanywidget.AnyWidget()", REST, "import os\nos._exit(1)"]
SLIDERS, OTHER, FREEZE, DIE = range(len(CELLS))
RECORDING = "A recording of a real mesh: choose one of the settings that were measured. To set any, run this cell again"
NO_SCRIPT = "For sliders that move a mesh, run this cell"
GONE = re.compile("Nobody listens to these sliders any more.*Run this cell again", re.DOTALL)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A folder, and the address at which JupyterLab shows its notebooks."""
    folder = tmp_path_factory.mktemp("lab")
    (folder / "work").mkdir()
    with serving(folder) as address:
        yield folder, address


@pytest.fixture
def learner(lab, browser, request):
    """A function that opens a notebook with the sliders, instead of what it opened before; and the file, which nobody has run yet."""
    folder, address = lab
    file = folder / "work" / f"{re.sub('[^a-z]+', '-', request.node.name)}.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell(each) for each in CELLS]), file)
    pages = []

    def come():
        if pages:
            pages.pop().close()
        pages.append(browser.new_page(viewport={"width": 1200, "height": 900}))
        opened(pages[0], address % file.name + "&reset")  # of the tabs
        return pages[0]

    yield come, file
    end_kernel(pages[0])  # each takes memory
    pages[0].close()


def sliders(page):
    return page.locator(".meshlab-shifting")


def run(page, cell):
    page.locator(".jp-Notebook .jp-InputArea-editor").nth(cell).click()
    choose(page, "Run", "runmenu:run")


def play(page):
    """Run the cell of the sliders, and see that they are live."""
    run(page, SLIDERS)
    expect(sliders(page).get_by_role("button", name="Measure")).to_be_visible(timeout=60_000)
    measure(page)


def measure(page):
    sliders(page).get_by_role("button", name="Measure").click()
    expect(sliders(page)).to_contain_text("400 of 400 requests sent", timeout=30_000)


def has_a_recording(page, text=RECORDING):
    """See that the recording is there, also when JupyterLab has made what it can of the models in the file."""
    expect(sliders(page)).to_contain_text(text)
    other = page.locator(".jp-Notebook .jp-CodeCell").nth(OTHER).locator(".jp-OutputArea-output")
    expect(other).to_contain_text(re.compile("model not found|_esm|AnyWidget"), timeout=30_000)
    expect(sliders(page)).to_contain_text(text)


def end_kernel(page):
    if "No Kernel" in page.locator("#jp-main-statusbar").inner_text():
        return
    choose(page, "Kernel", "kernelmenu:shutdown")
    expect(page.locator("#jp-main-statusbar")).to_contain_text("No Kernel", timeout=30_000)


def restart_kernel(page):
    choose(page, "Kernel", "kernelmenu:restart")
    page.get_by_role("dialog").locator("button.jp-mod-accept").click()
    expect(sliders(page)).to_contain_text(GONE)  # before anybody touches them


def lose_kernel(page):
    run(page, DIE)
    page.get_by_role("dialog").filter(has_text="died").locator("button.jp-mod-accept").click()


def seen(page, name):
    if folder := os.environ.get("MESHLAB_SCREENSHOTS"):
        page.screenshot(path=f"{folder}/{name}.png")


@pytest.mark.parametrize(("trusted", "state"), [(True, True), (True, False), (False, False)], ids=["state", "trusted", "untrusted"])
def test_what_somebody_else_has_run_is_a_recording(trusted, state, lab, learner, request):
    """Executed as by Papermill, with the model's state in the file or without; no script in it runs until it is trusted."""
    come, file = learner
    notebook = nbformat.read(file, as_version=4)
    left = [notebook.cells.pop() for _ in (FREEZE, DIE)]
    NotebookClient(notebook, store_widget_state=state).execute()
    notebook.cells += reversed(left)
    nbformat.write(notebook, file)
    if trusted:
        subprocess.run([sys.executable, "-m", "jupyter", "trust", file], env={**os.environ, **environment(lab[0])}, check=True)
    page = come()
    has_a_recording(page, RECORDING if trusted else NO_SCRIPT)
    seen(page, f"reopened-{request.node.callspec.id}")


def test_what_was_saved_while_the_sliders_lived_is_a_recording(learner):
    come, file = learner
    page = come()
    play(page)
    run(page, OTHER)
    expect(page.locator(".jp-Notebook")).to_contain_text("_esm", timeout=30_000)
    choose(page, "File", "docmanager:save")
    wait_until(lambda: "AnyWidget object" in file.read_text(), "JupyterLab to save the notebook", 30)
    page = come()
    measure(page)  # the kernel has been there all the time
    end_kernel(page)
    page = come()
    has_a_recording(page)
    seen(page, "reopened-saved")
    play(page)


@pytest.mark.parametrize("end", [restart_kernel, end_kernel, lose_kernel])
def test_sliders_whose_kernel_has_gone_say_so(end, learner):
    come, _file = learner
    page = come()
    play(page)
    end(page)
    sliders(page).locator("input[type=range]").first.fill("70")
    expect(sliders(page)).to_contain_text(GONE)
    sliders(page).get_by_role("button", name="Measure").click()
    expect(sliders(page)).to_contain_text(GONE)
    seen(page, f"reopened-{end.__name__}")


def widths(page):
    bars = sliders(page).locator("rect[data-version]")
    return [float(bars.nth(at).get_attribute("width")) for at in range(3)]


def test_when_the_chapter_begins_anew_the_last_picture_stays(learner):
    """`freeze` is what the chapter's checkpoint calls."""
    come, _file = learner
    page = come()
    run(page, SLIDERS)
    expect(sliders(page)).to_contain_text("300 of 300 requests sent", timeout=60_000)  # what was measured before it is what it begins with
    play(page)
    expect(sliders(page)).to_contain_text("On the way p had been as low as 0.04. The interval of v2 misses its mark all the same")
    before = widths(page)
    run(page, FREEZE)
    expect(sliders(page)).to_contain_text("400 of 400 requests sent")
    expect(sliders(page)).to_contain_text("These sliders rest")
    assert widths(page) == before and any(before)
    expect(sliders(page).locator("input[type=range]:disabled")).to_have_count(3)
    expect(sliders(page).get_by_role("button")).to_have_count(0)
    seen(page, "frozen")


def test_arrow_keys_move_the_slider_and_no_cell(learner):
    come, _file = learner
    page = come()
    play(page)
    slider = sliders(page).locator("input[type=range]").first
    slider.fill("40")
    slider.focus()
    for key in ("ArrowUp", "ArrowRight", "ArrowUp", "ArrowDown"):
        page.keyboard.press(key)
    expect(slider).to_have_value("42")
    expect(slider).to_be_focused()
    expect(page.locator(".jp-Notebook .jp-Cell").nth(SLIDERS)).to_have_class(re.compile("jp-mod-active"))


def test_the_unfilled_part_of_a_light_page_s_track_is_light(learner):
    come, _file = learner
    page = come()
    play(page)
    slider = sliders(page).locator("input[type=range]").first
    slider.fill("10")
    picture = imread(io.BytesIO(slider.screenshot()))
    height, width = picture.shape[:2]
    assert picture[height // 2, int(width * 0.7), :3].min() > 0.7


KNOB = """
from types import SimpleNamespace
from lab_helpers.show.living.knob import Knob, Step, rehearse
from lab_helpers.show.svg import Drawing, text
lab = SimpleNamespace(namespace="default")
def follow(lab, value, stopped):
    yield Step(Drawing(300, 30, [text(150, 15, f"half of {value}")], "half"), f"{value} of 100 failed.", 1, 1)
Knob(lab, follow, label="fails for", unit="%", values=[0, 10, 50], recorded=rehearse(lab, follow, [0, 10]))
"""


def test_one_slider_is_measured_comes_to_rest_and_is_a_recording_afterwards(learner):
    come, file = learner
    notebook = nbformat.read(file, as_version=4)
    notebook.cells[SLIDERS].source = KNOB
    nbformat.write(notebook, file)
    page = come()
    run(page, SLIDERS)
    knob = page.locator(".meshlab-knob")
    expect(knob).to_contain_text("10 of 100 failed. Release the slider", timeout=60_000)
    slider = knob.locator("input[type=range]")
    slider.focus()
    page.keyboard.press("ArrowRight")
    expect(slider).to_have_attribute("aria-valuetext", "50 %")
    expect(knob).to_contain_text("50 of 100 failed.", timeout=30_000)
    expect(knob.locator("svg")).to_contain_text("half of 50")
    seen(page, "knob")
    run(page, FREEZE)
    expect(knob).to_contain_text("50 of 100 failed. This slider rests")
    expect(knob.get_by_role("button")).to_have_count(0)
    choose(page, "File", "docmanager:save")
    end_kernel(page)
    page = come()
    knob = page.locator(".meshlab-knob")
    expect(knob).to_contain_text("10 of 100 failed.")
    knob.get_by_role("button", name="0 %", exact=True).click()
    expect(knob.locator("svg")).to_contain_text("half of 0")
