"""`meshlab new-chapter` in a copy of the tree: what it makes passes every rule that chapters are held to."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from lab_helpers.core.errors import LabError
from lab_helpers.course import new_chapter
from lab_helpers.lab.chapters import stems
from tests.unit import test_alignment, test_layout

ROOT = Path(__file__).parents[2]
STEM = "77_new_chapter"


@pytest.fixture
def tree(tmp_path):
    """A copy of what is needed of this tree, with one of its chapters: a site of all of them takes a while."""
    others = [f"{kind}{number}_*" for kind in ("", "c", "test_") for number in ("0[1-35-9]", "[1-9]?")]
    for name in ("lab_helpers", "manifests", "notebooks", "book", "tests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", *others))
    for name in ("_config.yml", "_toc.yml", "pyproject.toml", "requirements.in"):
        shutil.copy(ROOT / name, tmp_path / name)
    one = tmp_path / "notebooks" / "04_bookinfo.ipynb"  # and what it says of the others leads to itself
    one.write_text(re.sub(r"\]\(\d\d_\w+\.ipynb\)", "](04_bookinfo.ipynb)", one.read_text()))
    (tmp_path / "_toc.yml").write_text(
        "format: jb-book\nroot: book/glossary\nparts:\n  - caption: Chapters\n    chapters:\n      - file: notebooks/04_bookinfo\n"
    )
    return tmp_path


def test_a_new_chapter_passes_alignment_layers_and_the_build_of_the_site(tree):
    made = new_chapter.make(STEM, tree)
    assert sorted(str(path.relative_to(tree)) for path in made) == [
        "_toc.yml", f"lab_helpers/chapters/c{STEM}/__init__.py", f"lab_helpers/chapters/c{STEM}/checks.py",
        f"manifests/{STEM}/01-first.yaml", f"notebooks/{STEM}.ipynb", f"tests/chapters/test_{STEM}.py",
    ]  # fmt: skip
    rules = (
        test_alignment.misaligned,
        test_alignment.unused_manifests,
        test_alignment.overreaching_notebooks,
        test_alignment.misnamed_records,
    )
    assert [found for rule in rules for found in rule(tree)] == []
    assert test_layout.undeclared(tree) == []
    for command in (
        ["-c", "import sys; from importlinter.cli import lint_imports_command as lint; sys.argv[1:] = ['--no-cache']; lint()"],
        ["-m", "ruff", "check", "--quiet", *map(str, made[:1] + made[2:-1])],
        ["-m", "ruff", "format", "--check", "--quiet", *map(str, made[:1] + made[2:-1])],
        [
            "-c",
            f"import pathlib, tests.wrong_answers as w; w.put_in('{STEM}', pathlib.Path('notebooks/{STEM}.ipynb'), pathlib.Path('put'))",
        ],
        ["-c", f"from lab_helpers.lab import chapters; assert chapters.load('{STEM}').stem == '{STEM}'"],
        ["-c", "from lab_helpers.course import run; print(run.build_site())"],
    ):
        done = subprocess.run([sys.executable, *command], cwd=tree, capture_output=True, text=True, env={"PYTHONPATH": str(tree)})
        assert done.returncode == 0, f"{command}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
    assert "somebody_was_not_answered" in (tree / "put").read_text()
    assert (tree / "build" / "site" / "_build" / "html" / "notebooks" / f"{STEM}.html").is_file()


def test_a_new_chapter_stands_in_its_place_in_the_table_of_contents():
    toc = (ROOT / "_toc.yml").read_text()
    *_, last = stems()
    for stem, before in (("00_first", None), ("08_more", "07_tracing"), ("99_last", last)):
        listed = [page["file"] for part in yaml.safe_load(new_chapter._with_chapter(toc, stem))["parts"] for page in part["chapters"]]
        at = listed.index(f"notebooks/{stem}")
        assert listed[at - 1] == f"notebooks/{before}" if before else listed[at + 1] == "notebooks/01_service_mesh"


@pytest.mark.parametrize(
    ("stem", "sentence"),
    [
        ("gateway", "cannot name a chapter"),
        ("9_gateway", "cannot name a chapter"),
        ("09-gateway", "cannot name a chapter"),
        ("09_Gateway", "cannot name a chapter"),
        ("../09_x", "cannot name a chapter"),
        ("04_other", "There is a chapter 04 already: 04_bookinfo"),
    ],
)
def test_a_name_that_cannot_be_makes_nothing(tree, stem, sentence):
    before = sorted(tree.rglob("*"))
    with pytest.raises(LabError, match=sentence) as caught:
        new_chapter.make(stem, tree)
    assert caught.value.do and sorted(tree.rglob("*")) == before


def test_what_is_there_is_not_written_over(tree):
    own = tree / "manifests" / STEM / "01-first.yaml"
    own.parent.mkdir()
    own.write_text("mine")
    with pytest.raises(LabError, match="exists already"):
        new_chapter.make(STEM, tree)
    assert own.read_text() == "mine" and not (tree / "notebooks" / f"{STEM}.ipynb").exists()
