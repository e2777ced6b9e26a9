"""What a learner has predicted and which checks have passed: kept as JSON in the learner's desk, if the notebook runs in one."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

VARIABLE = "MESHLAB_DESK"  # the environment of a desk's kernels says by it where the desk is
NAME = "progress.json"
KINDS = ("checks", "predictions")

_without_desk: dict[str, dict] = {kind: {} for kind in KINDS}


def read(desk: Path | None = None) -> dict[str, dict]:
    """What is known of the desk.

    Parameters
    ----------
    desk : Path, optional
        By default the one that the environment names; without one, what this kernel has seen.

    Returns
    -------
    dict
        ``{"checks": {"12.1": {"passed": bool}}, "predictions": {"12.a": {"answer": str or float, "seen": str or float, "right": bool}}}``;
        of a prediction, any may be missing.
    """
    path = _path(desk)
    if path is None:
        return {kind: dict(_without_desk[kind]) for kind in KINDS}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # not there yet, or not ours any more: what was done is then not known
        found = {}
    found = found if isinstance(found, dict) else {}
    return {kind: found[kind] if isinstance(found.get(kind), dict) else {} for kind in KINDS}


def keep(kind: str, name: str, **facts) -> None:
    """Note facts of one check or prediction beside what is noted of it already."""

    def note(known: dict[str, dict]) -> None:
        known[kind][name] = {**known[kind].get(name, {}), **facts}

    _change(note)


def _change(note: Callable[[dict[str, dict]], None]) -> None:
    path = _path(None)
    if path is None or not path.parent.is_dir():
        note(_without_desk)
        return
    with _alone(path):
        known = read(path.parent)
        note(known)
        new = path.with_name(f".{NAME}.new")
        new.write_text(json.dumps(known, indent=2, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")
        os.replace(new, path)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Several chapters may be open at a time, each with a kernel of its own."""
    with path.with_name(f".{NAME}.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _path(desk: Path | None) -> Path | None:
    named = desk or os.environ.get(VARIABLE)
    return Path(named) / NAME if named else None
