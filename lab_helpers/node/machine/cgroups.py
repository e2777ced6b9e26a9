"""The node's cgroups: what the kubelet puts its pods under."""

from __future__ import annotations

import os
from pathlib import Path

from lab_helpers.core.errors import NodeError
from lab_helpers.core.wait import wait_until

NAME = "meshlab"
ROOT = Path("/sys/fs/cgroup")
AGAIN = "Run `meshlab down` again."


def _all() -> list[Path]:
    """The lab's cgroup in every hierarchy (cgroup v1), or its one cgroup (v2)."""
    if (ROOT / "cgroup.controllers").exists():
        return [ROOT / NAME]
    return [path / NAME for path in sorted(ROOT.iterdir()) if path.is_dir() and not path.is_symlink() and (path / "cgroup.procs").exists()]


def make() -> None:
    """Make the lab's cgroups."""
    unified = ROOT / "cgroup.subtree_control"
    if unified.exists():
        available = (ROOT / "cgroup.controllers").read_text(encoding="utf-8").split()
        unified.write_text(" ".join(f"+{controller}" for controller in available), encoding="utf-8")
    for cgroup in _all():
        cgroup.mkdir(exist_ok=True)


def remove() -> None:
    """Remove the lab's cgroups, deepest first, once their last process is gone."""
    for cgroup in _all():
        for folder, _, _ in os.walk(cgroup, topdown=False):
            what = f"the end of the processes in {folder}"
            wait_until(lambda folder=Path(folder): _rmdir(folder), what, 30, error=NodeError, do=AGAIN)


def _rmdir(folder: Path) -> bool:
    try:
        folder.rmdir()
    except FileNotFoundError:
        pass
    except OSError:
        return False
    return True
