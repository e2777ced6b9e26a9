"""Every chapter that has to be alone, as a reader would run it: by Papermill, from ruins; its outputs held against its record."""

import random

import nbformat
import pytest

from lab_helpers.course import run as course
from lab_helpers.course import site
from lab_helpers.lab import chapters
from lab_helpers.show import checks
from tests import wreckage
from tests.chapters import test_several_learners

pytestmark = pytest.mark.lab


# 03 runs in its own file: from a wreck as well, and where an earlier run of it was killed. Those that need not be alone, in another.
ELSEWHERE = ("03_install", *test_several_learners.STEMS)
RECORDS = [chapters.load(stem) for stem in site.chapters() if stem not in ELSEWHERE]
CHAPTERS = [pytest.param(each.stem, marks=pytest.mark.alone(each.alone)) for each in RECORDS]


@pytest.mark.parametrize("stem", CHAPTERS)
def test_a_chapter_runs_from_a_wreck_and_does_what_its_record_says(stem, lab, run_chapter, differences):
    """Each chapter's wreck is the same in every run; `make soak` draws others."""
    done = wreckage.wreck(lab, random.Random(stem), whole_mesh=bool(chapters.load(stem).alone))
    print(f"{stem} from: {', '.join(done)}")
    executed, passed = run_chapter(stem)
    assert passed == checks.numbers(stem[:2])
    assert differences(executed, course.find(stem)) == []


@pytest.mark.parametrize(
    ("fresh", "same"),
    [
        ("Deployment reviews-v1 created\nin effect on all 12 proxies after 3.42 s", True),
        ("Deployment reviews-v1 unchanged\nin effect on all 9 proxies after 0.21 s", False),
        ("Deployment reviews-v1 created", False),
    ],
)
@pytest.mark.parametrize("tags", [[], ["nbval-ignore-output"]])
def test_a_record_that_differs_in_more_than_time_is_found(differences, tmp_path, fresh, same, tags):
    recorded = "Deployment reviews-v1 created\nin effect on all 9 proxies after 0.21 s\n"
    for name, text in (("fresh", f"{fresh}\n"), ("record", recorded)):
        cell = nbformat.v4.new_code_cell("print(effect)", id="one", execution_count=1, metadata={"tags": tags})
        cell.outputs = [nbformat.v4.new_output("stream", text=text)]
        nbformat.write(nbformat.v4.new_notebook(cells=[cell]), tmp_path / f"{name}.ipynb")
    found = differences(tmp_path / "fresh.ipynb", tmp_path / "record.ipynb")
    assert (found == []) is (same or bool(tags))
