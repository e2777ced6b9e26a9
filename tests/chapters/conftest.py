"""Running chapters as a reader would: by Papermill, on the live lab."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from nbval.plugin import IPyNbFile, coalesce_streams, get_sanitize_patterns

from lab_helpers.course import run as course
from lab_helpers.lab import chapters, connect
from tests.live import NAMESPACE

SANITIZE = Path(__file__).with_name("nbval_sanitize.cfg")


@pytest.fixture(scope="session")
def lab():
    """The embedded lab, with every chapter's checks; without one these tests fail, they are not skipped."""
    for stem in chapters.stems():
        chapters.load(stem)
    return connect(quiet=True, namespace=NAMESPACE)


@pytest.fixture
def run_chapter(tmp_path):
    """A function that executes a chapter by Papermill and returns the executed notebook, and the numbers of the checks it passed."""

    def run(stem: str, **parameters: str) -> tuple[Path, list[str]]:
        target = tmp_path / f"{stem}.ipynb"
        course.execute(course.find(stem), target, **{"namespace": NAMESPACE, **parameters})
        return target, _passed(target)

    return run


@pytest.fixture
def differences(request):
    """A function that has nbval compare an executed notebook with its record, and returns what differs, a text for each cell.

    nbval by itself would execute the notebook once more; its comparison, its tags and its sanitizing are all that is wanted.
    """

    def compare(executed: Path, recorded: Path) -> list[str]:
        cells = nbformat.read(executed, as_version=4).cells
        fresh = [cell for cell in cells if cell.cell_type == "code" and "injected-parameters" not in cell.metadata.get("tags", [])]
        file = IPyNbFile.from_parent(request.session, path=recorded)
        file.sanitize_patterns.update(get_sanitize_patterns(SANITIZE.read_text()))
        found = []
        for ran, cell in zip(fresh, file.collect(), strict=True):
            assert ran.source == cell.cell.source, "the record is of another notebook"
            if cell.options["check"] and not cell.compare_outputs(coalesce_streams(ran.outputs), coalesce_streams(cell.cell.outputs)):
                found.append("\n".join([f"{cell.name}: {ran.source}", *cell.comparison_traceback]))
        return found

    return compare


def _passed(notebook: Path) -> list[str]:
    """Numbers of the checks that an executed notebook passed, in order."""
    cells = nbformat.read(notebook, as_version=4).cells
    printed = "".join(output.get("text", "") for cell in cells for output in cell.get("outputs", []))
    return re.findall(r"^✔ (\d\d\.\d+) ", printed, flags=re.MULTILINE)
