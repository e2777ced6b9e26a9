"""JupyterLab on loopback, as `make lab` runs it, with a folder, settings and signatures of its own, and what a learner does in it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, expect

from lab_helpers.core.wait import wait_until
from lab_helpers.course.desk import jupyter


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Yield an address, with a ``%s`` where the name of a notebook belongs, at which JupyterLab shows what is in ``folder/work``."""
    log = folder / "log"
    with log.open("w") as said, jupyter.started(folder / "work", folder, ["--port=0"], stdout=said, stderr=said) as (server, runtime):
        try:
            wait_until(lambda: told(runtime), "JupyterLab to start", 60, late=lambda: log.read_text()[-500:])
            known = json.loads(told(runtime))
            yield f"{known['url']}lab/tree/%s?token={known['token']}"
        finally:
            end(server)


def told(runtime: Path) -> str:
    """What a server says of itself, once it has: the file is there before anything is in it."""
    return "".join(each.read_text() for each in runtime.glob("jpserver-*.json"))


def end(server: subprocess.Popen) -> None:
    """End a server that a test has started."""
    server.terminate()
    try:
        server.wait(30)
    except subprocess.TimeoutExpired:
        server.kill()


def environment(folder: Path) -> dict[str, str]:
    """Where a JupyterLab of `folder`, and a ``jupyter trust`` for it, keep what they know."""
    return {"JUPYTER_CONFIG_DIR": str(folder / "config"), "JUPYTER_DATA_DIR": str(folder / "data")}


def opened(page: Page, address: str) -> None:
    """Open a notebook, and wait until it has a kernel that has nothing to do."""
    # JupyterLab may ask this while the kernel is starting; a learner presses the same button.
    asked = page.get_by_role("dialog").filter(has_text="Select Kernel")
    page.add_locator_handler(asked, lambda: asked.locator("button.jp-mod-accept").click())
    page.goto(address)
    rested(page)


def rested(page: Page) -> None:
    """Wait until the kernel has nothing to do."""
    expect(page.locator("#jp-main-statusbar")).to_contain_text("Python 3 (ipykernel) | Idle", timeout=120_000)


def choose(page: Page, menu: str, command: str) -> None:
    """Choose an entry of JupyterLab's menu bar."""
    page.get_by_role("menuitem", name=menu, exact=True).click()
    page.locator(f".lm-Menu [data-command='{command}']").click()
