"""Run the course: each chapter by Papermill on the live mesh, the site from that run, a summary of what took how long."""

from __future__ import annotations

import json
import os
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import papermill
from jupyter_client.manager import AsyncKernelManager
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from traitlets import default

from lab_helpers.core.errors import LabError
from lab_helpers.core.paths import DESK, ROOT
from lab_helpers.course import site
from lab_helpers.course.desk.folder import throw_away
from lab_helpers.course.record import normalise, note_beside, was_beside
from lab_helpers.lab import chapters, connect
from lab_helpers.node import lock

NOTEBOOKS = ROOT / "notebooks"
RUN = ROOT / "build" / "run"
SITE = ROOT / "build" / "site"
CELL = 1800  # seconds for one cell; the longest of the course takes two minutes


def find(stem: str) -> Path:
    """Return the notebook of the chapter `stem`.

    Raises
    ------
    LabError
        When there is no such chapter, naming those that there are.
    """
    path = NOTEBOOKS / f"{stem}.ipynb"
    if not path.is_file():
        known = sorted(each.stem for each in NOTEBOOKS.glob("*.ipynb"))
        raise LabError(f"There is no chapter {stem!r}.", chapters.instead(stem, known))
    return path


class LocalKernel(AsyncKernelManager):
    """A kernel that is spoken to by Unix sockets: its TCP ports would be open to everybody on the machine."""

    transport = "ipc"
    desk: Path  # whose kernel it is: there it works, and keeps what is predicted and checked

    async def _async_pre_start_kernel(self, **how):
        # Papermill's own way to name a folder changes that of this process, which may be executing another notebook beside this one.
        how |= {"cwd": str(self.desk), "env": {**(how.get("env") or os.environ), DESK: str(self.desk)}}
        return await super()._async_pre_start_kernel(**how)

    @default("ip")
    def _socket(self) -> str:
        # Jupyter's own default is a file in the working folder, the same for all: two runs at a time would hear each other.
        return f"{tempfile.gettempdir()}/kernel-{uuid4().hex[:12]}"


def execute(source: Path, target: Path, **parameters) -> None:
    """Execute the notebook `source` by Papermill, as a learner would who runs every cell, in a throw-away desk; write it to `target`.

    `parameters` that are None are left at the notebook's own.
    """
    given = {name: value for name, value in parameters.items() if value is not None}
    with throw_away() as desk:
        of_desk = type("DeskKernel", (LocalKernel,), {"desk": desk})
        quiet = {"progress_bar": False, "kernel_name": "python3", "kernel_manager_class": of_desk, "execution_timeout": CELL}
        papermill.execute_notebook(source, target, given or None, **quiet)


def run_chapter(stem: str, context: str | None = None) -> tuple[Path, float]:
    """Bring a lab to the start of the chapter `stem` and execute it.

    Parameters
    ----------
    stem : str
    context : str, optional
        A context of the kubeconfig; without it, the embedded lab, whatever the environment says.

    Returns
    -------
    Path, float
        The executed notebook, and the seconds that the chapter took.

    Raises
    ------
    LabError
        When there is no such chapter or lab, or a cell of it fails: with the cell's error.
    """
    source, target = find(stem), RUN / f"{stem}.ipynb"
    target.parent.mkdir(parents=True, exist_ok=True)
    connect(context, quiet=True, istio=False).checkpoint(stem)
    began, beside = time.monotonic(), lock.held(lock.CACHE)
    try:
        execute(source, target, context=context)
    except papermill.PapermillExecutionError as error:
        what = f"Chapter {stem} failed in cell {error.cell_index}: {error.ename}: {error.evalue}"
        raise LabError(what, f"The notebook as far as it came: {target.relative_to(ROOT)}") from None
    except CellTimeoutError as error:
        do = f"See what it waits for: meshlab status, and the notebook as far as it came, {target.relative_to(ROOT)}."
        raise LabError(f"A cell of chapter {stem} has not ended within {CELL // 60} minutes.", do) from error
    except DeadKernelError as error:
        raise LabError(f"The kernel of chapter {stem} has died.", "Perhaps memory ran out: see `meshlab status`.") from error
    if beside or lock.held(lock.CACHE):
        note_beside(target)
    return target, time.monotonic() - began


def run_course(report, context: str | None = None) -> dict[str, float]:
    """Execute every chapter of ``_toc.yml`` in order, build the site from the run; return seconds by chapter."""
    record: dict = {"lab": str(connect(context, quiet=True, istio=False)), "chapters": {}}
    for stem in site.chapters():
        with report.step(f"chapter {stem}"):
            _, seconds = run_chapter(stem, context)
        finished = datetime.now(UTC).strftime("%Y-%m-%d %H:%M")
        record["chapters"][stem] = {"finished": finished, "seconds": seconds}
    runs = RUN / "runs.json"
    runs.write_text(json.dumps(record, indent=2), encoding="utf-8")
    with report.step("the site from that run"):
        build_site(RUN, runs)
    return {stem: chapter["seconds"] for stem, chapter in record["chapters"].items()}


def build_site(notebooks: Path = NOTEBOOKS, runs: Path | None = None) -> Path:
    """Build the site from `notebooks`, by default the committed ones; return its index page."""
    return site.build(notebooks, SITE, runs, images_table())


def images_table() -> str:
    """Return, as Markdown, the embedded lab's images, alike ones together: what each is made from, how it differs from the official one."""
    from lab_helpers.node.build.images import descriptions  # looks for a compiler when it is loaded

    alike: dict[tuple[str, str], list[str]] = {}
    for name, source, differs in descriptions():
        alike.setdefault((source, differs), []).append(f"`{name}`")
    return "\n".join(f"{', '.join(names)}\n: *From {source}.* {differs}\n" for (source, differs), names in alike.items())


def record() -> list[str]:
    """Put the outputs of the last run into the committed notebooks; return the chapters' stems.

    Raises
    ------
    LabError
        When there is no run of a chapter, or one beside which `meshlab up` was building; nothing is recorded then.
    """
    stems = site.chapters()
    for stem in stems:
        if not (RUN / f"{stem}.ipynb").is_file():
            raise LabError(f"There is no run of {stem}.", "Run it first: `make course`, or `meshlab run` with its name.")
        if was_beside(RUN / f"{stem}.ipynb"):
            raise LabError(
                f"{stem} was run while `meshlab up` was building: its times are not the mesh's.", f"Run it again: meshlab run {stem}"
            )
    for stem in stems:
        normalise(RUN / f"{stem}.ipynb", NOTEBOOKS / f"{stem}.ipynb")
    return stems
