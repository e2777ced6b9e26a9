"""nbval itself over every chapter on a live lab, as anybody may run it: ``pytest --nbval`` with the repository's sanitizing.

`make test` applies nbval's comparison to Papermill's run instead: one run of each chapter, and not two.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from lab_helpers.core.paths import DESK
from lab_helpers.course import run as course
from lab_helpers.course import site
from lab_helpers.course.desk.folder import throw_away
from tests.chapters.conftest import SANITIZE

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]


def nbval(notebook: Path, namespace: str = "default") -> subprocess.CompletedProcess:
    """What ``pytest --nbval`` says of a notebook, in a throw-away desk and a namespace."""
    options = ["--nbval", "--nbval-current-env", "--nbval-cell-timeout=300", f"--nbval-sanitize-with={SANITIZE}"]
    with throw_away() as desk:
        copy = desk / notebook.name
        text = notebook.read_text(encoding="utf-8").replace(r"namespace = \"default\"", rf"namespace = \"{namespace}\"")
        copy.write_text(text, encoding="utf-8")
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", ROOT, *options, copy]
        return subprocess.run([*map(str, command)], cwd=ROOT, env={**os.environ, DESK: str(desk)}, capture_output=True, text=True)


@pytest.mark.parametrize("stem", site.chapters())
def test_a_chapter_gives_its_record_once_more(stem):
    done = nbval(course.find(stem))
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


@pytest.mark.parametrize("changed", [False, True])
def test_an_output_that_was_changed_is_found(tmp_path, changed):
    """The beginning of a chapter, as it is and with one word of a record altered."""
    notebook = nbformat.read(course.find("12_traffic_shifting"), as_version=4)
    last = next(at for at, cell in enumerate(notebook.cells) if "01-subsets.yaml" in cell.source and cell.cell_type == "code")
    notebook.cells = notebook.cells[: last + 1]
    [output] = notebook.cells[last].outputs
    assert "created" in output["data"]["text/plain"]
    if changed:
        output["data"]["text/plain"] = output["data"]["text/plain"].replace("created", "unchanged")
    nbformat.write(notebook, tmp_path / "12_beginning.ipynb")
    done = nbval(tmp_path / "12_beginning.ipynb")
    assert (done.returncode == 0) is not changed, done.stdout[-6000:]
    assert not changed or "unchanged" in done.stdout
