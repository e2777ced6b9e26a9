"""Wrong answers on the live mesh, tried in the middle of a chapter's own run, where the mesh is as each of them needs it.

To bring the mesh there for every test anew takes longer than the chapter. A function of ``tests/chapters/test_NN_slug.py`` says by
``@before(cell)`` before which cell of the notebook it is called, in the notebook's kernel; its parameters are the notebook's variables, and
``tmp_path``, a folder. Istio's rules are afterwards as they were; all else it leaves as it was, or as the cell makes it anyway.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager, nullcontext
from pathlib import Path

import nbformat
import yaml

from lab_helpers.core.errors import CheckError
from lab_helpers.istio import configuration
from lab_helpers.lab import Lab
from lab_helpers.show.checks import check

ROOT = Path(__file__).parents[1]
TAG = "wrong-answers"
OURS = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from tests import wrong_answers; wrong_answers."
CALL = OURS + "tried({!r}, {!r}, globals())"


def before(cell: str) -> Callable:
    """Have the function called before the first cell whose source holds the text `cell`."""

    def note(function: Callable) -> Callable:
        function.before_cell = cell
        return function

    return note


def fails(number: str, *state, sentence: str, **answers) -> None:
    """Hold that a check does not pass, and says why, as `sentence` has it (a regular expression), and what to do."""
    try:
        check(number, *state, **answers)
    except CheckError as error:
        assert re.search(sentence, str(error)), f"check {number} says: {error}, and not: {sentence}"
        assert error.do, f"check {number} does not say what to do"
    else:
        raise AssertionError(f"check {number} passes, and should say: {sentence}")


def of(stem: str) -> dict[str, Callable]:
    """The functions of a chapter that are called within its run, by name."""
    module = sys.modules.get(f"tests.chapters.test_{stem}") or importlib.import_module(f"tests.chapters.test_{stem}")
    return {name: each for name, each in vars(module).items() if hasattr(each, "before_cell")}


@contextmanager
def restored(lab):
    """Afterwards the namespace has the rules of Istio's that it had before: the next cell shows as changed what the chapter changes."""
    before = _rules(lab)
    yield
    now = _rules(lab)
    new = [now[each] for each in now.keys() - before.keys()]
    changed = [rule for each, rule in before.items() if now.get(each) != rule]
    with tempfile.TemporaryDirectory() as folder:  # as a learner does it: what proxies are told is told from there on
        for change, rules in ((lab.delete, new), (lab.apply, changed)):
            file = Path(folder) / f"{change.__name__}.yaml"
            file.write_text(yaml.safe_dump_all(rules), encoding="utf-8")
            if rules:
                change(file)


def _rules(lab) -> dict[tuple[str, str], dict]:
    found = [each for kind in configuration.kinds(lab) for each in lab.client.list(kind)]
    return {
        (each["kind"], each["metadata"]["name"]): {
            "apiVersion": each["apiVersion"],
            "kind": each["kind"],
            "metadata": {key: each["metadata"][key] for key in ("name", "labels", "annotations") if key in each["metadata"]},
            "spec": each.get("spec", {}),
        }
        for each in found
    }


def put_in(stem: str, source: Path, target: Path) -> None:
    """Write the notebook `source` to `target`, with cells that call the chapter's functions.

    Raises
    ------
    LookupError
        The notebook has no such cell.
    """
    notebook = nbformat.read(source, as_version=4)
    for name, function in of(stem).items():
        at = next((at for at, cell in enumerate(notebook.cells) if cell.cell_type == "code" and function.before_cell in cell.source), None)
        if at is None:
            raise LookupError(f"{name} is to be called before a cell that {source.name} does not have: {function.before_cell}")
        notebook.cells.insert(at, nbformat.v4.new_code_cell(CALL.format(stem, name), metadata={"tags": [TAG]}))
    count = [nbformat.v4.new_code_cell(OURS + call, metadata={"tags": [TAG]}) for call in ("count_waits()", "tell_waits()")]
    notebook.cells = [count[0], *notebook.cells, count[1]]
    nbformat.write(notebook, target)


def tried(stem: str, name: str, variables: dict) -> None:
    """Call a function of a chapter with the notebook's variables."""
    function = of(stem)[name]
    with tempfile.TemporaryDirectory() as folder:
        known = {**variables, "tmp_path": Path(folder)}
        with restored(lab) if isinstance(lab := variables.get("lab"), Lab) else nullcontext():
            function(**{each: known[each] for each in inspect.signature(function).parameters})
    print(f"tried {name}")


_waits: list[float] = []


def count_waits() -> None:
    """Count from now on how long the notebook's own thread waits for something, between its looks."""
    sleep = time.sleep

    def counted(seconds: float) -> None:
        if threading.current_thread() is threading.main_thread():
            _waits.append(seconds)
        sleep(seconds)

    time.sleep = counted


def tell_waits() -> None:
    """Print how long it was."""
    print(f"waited {sum(_waits):.1f} s")
