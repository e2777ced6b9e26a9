"""One stem a chapter, everywhere; every manifest applied by its chapter; nothing in a notebook that belongs elsewhere.

Each rule is a function that returns what it found wrong, as sentences. It is held against the repository, and against
bad input that it has to find.
"""

import re
from pathlib import Path

import nbformat
import pytest
import yaml

ROOT = Path(__file__).parents[2]
STEM = re.compile(r"\d\d_[a-z0-9_]+")


def stems(root: Path) -> dict[str, set[str]]:
    """Return the chapters' stems by where they were found, each place a way to name a chapter."""
    toc = yaml.safe_load((root / "_toc.yml").read_text())
    pages = [Path(page["file"]) for part in toc["parts"] for page in part["chapters"]]
    tests = [path.stem.removeprefix("test_") for path in (root / "tests" / "chapters").glob("test_*.py")]
    return {
        "notebooks/": {path.stem for path in (root / "notebooks").glob("*.ipynb")},
        "manifests/": {path.name for path in (root / "manifests").glob("*/") if path.name != "shared"},
        "tests/chapters/": {stem for stem in tests if STEM.fullmatch(stem)},
        "_toc.yml": {page.name for page in pages if page.parent.name == "notebooks"},
    }


def misaligned(root: Path) -> list[str]:
    """Find chapters that are missing somewhere, stems that are none, and a course without chapters."""
    found = stems(root)
    every = set().union(*found.values())
    missing = [f"{place} lacks {stem}" for place, here in found.items() for stem in sorted(every - here)]
    malformed = [f"{stem} is not of the form NN_slug" for stem in sorted(every) if not STEM.fullmatch(stem)]
    return missing + malformed + ([] if every else ["there is no chapter"])


def code(notebook: Path) -> str:
    """Return the source of all code cells."""
    cells = nbformat.read(notebook, as_version=4).cells
    return "\n".join(cell.source for cell in cells if cell.cell_type == "code")


def unused_manifests(root: Path) -> list[str]:
    """Find manifests that their chapter never names; shared ones may be named by any chapter or by the library."""
    chapters = {path.stem: code(path) for path in (root / "notebooks").glob("*.ipynb")}
    library = "\n".join(path.read_text() for path in (root / "lab_helpers").rglob("*.py"))
    unused = []
    for path in sorted((root / "manifests").rglob("*.yaml")):
        name = path.relative_to(root / "manifests")
        shared = name.parts[0] == "shared"
        text = "\n".join([library, *chapters.values()]) if shared else chapters.get(name.parts[0], "")
        wanted = re.escape(f"shared/{name.stem}" if shared else name.stem)
        if not re.search(rf"(?<![\w-]){wanted}(?![\w-])", text):
            unused.append(f"{'nobody applies' if shared else f'{name.parts[0]} does not apply'} manifests/{name}")
    return unused


def overreaching_notebooks(root: Path) -> list[str]:
    """Find notebooks that hold YAML of their own, or know how the embedded lab is made."""
    rules = {r"apiVersion\s*:": "holds YAML of its own", r"lab_helpers\.embedded|import\s+embedded": "imports embedded"}
    chapters = {path.name: code(path) for path in sorted((root / "notebooks").glob("*.ipynb"))}
    return [f"{name} {wrong}" for name, text in chapters.items() for rule, wrong in rules.items() if re.search(rule, text)]


@pytest.mark.parametrize("rule", [misaligned, unused_manifests, overreaching_notebooks], ids=lambda rule: rule.__name__)
def test_chapters(rule):
    assert rule(ROOT) == []


# Bad input, which every rule has to find.


@pytest.fixture
def course(tmp_path):
    """A course of one chapter with nothing wrong in it."""
    for folder in ("notebooks", "manifests/01_one", "manifests/shared", "tests/chapters", "lab_helpers"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "_toc.yml").write_text("parts: [{chapters: [{file: notebooks/01_one}, {file: book/end}]}]")
    (tmp_path / "manifests/01_one/01-a.yaml").touch()
    (tmp_path / "manifests/shared/client.yaml").touch()
    (tmp_path / "tests/chapters/test_01_one.py").touch()
    (tmp_path / "lab_helpers/checkpoint.py").write_text('CLIENT = "shared/client.yaml"')
    write(tmp_path, 'lab.apply("01_one/01-a.yaml")')
    return tmp_path


def write(course, *cells, stem="01_one"):
    cells = [nbformat.v4.new_markdown_cell("# One\n\napiVersion: v1"), *map(nbformat.v4.new_code_cell, cells)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), course / "notebooks" / f"{stem}.ipynb")


def test_a_good_course_has_nothing_wrong(course):
    assert misaligned(course) + unused_manifests(course) + overreaching_notebooks(course) == []


@pytest.mark.parametrize(
    ("lost", "place"),
    [
        ("notebooks/01_one.ipynb", "notebooks/"),
        ("manifests/01_one", "manifests/"),
        ("tests/chapters/test_01_one.py", "tests/chapters/"),
    ],
)
def test_a_lost_part_is_found(course, lost, place):
    (course / lost).rename(course / "elsewhere")
    assert misaligned(course) == [f"{place} lacks 01_one"]


def test_a_chapter_that_is_not_in_the_table_of_contents_is_found(course):
    (course / "_toc.yml").write_text("parts: [{chapters: [{file: book/end}]}]")
    assert misaligned(course) == ["_toc.yml lacks 01_one"]


def test_a_stem_that_is_none_is_found(course):
    write(course, stem="Untitled")
    assert "Untitled is not of the form NN_slug" in misaligned(course)


def test_a_course_without_chapters_is_found(tmp_path):
    (tmp_path / "_toc.yml").write_text("parts: [{chapters: [{file: book/end}]}]")
    assert misaligned(tmp_path) == ["there is no chapter"]


def test_a_manifest_that_is_not_applied_is_found(course):
    (course / "manifests/01_one/02-b.yaml").touch()
    (course / "manifests/shared/other.yaml").touch()
    assert unused_manifests(course) == [
        "01_one does not apply manifests/01_one/02-b.yaml",
        "nobody applies manifests/shared/other.yaml",
    ]


@pytest.mark.parametrize("cell", ['lab.apply("01_one/01-a")', 'for step in ("01-a",): lab.apply(f"01_one/{step}.yaml")'])
def test_a_manifest_may_be_named_in_other_ways(course, cell):
    write(course, cell)
    assert unused_manifests(course) == []


@pytest.mark.parametrize("cell", ['lab.apply("01_one/01-ab")', 'lab.apply("01_one/101-a.yaml")', "a"])
def test_a_name_that_only_looks_like_it_is_another(course, cell):
    write(course, cell)
    assert unused_manifests(course) == ["01_one does not apply manifests/01_one/01-a.yaml"]


@pytest.mark.parametrize(
    ("cell", "wrong"),
    [
        ('text = """\napiVersion: v1\n"""', "holds YAML of its own"),
        ("from lab_helpers.embedded import lab", "imports embedded"),
        ("from lab_helpers import embedded", "imports embedded"),
    ],
)
def test_a_notebook_that_does_too_much_is_found(course, cell, wrong):
    write(course, cell)
    assert overreaching_notebooks(course) == [f"01_one.ipynb {wrong}"]
