"""One stem a chapter, everywhere; every manifest applied by its chapter; nothing in a notebook that belongs elsewhere.

Each rule is a function that returns what it found wrong, as sentences. It is held against the repository, and against
bad input that it has to find.
"""

import html
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
    packages = [path.parent.name for path in (root / "lab_helpers" / "chapters").glob("*/__init__.py")]
    return {
        "notebooks/": {path.stem for path in (root / "notebooks").glob("*.ipynb")},
        "manifests/": {path.name for path in (root / "manifests").glob("*/") if path.name != "shared"},
        "tests/chapters/": {stem for stem in tests if STEM.fullmatch(stem)},
        "lab_helpers/chapters/": {name.removeprefix("c") for name in packages},
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


def shown(notebook: Path) -> str:
    """Return the text of everything that a notebook's page shows as HTML."""
    cells = nbformat.read(notebook, as_version=4).cells
    pages = [output.get("data", {}).get("text/html", "") for cell in cells for output in cell.get("outputs", [])]
    return html.unescape(re.sub(r"<[^>]*>", "", "\n".join(pages)))


def unread_manifests(root: Path) -> list[str]:
    """Find manifests that nobody can read on their chapter's page."""
    pages = {path.stem: shown(path) for path in (root / "notebooks").glob("*.ipynb")}
    written = {path: path.read_text().strip() for path in sorted((root / "manifests").glob("[0-9][0-9]_*/*.yaml"))}
    return [
        f"{path.parent.name} does not show {path.name}" for path, text in written.items() if text not in pages.get(path.parent.name, "")
    ]


def overreaching_notebooks(root: Path) -> list[str]:
    """Find notebooks that hold YAML of their own, or take from the library more or less than their chapter's vocabulary."""
    wrong = []
    for path in sorted((root / "notebooks").glob("*.ipynb")):
        text = code(path)
        if re.search(r"apiVersion\s*:", text):
            wrong.append(f"{path.name} holds YAML of its own")
        imports = re.findall(r"^(?:from|import) lab_helpers.*$", text, flags=re.MULTILINE)
        own = f"from lab_helpers.chapters.c{path.stem} import *"
        if imports != [own]:
            wrong.append(f"{path.name} imports {imports or 'nothing'}, not just: {own}")
    return wrong


def misnamed_records(root: Path) -> list[str]:
    """Find chapters whose record has another stem than their folder, or whose checks begin with another number."""
    wrong = []
    for path in sorted((root / "lab_helpers" / "chapters").glob("c*/__init__.py")):
        stem = path.parent.name.removeprefix("c")
        named = re.findall(r'Chapter\(\s*(?:stem=)?"([^"]*)"', path.read_text())
        if named != [stem]:
            wrong.append(f"{path.parent.name} has the record of {', '.join(named) or 'nobody'}")
        checks = re.findall(r'@register\("(\d\d)\.', (path.parent / "checks.py").read_text())
        if not checks or set(checks) != {stem[:2]}:
            wrong.append(f"{path.parent.name} has checks of {', '.join(sorted(set(checks))) or 'no chapter'}")
    return wrong


RULES = (misaligned, unused_manifests, unread_manifests, overreaching_notebooks, misnamed_records)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_chapters(rule):
    assert rule(ROOT) == []


# Bad input, which every rule has to find.


@pytest.fixture
def course(tmp_path):
    """A course of one chapter with nothing wrong in it."""
    for folder in (
        "notebooks",
        "manifests/01_one",
        "manifests/shared",
        "tests/chapters",
        "lab_helpers/lab",
        "lab_helpers/chapters/c01_one",
    ):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "_toc.yml").write_text("parts: [{chapters: [{file: notebooks/01_one}, {file: book/end}]}]")
    (tmp_path / "manifests/01_one/01-a.yaml").touch()
    (tmp_path / "manifests/shared/client.yaml").touch()
    (tmp_path / "tests/chapters/test_01_one.py").touch()
    (tmp_path / "lab_helpers/lab/chapters.py").write_text('CLIENTS = ("shared/client.yaml",)')
    (tmp_path / "lab_helpers/chapters/c01_one/__init__.py").write_text('CHAPTER = Chapter("01_one", minutes=1)')
    (tmp_path / "lab_helpers/chapters/c01_one/checks.py").write_text('@register("01.1", "One")')
    write(tmp_path, 'lab.apply("01_one/01-a.yaml")')
    return tmp_path


def write(course, *cells, stem="01_one"):
    cells = [f"from lab_helpers.chapters.c{stem} import *", *cells]
    cells = [nbformat.v4.new_markdown_cell("# One\n\napiVersion: v1"), *map(nbformat.v4.new_code_cell, cells)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), course / "notebooks" / f"{stem}.ipynb")


def test_a_good_course_has_nothing_wrong(course):
    assert misaligned(course) + unused_manifests(course) + overreaching_notebooks(course) + misnamed_records(course) == []


@pytest.mark.parametrize(
    ("lost", "place"),
    [
        ("notebooks/01_one.ipynb", "notebooks/"),
        ("manifests/01_one", "manifests/"),
        ("tests/chapters/test_01_one.py", "tests/chapters/"),
        ("lab_helpers/chapters/c01_one", "lab_helpers/chapters/"),
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


def test_a_manifest_that_nobody_can_read_is_found(course):
    (course / "manifests/01_one/01-a.yaml").write_text("kind: <A>\n")
    path = course / "notebooks/01_one.ipynb"
    assert unread_manifests(course) == ["01_one does not show 01-a.yaml"]
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[-1].outputs = [nbformat.v4.new_output("display_data", {"text/html": "<pre><b>kind</b>: &lt;A&gt;</pre>"})]
    nbformat.write(notebook, path)
    assert unread_manifests(course) == []


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
        ("from lab_helpers.node import lifecycle", "imports .*lab_helpers.node import lifecycle"),
        ("import lab_helpers.node", "imports .*import lab_helpers.node"),
        ("from lab_helpers.lab import connect", "imports .*lab_helpers.lab import connect"),
    ],
)
def test_a_notebook_that_does_too_much_is_found(course, cell, wrong):
    write(course, cell)
    (found,) = overreaching_notebooks(course)
    assert re.match(f"01_one.ipynb {wrong}", found)


def test_a_notebook_without_its_vocabulary_is_found(course):
    cell = nbformat.v4.new_code_cell("from lab_helpers.chapters.c02_two import *")
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), course / "notebooks" / "01_one.ipynb")
    assert overreaching_notebooks(course)[0].endswith("not just: from lab_helpers.chapters.c01_one import *")


def test_a_record_and_checks_of_another_chapter_are_found(course):
    folder = course / "lab_helpers/chapters/c01_one"
    (folder / "__init__.py").write_text('CHAPTER = Chapter("02_two", minutes=1)')
    (folder / "checks.py").write_text('@register("02.1", "Two")')
    assert misnamed_records(course) == ["c01_one has the record of 02_two", "c01_one has checks of 02"]
    (folder / "__init__.py").write_text("")
    (folder / "checks.py").write_text("")
    assert misnamed_records(course) == ["c01_one has the record of nobody", "c01_one has checks of no chapter"]
