"""A newcomer at their desk: by `make lab` and a real browser to the first page of Bookinfo, to YAML of their own, and back another day."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Page, expect, sync_playwright

from lab_helpers.core import paths
from lab_helpers.core.wait import wait_until
from lab_helpers.lab import connect
from tests.jupyterlab import end, rested
from tests.live import NAMESPACE, meshlab, sh
from tests.site.conftest import FLAGS

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]
FIRST, SHIFTING = "04_bookinfo", "12_traffic_shifting"
ACTIONS, SECONDS = 15, 90  # to the first page
ROUTE = """%%writefile my/black-stars.yaml
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: reviews
spec:
  hosts: [reviews]
  http:
    - route:
        - destination: {host: reviews, subset: v1}
"""
STARS = "sorted({lab.page().stars for _ in range(6)})"


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A clone in a folder with spaces, whose Python environment is this one's."""
    clone = tmp_path_factory.mktemp("a folder") / "of the course"
    for name in filter(None, sh("git", "-C", paths.ROOT, "ls-files", "-coz", "--exclude-standard").stdout.split("\0")):
        if (paths.ROOT / name).is_file():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(paths.ROOT / name, clone / name)
    (clone / ".venv").symlink_to(paths.ROOT / ".venv")
    return clone


@pytest.fixture
def desk(tmp_path):
    """A desk, made beforehand only where this test has to work in a namespace of its own."""
    desk = tmp_path / "my desk"
    if NAMESPACE != "default":
        meshlab("desk", env={**os.environ, paths.DESK: str(desk)})
        for stem in (FIRST, SHIFTING):
            path = desk / f"{stem}.ipynb"
            path.write_text(path.read_text().replace(r"namespace = \"default\"", rf"namespace = \"{NAMESPACE}\""))
    yield desk
    if NAMESPACE != "default":
        connect(namespace=NAMESPACE, quiet=True).run(f"kubectl delete namespace {NAMESPACE}", deadline=180)


@contextmanager
def lab_made(clone: Path, desk: Path, log: Path):
    """`make lab` in a clone that nobody can write to: yields the address that it prints."""
    read_only = 'mount --make-rprivate / && mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && cd "$1" && exec make lab'
    env = {**os.environ, paths.DESK: str(desk), "PYTHONPATH": str(clone), "SHELL": shutil.which("bash")}
    command = ["unshare", "--mount", "bash", "-ec", read_only, "make", str(clone)]
    with log.open("w") as said, subprocess.Popen(command, env=env, stdout=said, stderr=said) as made:
        try:
            address = re.compile(r"^ *(http://127\.0\.0\.1:\d+/\S*token=\w+)$", re.MULTILINE)
            wait_until(lambda: address.search(log.read_text()), "`make lab` to print an address", 120, late=lambda: log.read_text()[-800:])
            yield address.search(log.read_text())[1]
        finally:
            end(made)


class Newcomer:
    """Somebody at the browser, whose actions are counted: each is one click, one key, or one text that is typed."""

    def __init__(self, page: Page):
        self.page, self.actions, self.printed, self.chapters, self.kernels = page, [], [], set(), set()
        page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: self.hear(socket.url, frame)))

    def hear(self, url: str, frame: str | bytes) -> None:
        """Note what terminals print, and which kernels have said that they are there."""
        if "/terminals/" in url:
            kind, *rest = json.loads(frame)
            self.printed += rest if kind == "stdout" else []
        elif b"kernel_info_reply" in (frame if isinstance(frame, bytes) else frame.encode()):
            self.kernels.add(url.partition("?")[0])

    def does(self, what: str, action, *arguments) -> None:
        action(*arguments)
        self.actions.append(what)

    def opens(self, address: str) -> None:
        self.does("opens the address", self.page.goto, address)
        expect(self.page.get_by_role("heading", name="Istio by experiment")).to_be_visible(timeout=60_000)

    def clicks(self, what: str, where) -> None:
        self.does(f"clicks {what}", where.click)

    def chapter(self, number: int) -> None:
        """Open a chapter, and wait for its kernel: what is run before it is there is not run. The status bar may tell of another one."""
        self.clicks(f"chapter {number}", self.page.get_by_role("cell").get_by_role("link", name=re.compile(f"^{number} · ")))
        self.chapters.add(number)
        expect(self.page.get_by_role("tab", name=re.compile(f"^{number:02}_"))).to_have_attribute("aria-selected", "true")
        self.waits_for(lambda: len(self.kernels) >= len(self.chapters), f"the kernel of chapter {number}")
        rested(self.page)

    def waits_for(self, probe, what: str) -> None:
        """Wait for what the browser hears, which it does only while it is asked for something."""
        wait_until(lambda: self.page.evaluate("1") and probe(), what, 60, every=0.1, late=lambda: "".join(self.printed)[-500:])

    def presses(self, keys: str) -> None:
        self.does(keys, self.page.keyboard.press, keys)

    def types(self, text: str) -> None:
        self.does(f"types {text.splitlines()[0]}", self.page.keyboard.insert_text, text)

    def cell(self, text: str):
        return self.page.locator(".jp-Notebook:visible .jp-CodeCell").filter(has_text=text).first

    def runs(self, text: str) -> None:
        """Run the cell with a text, and wait until it has run."""
        self.clicks(f"{text[:30]}…", self.cell(text).locator(".jp-InputArea-editor"))
        self.presses("Shift+Enter")
        self.has_run(text)

    def writes(self, text: str) -> None:
        """Write into the cell that holds the learner's manifest, and run it."""
        self.clicks("the exercise", self.cell("%%writefile my/black-stars.yaml").locator(".cm-content"))
        self.presses("Control+A")
        self.types(text)
        self.presses("Shift+Enter")
        self.runs('lab.apply("my/black-stars.yaml")')

    def has_run(self, text: str) -> None:
        expect(self.cell(text).locator(".jp-InputPrompt")).to_have_text(re.compile(r"\[\d+\]"), timeout=120_000)
        expect(self.cell(text).locator(".jp-RenderedText[data-mime-type*=stderr]")).to_have_count(0)


@pytest.fixture
def browser():
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS) as browser:
        yield browser


def come(browser) -> Newcomer:
    newcomer = Newcomer(browser.new_page(viewport={"width": 1400, "height": 1000}))
    newcomer.page.set_default_timeout(60_000)
    return newcomer


def test_a_newcomer_gets_to_the_first_page_writes_yaml_of_their_own_and_finds_it_another_day(clone, desk, browser, tmp_path, capsys):
    began = time.monotonic()
    with lab_made(clone, desk, tmp_path / "log") as address:
        newcomer = come(browser)
        page = newcomer.page
        newcomer.opens(address)
        newcomer.chapter(4)
        while not newcomer.cell('lab.page("/productpage")').locator(".jp-OutputArea-output").count():
            newcomer.presses("Shift+Enter")
            expect(page.locator(".jp-Notebook:visible .jp-InputPrompt").filter(has_text="[*]")).to_have_count(0, timeout=120_000)
        shown = newcomer.cell('lab.page("/productpage")').frame_locator("iframe")
        expect(shown.get_by_text("The Comedy of Errors").first).to_be_visible()
        seconds = time.monotonic() - began
        with capsys.disabled():
            print(f"\nfrom `make lab` to the first page of Bookinfo: {len(newcomer.actions)} actions, {seconds:.0f} s of machine time")
            print(f"  {', '.join(newcomer.actions)}")
        assert len(newcomer.actions) <= ACTIONS and seconds <= SECONDS

        newcomer.clicks("START", page.get_by_role("tab", name="START.md"))
        newcomer.chapter(12)
        for cell in ("namespace =", "import *", "lab.checkpoint(", "/01-subsets.yaml"):
            newcomer.runs(cell)
        newcomer.writes(ROUTE)
        newcomer.clicks("the cell", newcomer.cell('lab.apply("my/black-stars.yaml")').locator(".jp-InputPrompt"))
        newcomer.presses("b")
        newcomer.presses("Enter")
        newcomer.types(STARS)
        newcomer.presses("Shift+Enter")
        newcomer.has_run(STARS)
        expect(newcomer.cell(STARS)).to_contain_text("['none']")
        newcomer.writes(ROUTE.replace("subset: v1", "subset: v3"))
        newcomer.runs(STARS)
        expect(newcomer.cell(STARS)).to_contain_text("['red']")

        newcomer.clicks("File", page.get_by_role("menuitem", name="File", exact=True))
        newcomer.clicks("New", page.locator(".lm-Menu-itemLabel").filter(has_text=re.compile("^New$")))
        newcomer.clicks("Terminal", page.locator(".lm-Menu [data-command='terminal:create-new']"))
        newcomer.waits_for(lambda: newcomer.printed, "a prompt in the terminal")
        newcomer.types("istioctl version")
        newcomer.presses("Enter")
        newcomer.waits_for(lambda: "data plane version" in "".join(newcomer.printed), "istioctl to answer")
        for part in ("client", "control plane"):
            assert f"{part} version: 1." in "".join(newcomer.printed)
        work = desk / f"{SHIFTING}.ipynb"
        wait_until(lambda: "['red']" in work.read_text(), "the work to be kept, which nobody saves by hand", 60, every=0.2)
        page.close()

    with lab_made(clone, desk, tmp_path / "log") as address:
        assert "The course has changed" not in (desk / "START.md").read_text()
        newcomer = come(browser)
        newcomer.opens(address)
        newcomer.chapter(12)
        expect(newcomer.cell("%%writefile my/black-stars.yaml")).to_contain_text("subset: v3", timeout=30_000)
        expect(newcomer.cell(STARS)).to_contain_text("['red']")
        assert "subset: v3" in (desk / "my" / "black-stars.yaml").read_text()
        newcomer.page.close()
    kept = [each.source for each in nbformat.read(work, as_version=4).cells]
    assert STARS in kept and ROUTE.replace("subset: v1", "subset: v3").strip() in [each.strip() for each in kept]


@pytest.mark.parametrize("uid", [65534, 12345], ids=["not root", "without a name"])
def test_whoever_is_not_root_has_a_desk_while_the_lab_is_roots(tmp_path, uid):
    somebody = ("unshare", "--user", f"--map-user={uid}", f"--map-group={uid}")
    told = sh(*somebody, paths.ROOT / ".venv/bin/meshlab", "desk", env={**os.environ, paths.DESK: str(tmp_path / "my desk")}).stdout
    assert "new files" in told
    start = (tmp_path / "my desk" / "START.md").read_text()
    assert f"[4 · Our test application: Bookinfo]({FIRST}.ipynb)" in start and "/productpage>" in start
