"""What is in a desk, and whose each file is: what nobody has touched is renewed, and work is never overwritten."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import nbformat

from lab_helpers.core import paths
from lab_helpers.core.errors import HostError, LabError
from lab_helpers.core.manifests import FOLDER as MANIFESTS
from lab_helpers.course.desk import chapters, prose
from lab_helpers.lab.chapters import instead, stems

OURS = ".meshlab"  # the folder of a desk in which the course keeps its own: hidden from JupyterLab's list of files
MADE = Path(OURS, "made.json")
MINE = "my"  # the learner's own manifests
START = "START.md"
NOTEBOOKS = paths.ROOT / "notebooks"
ANEW = "meshlab desk --fresh {}"


@dataclass
class Desk:
    """A desk as it has just been opened.

    Attributes
    ----------
    folder : Path
    made, renewed, aside : list of str
        Files that were not there, those that nobody had touched and that the course has changed, and the names of those set aside.
    differing : dict of str to list of str
        Files that somebody has touched and that the course has changed since: in which cells, where it is a chapter.
    """

    folder: Path
    made: list[str] = field(default_factory=list)
    renewed: list[str] = field(default_factory=list)
    aside: list[str] = field(default_factory=list)
    differing: dict[str, list[str]] = field(default_factory=dict)

    def told(self) -> list[str]:
        """What a learner should hear of it, in lines."""
        lines = [f"{len(self.made)} new files"] if self.made else []
        lines += [f"renewed, since nobody had touched them: {_few(self.renewed)}"] if self.renewed else []
        lines += [f"set aside: {', '.join(self.aside)}"] if self.aside else []
        for name, cells in self.differing.items():
            lines += [
                f"{name} is yours and stays; the course's has changed since{':' if cells else '.'}",
                *(f"    {each}" for each in cells),
            ]
        return lines


def contents() -> dict[str, bytes]:
    """Everything that a desk is given, by its place there: the learner's chapters, the course's manifests, the pages of the book."""
    given = {f"{stem}.ipynb": _bytes(chapters.learners(_read(NOTEBOOKS / f"{stem}.ipynb"))) for stem in stems()}
    given |= {f"manifests/{path.relative_to(MANIFESTS)}": path.read_bytes() for path in sorted(MANIFESTS.rglob("*.yaml"))}
    given |= {f"book/{name}": text.encode() for name, text in prose.pages().items()}
    return given | {f"book/{name}": picture for name, picture in prose.pictures().items()}


def open_desk(folder: Path, fresh: Iterable[str] = (), given: dict[str, bytes] | None = None) -> Desk:
    """Make the desk `folder`, or bring what nobody has touched in it to the present state of the course.

    Parameters
    ----------
    folder : Path
    fresh : iterable of str
        Chapters, by their stems, that are made anew, whatever became of them; what was there is set aside.
    given : dict of str to bytes, optional
        By default, `contents`.

    Raises
    ------
    LabError
        There is no such chapter to be had anew; names the nearest ones.
    HostError
        Something cannot be written.
    """
    given = contents() if given is None else given
    anew = [_chapter(stem, given) for stem in fresh]
    try:
        paths.make_folder(folder)
        for inside in (OURS, MINE):
            paths.make_folder(folder / inside)
        desk, known = Desk(folder), _known(folder)
        for name in anew:
            _set_aside(desk, name, known)
        known = {name: _bring(desk, name, content, known.get(name)) for name, content in given.items()} | _gone(desk, given, known)
        write(folder / MADE, json.dumps(known, indent=1).encode())
        return desk
    except OSError as error:
        what = f"{error.filename or folder} cannot be written: {error.strerror}."
        raise HostError(what, f"Make room there, or name a folder of yours in {paths.DESK}.") from error


def put_start(desk: Desk, text: str) -> None:
    """Write START anew; what somebody has written into it is set aside."""
    known, content = _known(desk.folder), text.encode()
    path = desk.folder / START
    if path.is_file():
        _set_aside(desk, START, known)
    write(path, content)
    write(desk.folder / MADE, json.dumps({**known, START: {"hash": _hash(content)}}, indent=1).encode())


def write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; it is the learner's."""
    paths.make_folder(path.parent)
    new = path.with_name(f".{path.name}.new")
    new.write_bytes(content)
    paths.give_to_user(new)
    new.replace(path)


@contextmanager
def throw_away() -> Iterator[Path]:
    """A desk for one run of a chapter: what `Lab.apply` and a cell with ``%%writefile my/…`` need, for as long as the run lasts."""
    with tempfile.TemporaryDirectory(prefix="meshlab-desk-") as name:
        shutil.copytree(MANIFESTS, Path(name, MANIFESTS.name))
        Path(name, MINE).mkdir()
        yield Path(name)


def _bring(desk: Desk, name: str, content: bytes, known: dict | None) -> dict:
    """Bring one file to the course's state, unless somebody has touched it; return what is to be known of it."""
    path, note = desk.folder / name, _note(name, content)
    there = path.read_bytes() if path.is_file() else None
    if there == content:
        return note
    if there is None or (known and _untouched(there, known)):
        write(path, content)
        (desk.made if there is None else desk.renewed).append(name)
        return note
    if known is None or known["hash"] == note["hash"]:  # somebody's work on what the course still has
        return note
    notebook = name.endswith(".ipynb") and "cells" in known
    desk.differing[name] = chapters.differences(known["cells"], nbformat.reads(content.decode(), as_version=4)) if notebook else []
    return known  # until it is made afresh


def _gone(desk: Desk, given: dict[str, bytes], known: dict) -> dict:
    """Take away what the course has no longer and nobody has touched; return what else is known."""
    for name in known.keys() - given.keys() - {START}:
        path = desk.folder / name
        if path.is_file() and _untouched(path.read_bytes(), known[name]):
            path.unlink()
    return {START: known[START]} if START in known else {}


def _set_aside(desk: Desk, name: str, known: dict) -> None:
    path = desk.folder / name
    content = path.read_bytes() if path.is_file() else None
    if content is not None and not (name in known and _untouched(content, known[name])):
        stamp = f"{datetime.now():%Y-%m-%d-%H%M%S}"
        number = next(each for each in range(1, 1000) if not _dated(path, stamp, each).exists())
        desk.aside.append(_dated(path, stamp, number).name)
        path.rename(desk.folder / desk.aside[-1])
    known.pop(name, None)


def _few(names: list[str]) -> str:
    return ", ".join(names if len(names) < 7 else [*names[:5], f"and {len(names) - 5} more"])


def _dated(path: Path, stamp: str, number: int) -> Path:
    return path.with_name(f"{path.stem}.{stamp}{f'-{number}' if number > 1 else ''}{path.suffix}")


def _chapter(stem: str, given: dict[str, bytes]) -> str:
    known = [name.removesuffix(".ipynb") for name in given if name.endswith(".ipynb")]
    stem = stem.removesuffix(".ipynb")
    if stem in known:
        return f"{stem}.ipynb"
    raise LabError(f"There is no chapter {stem!r}.", instead(stem, known))


def _known(folder: Path) -> dict[str, dict]:
    """What was given when the desk was last opened; what is not known counts as the learner's."""
    try:
        found = json.loads((folder / MADE).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _note(name: str, content: bytes) -> dict:
    cells = {"cells": chapters.fingerprints(nbformat.reads(content.decode(), as_version=4))} if name.endswith(".ipynb") else {}
    return {"hash": _hash(content), **cells}


def _untouched(content: bytes, known: dict) -> bool:
    """Whether a file is what was given: a notebook may have been opened and saved, as long as nothing was written or run."""
    if _hash(content) == known["hash"]:
        return True
    if "cells" not in known:
        return False
    try:
        notebook = nbformat.reads(content.decode(), as_version=4)
        return chapters.fingerprints(notebook) == known["cells"] and not any(cell.get("outputs") for cell in notebook.cells)
    except Exception:  # whatever it is now, it is no notebook of ours
        return False


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def _bytes(notebook: nbformat.NotebookNode) -> bytes:
    return f"{nbformat.writes(notebook)}\n".encode()
