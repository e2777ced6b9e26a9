"""What is kept of a node on disk: whose lab it is, which parts it was made of; and how it goes."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from lab_helpers.core import paths
from lab_helpers.core.errors import HostError


class Owner(NamedTuple):
    """Who brought a lab up: on behalf of whom, if by sudo."""

    uid: int
    name: str
    kubeconfig: str


def owner(state: Path) -> Owner | None:
    """Whose lab it is whose state is in `state`; None where there is none, or one of a version that did not note it."""
    try:
        return Owner(**json.loads((state / "owner.json").read_text(encoding="utf-8")))
    except (FileNotFoundError, NotADirectoryError):
        return None


def claim(state: Path) -> None:
    """Note that the lab is the invoking user's."""
    mine = Owner(paths.USER.pw_uid, paths.USER.pw_name, str(paths.KUBECONFIG))
    _write(state / "owner.json", json.dumps(mine._asdict()))


def require_own(state: Path, force: bool, *command: str) -> None:
    """Refuse to do `command` to somebody else's lab, unless by `force`.

    Raises
    ------
    HostError
        Naming whose it is.
    """
    theirs = owner(state)
    if theirs and theirs.uid != paths.USER.pw_uid and not force:
        what = f"The lab on this machine is {theirs.name}'s, and there is one only: `meshlab {' '.join(command)}` would take it from them."
        raise HostError(what, f"Ask {theirs.name}. To do it all the same: {paths.as_root(*command, '--force')}")


def made_of(state: Path) -> list[str]:
    """The parts of which the node was made, by name and version; empty where nobody noted it."""
    try:
        return (state / "parts").read_text(encoding="utf-8").split()
    except (FileNotFoundError, NotADirectoryError):
        return []


def note_parts(state: Path, parts: Iterable[str]) -> None:
    """Note the parts of which the node is made now."""
    _write(state / "parts", "\n".join(parts))


def discard(folder: Path) -> None:
    """Delete `folder`: its name first, so that a command that is killed meanwhile leaves nothing that could be taken for a node's."""
    if folder.exists():
        os.rename(folder, tempfile.mkdtemp(prefix=f"{folder.name}.gone-", dir=folder.parent))
    clear(folder)


def clear(folder: Path) -> None:
    """Delete what is left where `discard` was killed."""
    for left in folder.parent.glob(f"{folder.name}.gone-*"):
        shutil.rmtree(left)


def _write(path: Path, text: str) -> None:
    """Whole or not at all, for everybody to read."""
    fresh = path.with_name(f".{path.name}")
    fresh.write_text(text, encoding="utf-8")
    os.replace(fresh, path)
