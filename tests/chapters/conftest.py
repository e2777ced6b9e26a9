"""Running chapters as a reader would: by Papermill, on the live lab."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from lab_helpers import course
from lab_helpers.mesh.connect import connect

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = ROOT / "notebooks"
SANITIZE = Path(__file__).with_name("nbval_sanitize.cfg")


@pytest.fixture(scope="session")
def lab():
    """The live lab; without one these tests fail, they are not skipped."""
    return connect(quiet=True)


@pytest.fixture
def run_chapter(tmp_path):
    """A function that executes a chapter and returns the numbers of the checks that it passed."""

    def run(stem: str) -> list[str]:
        target = tmp_path / f"{stem}.ipynb"
        course.execute(NOTEBOOKS / f"{stem}.ipynb", target)
        return passed(target)

    return run


@pytest.fixture
def compare_with_record():
    """A function that runs a notebook by nbval against its recorded outputs and returns what pytest printed, if that failed."""

    def compare(notebook: Path) -> str:
        done = subprocess.run(
            [
                sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--nbval", "--nbval-current-env",
                f"--nbval-sanitize-with={SANITIZE}", str(notebook),
            ],
            capture_output=True, text=True, cwd=ROOT, timeout=280,
        )  # fmt: skip
        return done.stdout[-6000:] if done.returncode else ""

    return compare


def passed(notebook: Path) -> list[str]:
    """Numbers of the checks that an executed notebook passed, in order."""
    cells = nbformat.read(notebook, as_version=4).cells
    printed = "".join(output.get("text", "") for cell in cells for output in cell.get("outputs", []))
    return re.findall(r"^✔ (\d\d\.\d+) ", printed, flags=re.MULTILINE)
