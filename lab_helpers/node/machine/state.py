"""What is kept of a node on disk: whose lab it is, which parts it was made of; and how it goes."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from lab_helpers.core import paths
from lab_helpers.core.errors import HostError
from lab_helpers.node import files

NOTE = "lab.json"


class Note(NamedTuple):
    """What is noted of a lab.

    Attributes
    ----------
    uid, name : int, str
        Whose it is: of who brought it up, or on whose behalf that was by sudo.
    kubeconfig : str
        Where the owner's is.
    address : str
        The node's; its certificates name it.
    parts : sequence of str
        Those of which the node was made, by name and version.
    """

    uid: int
    name: str
    kubeconfig: str
    address: str
    parts: Sequence[str] = ()


def read(state: Path) -> Note | None:
    """What is noted of the lab whose state is in `state`; None where there is none, or nothing that can be read."""
    try:
        return Note(**json.loads((state / NOTE).read_text(encoding="utf-8")))
    except (FileNotFoundError, NotADirectoryError, ValueError, TypeError):
        return None


def claim(state: Path, address: str) -> None:
    """Note that the lab is the invoking user's."""
    before = read(state)
    _write(state, Note(paths.USER.pw_uid, paths.USER.pw_name, str(paths.KUBECONFIG), address, before.parts if before else ()))


def note_parts(state: Path, parts: Iterable[str]) -> None:
    """Note the parts of which the node is made now."""
    _write(state, read(state)._replace(parts=list(parts)))


def require_own(state: Path, force: bool, *command: str) -> None:
    """Refuse to do `command` to somebody else's lab, unless by `force`.

    Raises
    ------
    HostError
        Naming whose it is.
    """
    theirs = read(state)
    if theirs and theirs.uid != paths.USER.pw_uid and not force:
        what = f"The lab on this machine is {theirs.name}'s, and there is one only: `meshlab {' '.join(command)}` would take it from them."
        raise HostError(what, f"Ask {theirs.name}. To do it all the same: {paths.as_root(*command, '--force')}")


def discard(folder: Path) -> None:
    """Delete `folder`: its name first, so that a command that is killed meanwhile leaves nothing that could be taken for a node's."""
    if folder.exists():
        os.rename(folder, tempfile.mkdtemp(prefix=f"{folder.name}.gone-", dir=folder.parent))
    clear(folder)


def clear(folder: Path) -> None:
    """Delete what is left where `discard` was killed."""
    for left in folder.parent.glob(f"{folder.name}.gone-*"):
        shutil.rmtree(left)


def _write(state: Path, note: Note) -> None:
    """For everybody to read, whatever the umask."""
    files.write_private(state / NOTE, json.dumps(note._asdict()).encode())
    (state / NOTE).chmod(0o644)
