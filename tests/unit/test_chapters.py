"""The records of the chapters, and how a chapter is found: the one import by name that there is."""

import pytest

from lab_helpers.core import manifests
from lab_helpers.core.errors import LabError
from lab_helpers.course import site
from lab_helpers.lab import chapters
from lab_helpers.show import checks


@pytest.mark.parametrize("stem", chapters.stems())
def test_a_chapter_is_found_by_its_stem_and_its_checks_by_their_number(stem):
    record = chapters.load(stem)
    assert record.stem == stem and 5 <= record.minutes <= 90 and record.question.endswith("?")
    assert checks.numbers(record.number)
    assert all(manifests.load(name) for name in record.start)


def test_every_chapter_of_the_table_of_contents_has_a_record_and_no_other_one():
    assert chapters.stems() == sorted(site.chapters())


@pytest.mark.parametrize(
    ("stem", "sentence"), [("12_trafic_shifting", "Did you mean 12_traffic_shifting"), ("zz", "The chapters are: 01_service_mesh, 02")]
)
def test_a_chapter_that_is_none_names_the_nearest_ones(stem, sentence):
    with pytest.raises(LabError, match=f"(?s)There is no chapter '{stem}'.*{sentence}"):
        chapters.load(stem)


def test_a_chapter_with_a_fault_of_its_own_says_so_and_is_not_called_missing(monkeypatch, tmp_path):
    (tmp_path / "c99_broken").mkdir()
    (tmp_path / "c99_broken" / "__init__.py").write_text("import no_such_module\n")
    monkeypatch.setattr(chapters, "FOLDER", tmp_path)
    monkeypatch.setattr("lab_helpers.chapters.__path__", [str(tmp_path)])
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        chapters.load("99_broken")
