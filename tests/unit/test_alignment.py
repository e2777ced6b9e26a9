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
LEARNERS = {"exercise", "solution"}  # the tags of cells that are the learner's to write in
LINK = re.compile(r"\[((?:[^][]|\[[^][]*\])*)\]\(([^)\s]+)\)")
NUMBERS = r"\d+(?:(?:,? and |,? or |, | to |–|-)\d+)*"


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


def nameless_owners(root: Path) -> list[str]:
    """Find a chapter's objects of nothing but a name: nobody is noted as their manager, so a checkpoint takes them for somebody else's."""
    found = []
    for path in sorted((root / "manifests").glob("[0-9]*/*.yaml")):
        for each in filter(None, yaml.safe_load_all(path.read_text())):
            bare = each.keys() <= {"apiVersion", "kind", "metadata"} and each["metadata"].keys() <= {"name", "namespace"}
            if bare and each["kind"] != "Namespace":
                found.append(f"{path.parent.name}/{path.name}: {each['kind']} {each['metadata']['name']} needs a label")
    return found


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
    """Find notebooks that take from the library more or less than their chapter's vocabulary."""
    wrong = []
    for path in sorted((root / "notebooks").glob("*.ipynb")):
        imports = re.findall(r"^(?:from|import) lab_helpers.*$", code(path), flags=re.MULTILINE)
        own = f"from lab_helpers.chapters.c{path.stem} import *"
        if imports != [own]:
            wrong.append(f"{path.name} imports {imports or 'nothing'}, not just: {own}")
    return wrong


def yaml_out_of_place(root: Path) -> list[str]:
    """Find cells that hold YAML and are not the learner's: what a chapter applies by itself is a file of ``manifests/``."""
    wrong = []
    for path in sorted((root / "notebooks").glob("*.ipynb")):
        for number, cell in enumerate(nbformat.read(path, as_version=4).cells):
            holds = cell.cell_type == "code" and re.search(r"apiVersion\s*:|^%%writefile", cell.source, flags=re.MULTILINE)
            if holds and not LEARNERS & set(cell.metadata.get("tags", [])):
                wrong.append(f"{path.name}[{number}] holds YAML, and is tagged neither exercise nor solution")
    return wrong


def unresolved_predictions(root: Path) -> list[str]:
    """Find questions of "Predict" that cannot be answered, and answers that are not compared with what was seen."""
    wrong = []
    for path in sorted((root / "notebooks").glob("*.ipynb")):
        cells = nbformat.read(path, as_version=4).cells
        asked = [name for cell in cells for name in re.findall(r"^predict\(\s*[\"']([^\"']+)", cell.source, flags=re.MULTILINE)]
        resolved = re.findall(r"\bresolve\(\s*[\"']([^\"']+)", code(path))
        wanted = [f"{path.stem[:2]}.{chr(ord('a') + order)}" for order in range(len(asked))]
        if asked != wanted:
            wrong.append(f"{path.name} predicts {', '.join(asked)}, not {', '.join(wanted)}")
        wrong += [f"{path.name} never resolves {name}" for name in sorted(set(asked) - set(resolved))]
        wrong += [f"{path.name} resolves {name}, which nobody predicts" for name in sorted(set(resolved) - set(asked))]
        for number, (cell, after) in enumerate(zip(cells, [*cells[1:], None], strict=True)):
            if cell.cell_type == "markdown" and "**Predict" in cell.source and "predict(" not in (after or {}).get("source", ""):
                wrong.append(f"{path.name}[{number}] asks for a prediction, and the cell below is no predict()")
    return wrong


def prose(root: Path) -> dict[str, tuple[Path, str]]:
    """Return the prose of notebooks and pages without its code, by the name of its place: the file, and the text."""
    found = {}
    for path in sorted((root / "notebooks").glob("*.ipynb")):
        for number, cell in enumerate(nbformat.read(path, as_version=4).cells):
            if cell.cell_type == "markdown":
                found[f"{path.name}[{number}]"] = path, cell.source
    found |= {f"book/{path.name}": (path, path.read_text()) for path in sorted((root / "book").glob("*.md"))}
    code = re.compile(r"^(`{3,}|~{3,}).*?^\1|`[^`\n]*`", flags=re.MULTILINE | re.DOTALL)
    return {place: (path, code.sub("`…`", text)) for place, (path, text) in found.items()}


def dead_links(root: Path) -> list[str]:
    """Find links to files that are not there."""
    return [
        f"{place} links to {target}, which is not there"
        for place, (path, text) in prose(root).items()
        for _, target in LINK.findall(text)
        if not re.match(r"\w+:|#", target) and not (path.parent / target.partition("#")[0]).exists()
    ]


def unlinked_chapters(root: Path) -> list[str]:
    """Find mentions of a chapter that are no link to it: one that is there is linked, one that is not written yet says "(planned)"."""
    written = {int(path.name[:2]): path.name for path in (root / "notebooks").glob("[0-9][0-9]_*.ipynb")}
    wrong = []
    for place, (_, text) in prose(root).items():
        text = " ".join(text.split())
        for words, target in LINK.findall(text):
            name = Path(target.partition("#")[0]).name
            for number in map(int, re.findall(r"\bchapters? (\d+)", words, flags=re.IGNORECASE)):
                if not name.startswith(f"{number:02}_") or name != written.get(number):
                    wrong.append(f"{place} calls {target} chapter {number}")
        rest = LINK.sub("", text)
        for numbers, planned in re.findall(rf"\bchapters? ({NUMBERS})( \(planned\))?", rest, flags=re.IGNORECASE):
            for number in map(int, re.findall(r"\d+", numbers)):
                if planned and number in written:
                    wrong.append(f"{place} calls chapter {number} planned, and it is there")
                elif not planned:
                    want = f"a link to {written[number]}" if number in written else 'followed by "(planned)"'
                    wrong.append(f"{place} names chapter {number}, and that is not {want}")
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


RULES = (
    misaligned,
    unused_manifests,
    unread_manifests,
    nameless_owners,
    overreaching_notebooks,
    yaml_out_of_place,
    unresolved_predictions,
    dead_links,
    unlinked_chapters,
    misnamed_records,
)


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


def say(course, text, *then):
    """Write the chapter anew, with `text` as its prose and code cells after it."""
    write(course, 'lab.apply("01_one/01-a.yaml")')
    path = course / "notebooks/01_one.ipynb"
    notebook = nbformat.read(path, as_version=4)
    notebook.cells += [nbformat.v4.new_markdown_cell(text), *map(nbformat.v4.new_code_cell, then)]
    nbformat.write(notebook, path)


def test_a_good_course_has_nothing_wrong(course):
    assert [found for rule in RULES for found in rule(course)] == []


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


@pytest.mark.parametrize("cell", ['text = """\napiVersion: v1\n"""', "%%writefile my/a.yaml\nkind: A"])
def test_yaml_belongs_to_the_learner(course, cell):
    write(course, cell)
    assert yaml_out_of_place(course) == ["01_one.ipynb[2] holds YAML, and is tagged neither exercise nor solution"]
    path = course / "notebooks/01_one.ipynb"
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[2].metadata.tags = ["solution", "hide-cell"]
    nbformat.write(notebook, path)
    assert yaml_out_of_place(course) == []


@pytest.mark.parametrize(
    ("cells", "wrong"),
    [
        (['predict("01.a", ["no", "yes"])', 'resolve("01.a", "no")'], []),
        (['predict("01.a", ["no", "yes"])'], ["never resolves 01.a"]),
        (['predict("01.b", number="pages")', 'resolve("01.b", 3)'], ["predicts 01.b, not 01.a"]),
        (['predict("01.a", ["no", "yes"])', 'resolve("01.a", "no")', 'resolve("01.b", 1)'], ["resolves 01.b, which nobody predicts"]),
        ([], ["[3] asks for a prediction, and the cell below is no predict()"]),
    ],
)
def test_a_prediction_is_made_and_resolved(course, cells, wrong):
    say(course, "**Predict.** Will it?", *cells)
    assert [found.removeprefix("01_one.ipynb").strip() for found in unresolved_predictions(course)] == wrong


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("Read [chapter 1](01_one.ipynb#here) and chapter 2 (planned), and chapters 3–5 (planned).", []),
        ("`chapter 1` is code, and this too:\n```\nchapter 1\n```\n[The *first* one, chapter 1](01_one.ipynb), is a link.", []),
        ("Chapter 1 shows it.", ["names chapter 1, and that is not a link to 01_one.ipynb"]),
        (
            "As chapters 1 and\n2 do.",
            ["names chapter 1, and that is not a link to 01_one.ipynb", 'names chapter 2, and that is not followed by "(planned)"'],
        ),
        ("See chapter 1 (planned).", ["calls chapter 1 planned, and it is there"]),
        ("See [chapter 2](01_one.ipynb).", ["calls 01_one.ipynb chapter 2"]),
        ("See [chapter 2](02_two.ipynb).", ["calls 02_two.ipynb chapter 2"]),
    ],
)
def test_a_chapter_that_is_named_is_linked(course, text, wrong):
    say(course, text)
    assert [found.removeprefix("01_one.ipynb[3] ") for found in unlinked_chapters(course)] == wrong


def test_a_page_is_held_to_the_same(course):
    (course / "book").mkdir()
    (course / "book/end.md").write_text("[chapter 1](../notebooks/01_one.ipynb), [the end](end.md#it), [gone](begin.md), chapter 1")
    assert unlinked_chapters(course) == ["book/end.md names chapter 1, and that is not a link to 01_one.ipynb"]
    assert dead_links(course) == ["book/end.md links to begin.md, which is not there"]
    say(course, "[the words](../book/glossary.md), [here](#below), [elsewhere](https://istio.io)")
    assert dead_links(course)[0] == "01_one.ipynb[3] links to ../book/glossary.md, which is not there"


def test_an_account_of_nothing_but_a_name_is_found(course):
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "load"}}
    (course / "manifests/01_one/01-a.yaml").write_text(yaml.safe_dump(account))
    assert nameless_owners(course) == ["01_one/01-a.yaml: ServiceAccount load needs a label"]
    account["metadata"]["labels"] = {"app": "load"}
    (course / "manifests/01_one/01-a.yaml").write_text(yaml.safe_dump(account))
    assert nameless_owners(course) == []
