"""The built site on the loopback address, and a browser that cannot go anywhere else."""

import os
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[2]
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


def serve(folder: Path):
    """Yield the address at which `folder` is served, on a free port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


class Visit:
    """A page of its own, which notes what it asked of other sites and what it complained of."""

    def __init__(self, browser, address: str, theme: str = "light"):
        self.address, self.foreign, self.complaints = address, [], []
        self.context = browser.new_context(viewport={"width": 1280, "height": 900})
        self.context.add_init_script(f"if (self === top) localStorage.mode = localStorage.theme = '{theme}'")
        self.context.route("**/*", self.only_here)
        self.page = self.context.new_page()
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)

    def only_here(self, route):
        if route.request.url.startswith(f"{self.address}/"):
            return route.continue_()
        self.foreign.append(route.request.url)
        return route.abort()

    def open(self, path: str):
        self.page.goto(f"{self.address}/{path}", wait_until="networkidle")
        return self.page


@pytest.fixture(scope="session")
def site() -> Path:
    folder = Path(os.environ.get("MESHLAB_SITE", ROOT / "build" / "site" / "_build" / "html"))
    if not (folder / "index.html").is_file():
        pytest.fail(f"There is no site in {folder}: build it with `make site`, or name another folder in MESHLAB_SITE.")
    return folder


@pytest.fixture(scope="session")
def address(site):
    yield from serve(site)


@pytest.fixture(scope="session")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser):
    """``visit(address, theme)`` opens a `Visit`; all are closed after the test."""
    visits = []

    def start(address, theme="light"):
        visits.append(Visit(browser, address, theme))
        return visits[-1]

    yield start
    for each in visits:
        each.context.close()


@pytest.fixture
def served(tmp_path):
    """Yield a folder and the address at which it is served."""
    for address in serve(tmp_path):
        yield tmp_path, address
