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
SECONDS = "seconds of a chapter"


def pytest_terminal_summary(terminalreporter):
    """One line for each chapter that was run: where its seconds went."""
    reports = [each for outcome in ("passed", "failed") for each in terminalreporter.getreports(outcome)]
    lines = [value for each in reports for name, value in each.user_properties if name == SECONDS and each.when == "call"]
    if lines:
        terminalreporter.section("seconds of each chapter")
    for stem, seconds in lines:
        terminalreporter.write_line(f"{stem:22}" + "  ".join(f"{what} {took:5.1f}" for what, took in seconds.items()))


@pytest.fixture(scope="session")
def lab():
    """The embedded lab, with every chapter's checks; without one these tests fail, they are not skipped."""
    for stem in chapters.stems():
        chapters.load(stem)
    return connect(quiet=True, namespace=NAMESPACE)


@pytest.fixture
def run_chapter(tmp_path, record_property):
    """A function that executes a chapter by Papermill, wrong answers on its way included.

    It returns the executed notebook, without what is not the chapter's own, and the numbers of the checks that it passed.
    """

    def run(stem: str, **parameters: str) -> tuple[Path, list[str]]:
        source, target = tmp_path / f"{stem}-source.ipynb", tmp_path / f"{stem}.ipynb"
        wrong_answers.put_in(stem, course.find(stem), source)
        course.execute(source, target, **{"namespace": NAMESPACE, **parameters})
        executed = nbformat.read(target, as_version=4)
        record_property(SECONDS, (stem, _seconds(executed)))
        tried = "".join(_printed(cell) for cell in executed.cells if _is_ours(cell))
        assert sorted(re.findall(r"^tried (\w+)$", tried, re.MULTILINE)) == sorted(wrong_answers.of(stem)), (
            "not all wrong answers were tried"
        )
        executed.cells = [cell for cell in executed.cells if not _is_ours(cell)]
        nbformat.write(executed, target)
        return target, passed(executed)

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


def _seconds(notebook) -> dict[str, float]:
    """Seconds of all cells; of the chapter itself, its checkpoint, its checks, its wrong answers; and between the looks of waits."""
    took = {cell.id: cell.metadata.papermill["duration"] or 0 for cell in notebook.cells if cell.cell_type == "code"}
    of = lambda wanted: sum(took[cell.id] for cell in notebook.cells if cell.id in took and wanted(cell))  # noqa: E731
    seconds = {
        "checkpoint": of(lambda cell: "lab.checkpoint(" in cell.source),
        "checks": of(lambda cell: re.search(r"^check\(", cell.source, re.MULTILINE)),
        "wrong answers": of(lambda cell: wrong_answers.TAG in cell.metadata.get("tags", [])),
    }
    waited = re.search(r"^waited ([\d.]+) s$", "".join(_printed(cell) for cell in notebook.cells if _is_ours(cell)), re.MULTILINE)
    run = sum(took.values()) - sum(seconds.values())
    return {"all": sum(took.values()), "run": run, **seconds, "asleep in waits": float(waited[1])}


def _is_ours(cell) -> bool:
    """Whether a cell is papermill's, with parameters, or calls wrong answers."""
    return bool({"injected-parameters", wrong_answers.TAG} & set(cell.metadata.get("tags", [])))


def _printed(cell) -> str:
    """What a cell has printed or shown, as text."""
    return "".join(output.get("text") or output.get("data", {}).get("text/plain", "") + "\n" for output in cell.get("outputs", []))


def passed(notebook) -> list[str]:
    """Numbers of the checks that an executed notebook passed, in order."""
    return re.findall(r"^✔ (\d\d\.\d+) ", "".join(map(_printed, notebook.cells)), flags=re.MULTILINE)
