"""Running chapters as a reader would: by Papermill, on the live lab."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from nbval.plugin import IPyNbFile, coalesce_streams, get_sanitize_patterns

from lab_helpers.course import run as course
from lab_helpers.lab import chapters, connect
from tests import wrong_answers
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
    """A function that executes a chapter by Papermill, wrong answers on its way included.

    It returns the executed notebook, without what is not the chapter's own, and the numbers of the checks that it passed.
    """

    def run(stem: str, **parameters: str) -> tuple[Path, list[str]]:
        source, target = tmp_path / "source.ipynb", tmp_path / f"{stem}.ipynb"
        wrong_answers.put_in(stem, course.find(stem), source)
        course.execute(source, target, **{"namespace": NAMESPACE, **parameters})
        executed = nbformat.read(target, as_version=4)
        tried = "".join(_printed(cell) for cell in executed.cells if _is_ours(cell))
        assert sorted(re.findall(r"^tried (\w+)$", tried, re.MULTILINE)) == sorted(wrong_answers.of(stem)), (
            "not all wrong answers were tried"
        )
        executed.cells = [cell for cell in executed.cells if not _is_ours(cell)]
        nbformat.write(executed, target)
        return target, _passed(executed)

    return run


@pytest.fixture
def differences(request):
    """A function that has nbval compare an executed notebook with its record, and returns what differs, a text for each cell.

    nbval by itself would execute the notebook once more; its comparison, its tags and its sanitizing are all that is wanted.
    """

    def compare(executed: Path, recorded: Path) -> list[str]:
        fresh = [cell for cell in nbformat.read(executed, as_version=4).cells if cell.cell_type == "code"]
        file = IPyNbFile.from_parent(request.session, path=recorded)
        file.sanitize_patterns.update(get_sanitize_patterns(SANITIZE.read_text()))
        found = []
        for ran, cell in zip(fresh, file.collect(), strict=True):
            assert ran.source == cell.cell.source, "the record is of another notebook"
            if cell.options["check"] and not cell.compare_outputs(coalesce_streams(ran.outputs), coalesce_streams(cell.cell.outputs)):
                found.append("\n".join([f"{cell.name}: {ran.source}", *cell.comparison_traceback]))
        return found

    return compare


def _is_ours(cell) -> bool:
    """Whether a cell is papermill's, with parameters, or calls wrong answers."""
    return bool({"injected-parameters", wrong_answers.TAG} & set(cell.metadata.get("tags", [])))


def _printed(cell) -> str:
    return "".join(output.get("text", "") for output in cell.get("outputs", []))


def _passed(notebook) -> list[str]:
    """Numbers of the checks that an executed notebook passed, in order."""
    return re.findall(r"^✔ (\d\d\.\d+) ", "".join(map(_printed, notebook.cells)), flags=re.MULTILINE)
