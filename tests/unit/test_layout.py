"""The shape of the library: small modules, folders that can be looked over, and nothing imported that nobody declares.

Each rule is a function that returns what it found wrong, as sentences. It is held against the repository, and against
bad input that it has to find.
"""

import ast
import re
import statistics
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LONGEST, MEDIAN, DOZEN = 300, 120, 12


def modules(root: Path) -> list[Path]:
    """Return the modules of the library."""
    return sorted((root / "lab_helpers").rglob("*.py"))


def too_long(root: Path) -> list[str]:
    """Find modules of over 300 lines, and a library whose modules with code have a median of 120 lines or more."""
    lengths = {path: len(path.read_text().splitlines()) for path in modules(root)}
    wrong = [f"{path.relative_to(root)} has {length} lines" for path, length in lengths.items() if length > LONGEST]
    median = statistics.median(length for path, length in lengths.items() if path.name != "__init__.py")
    return wrong + ([f"half of the modules have {median:g} lines or more"] if median >= MEDIAN else [])


def crowded(root: Path) -> list[str]:
    """Find folders of the library with more than a dozen things in them, but for the one that holds a folder a chapter or an image."""
    folders = {path.parent for path in (root / "lab_helpers").rglob("*") if "__pycache__" not in path.parts} - {root}
    exempt = {"chapters", "images"}
    counts = {folder: sum(each.name != "__pycache__" for each in folder.iterdir()) for folder in folders if folder.name not in exempt}
    return [f"{folder.relative_to(root)} holds {count} things" for folder, count in sorted(counts.items()) if count > DOZEN]


def undeclared(root: Path) -> list[str]:
    """Find packages that are imported and not in requirements.in; a program of an image imports what that image holds."""
    declared = {name.lower() for name in re.findall(r"^([A-Za-z][\w.-]*)", (root / "requirements.in").read_text(), flags=re.MULTILINE)}
    known = packages_distributions()
    wrong = set()
    for path in [*modules(root), *(root / "tests").rglob("*.py")]:
        if path.is_relative_to(root / "lab_helpers/node/build/images"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            for top in {name.partition(".")[0] for name in names} - {"lab_helpers", "tests", ""} - set(sys.stdlib_module_names):
                if not {each.lower() for each in known.get(top, [top])} & declared:
                    wrong.add(f"{path.relative_to(root)} imports {top}, which requirements.in does not name")
    return sorted(wrong)


def up_to_the_locale(root: Path) -> list[str]:
    """Find text that is read or written in whatever encoding the locale says."""
    wrong = []
    for path in modules(root):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or "encoding" in {each.arg for each in node.keywords}:
                continue
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            values = [*node.args, *(each.value for each in node.keywords)]
            binary = any(re.fullmatch(r"'[rwax+]*b[rwax+]*'", ast.unparse(each)) for each in values)
            opened = name == "open" and not binary and ast.unparse(node.func) != "os.open"
            if name in ("read_text", "write_text") or opened or "text=True" in map(ast.unparse, node.keywords):
                wrong.append(f"{path.relative_to(root)}, line {node.lineno}: {name} without encoding=")
    return wrong


@pytest.mark.parametrize("rule", [too_long, crowded, undeclared, up_to_the_locale], ids=lambda rule: rule.__name__)
def test_the_library(rule):
    assert rule(ROOT) == []


# Bad input, which every rule has to find.


@pytest.fixture
def library(tmp_path):
    """A library of three modules with nothing wrong in it."""
    for folder in ("lab_helpers/core", "tests"):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("one", "two", "three"):
        (tmp_path / f"lab_helpers/core/{name}.py").write_text("import json\nimport yaml\n")
    (tmp_path / "requirements.in").write_text("# what it needs\nPyYAML    # manifests\n")
    return tmp_path


def test_a_good_library_has_nothing_wrong(library):
    assert too_long(library) + crowded(library) + undeclared(library) + up_to_the_locale(library) == []


def test_a_long_module_and_many_middling_ones_are_found(library):
    (library / "lab_helpers/core/one.py").write_text("x = 1\n" * 301)
    assert too_long(library) == ["lab_helpers/core/one.py has 301 lines"]
    for name in ("one", "two"):
        (library / f"lab_helpers/core/{name}.py").write_text("x = 1\n" * 120)
    assert too_long(library) == ["half of the modules have 120 lines or more"]


def test_a_crowded_folder_is_found(library):
    for number in range(10):
        (library / f"lab_helpers/core/m{number}.py").touch()
    assert crowded(library) == ["lab_helpers/core holds 13 things"]


@pytest.mark.parametrize("line", ["import lightkube", "from lightkube.core import exceptions", "def f():\n    import lightkube"])
def test_a_package_that_nobody_declares_is_found(library, line):
    (library / "lab_helpers/core/one.py").write_text(f"{line}\n")
    assert undeclared(library) == ["lab_helpers/core/one.py imports lightkube, which requirements.in does not name"]


@pytest.mark.parametrize("call", ["path.read_text()", "path.write_text('a')", "open('a/b')", "path.open('w')", "run(['ls'], text=True)"])
def test_what_is_up_to_the_locale_is_found(library, call):
    (library / "lab_helpers/core/one.py").write_text(f"{call}\n")
    [found] = up_to_the_locale(library)
    assert found.startswith("lab_helpers/core/one.py, line 1: ")


@pytest.mark.parametrize(
    "call", ["path.read_bytes()", "open('a', 'rb')", "path.open(mode='wb')", "open(a, encoding='ascii')", "os.open(a)"]
)
def test_what_is_not_up_to_the_locale_is_left_alone(library, call):
    (library / "lab_helpers/core/one.py").write_text(f"{call}\n")
    assert up_to_the_locale(library) == []
