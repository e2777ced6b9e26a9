"""The static book: a copy of the prose and of a run's notebooks, made into HTML by Jupyter Book.

It is built from a copy, so that the site of a run needs no change to the tree, and the tree gets no build output.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import plotly.offline
import yaml

from lab_helpers.core.errors import LabError
from lab_helpers.core.paths import ROOT
from lab_helpers.course.pages import article, chapter, drawings, landing, lighter
from lab_helpers.node.build.versions import VERSIONS
from lab_helpers.node.progress.estimates import about

SHORT = 60  # seconds: parts of the lab that take less have no row of their own
SLIDERS = "12_traffic_shifting"  # whose recording is on the first page
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def build(notebooks: Path, out: Path, runs: Path | None = None, images: str | None = None) -> Path:
    """Build the site from `notebooks` and return its index page.

    Parameters
    ----------
    notebooks : Path
        Folder of executed chapters, ``NN_slug.ipynb`` each.
    out : Path
        Where to build; its folders ``_src`` (the copy) and ``_build`` (the result) are made anew.
    runs : Path, optional
        What the run measured: ``{"lab": str, "chapters": {stem: {"finished": ISO 8601 in UTC, "seconds": float}}}``.
    images : str, optional
        The list of the lab's images, in Markdown.

    Returns
    -------
    Path
        ``out/_build/html/index.html``.

    Raises
    ------
    LabError
        If a chapter of ``_toc.yml`` has no notebook, `runs` cannot be read, or Jupyter Book has anything to warn of.
    """
    out = out.resolve()
    source = out / "_src"
    shutil.rmtree(out / "_build", ignore_errors=True)
    stage(notebooks, source, runs, images)
    command = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()"]
    command += ["build", source, "--path-output", out, "--all", "-W", "-n", "--keep-going"]
    done = subprocess.run(command, cwd=out, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8")
    lines = COLOUR.sub("", done.stdout).replace(f"{source}/", "").splitlines()
    complaints = [line for line in lines if re.search(r"\b(WARNING|ERROR|CRITICAL)\b", line)]
    if done.returncode or complaints:
        raise LabError(
            "The site was not built:\n  " + "\n  ".join(complaints or lines[-15:]),
            "Each line names a file and what is wrong in it; correct them and build again.",
        )
    lighter.lighten(out / "_build" / "html")
    return out / "_build" / "html" / "index.html"


def chapters() -> list[str]:
    """Return the stems of the chapters in ``_toc.yml``, in reading order."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    pages = [Path(page["file"]) for part in toc["parts"] for page in part["chapters"]]
    return [page.name for page in pages if page.parent.name == "notebooks"]


def stage(notebooks: Path, source: Path, runs: Path | None = None, images: str | None = None) -> None:
    """Lay out in `source`, anew, everything that Jupyter Book reads; parameters and errors are those of `build`."""
    missing = [stem for stem in chapters() if not (notebooks / f"{stem}.ipynb").is_file()]
    if missing:
        raise LabError(
            f"{notebooks} has no notebook for {', '.join(missing)}, which _toc.yml names.",
            "Run the missing chapters first (`make course`), or take them out of _toc.yml.",
        )
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(ROOT / "book", source / "book")
    for page in (source / "book").glob("*.md"):
        page.write_text(drawings.inlined(page.read_text(encoding="utf-8"), source / "book"), encoding="utf-8")
    for name in ("_config.yml", "_toc.yml"):
        shutil.copy(ROOT / name, source / name)
    (source / "notebooks").mkdir()
    for stem in chapters():
        notebook = chapter.readable(nbformat.read(notebooks / f"{stem}.ipynb", as_version=4))
        nbformat.write(notebook, source / "notebooks" / f"{stem}.ipynb")
        if chapter.has_figures(notebook):
            (source / "book" / "_static" / "plotly.min.js").write_text(plotly.offline.get_plotlyjs(), encoding="utf-8")
    cards = source / "book" / "_static" / "cards"
    made = {
        "_runs.md": runs_table(runs),
        "_seconds.md": seconds_table(),
        "_gallery.md": landing.gallery(source / "notebooks", chapters(), cards),
        "_replay.md": landing.replay(source / "notebooks" / f"{SLIDERS}.ipynb"),
        "_article.md": article.table(source / "notebooks"),
        "_images.md": images or "This copy of the site was built where the lab's images were not, so their list is not shown here.",
    }
    for name, text in made.items():
        (source / "book" / name).write_text(text, encoding="utf-8")


def seconds_table() -> str:
    """Return, as Markdown, what takes how long: what is done every day, and each part of the lab when nothing is cached."""
    seconds = VERSIONS["seconds"]
    parts = sorted(seconds["build"].items(), key=lambda part: -part[1])
    short = [took for _, took in parts if took < SHORT]
    rows = {**seconds["use"], **{f"to build `{name}`, once": took for name, took in parts if took >= SHORT}}
    rows[f"to build {len(short)} smaller parts, once"] = sum(short)
    return "\n".join(["| what | takes about |", "|---|---:|", *(f"| {what} | {about(took)} |" for what, took in rows.items())])


def runs_table(runs: Path | None) -> str:
    """Return, as Markdown, when each chapter ran and how long it took; or a sentence, if there is no run."""
    if runs is None:
        return "This copy of the site was built from the committed notebooks, so there is no run to tell of."
    try:
        run = json.loads(runs.read_text(encoding="utf-8"))
        rows = [
            f"| {{doc}}`/notebooks/{stem}` | {chapter['finished']} | {chapter['seconds']:.1f} |"
            for stem, chapter in run["chapters"].items()
        ]
        return "\n".join([f"Ran on: {run['lab']}.", "", "| chapter | finished (UTC) | seconds |", "|---|---|---:|", *rows])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise LabError(
            f"The record of the run, {runs}, cannot be read: {error!r}.",
            "It is written by `make course`; run that again, or build the site without it.",
        ) from error
