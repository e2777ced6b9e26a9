"""The node's cgroups: what the kubelet puts its pods under, and, where there is one hierarchy only (v2), the node itself."""

from __future__ import annotations

import os
from pathlib import Path

from lab_helpers.core.errors import HostError, NodeError
from lab_helpers.core.wait import wait_until

NAME = "meshlab"
ROOT = Path("/sys/fs/cgroup")
NEEDED = ("cpu", "cpuset", "memory", "pids")  # the controllers that a kubelet asks for
ASIDE = "meshlab-aside"  # where a container's own processes go: a cgroup that hands controllers down may have none
AGAIN = "Run `meshlab down` again."


def unified() -> bool:
    """Whether there is one hierarchy for all controllers (cgroup v2)."""
    return (ROOT / "cgroup.controllers").exists()


def _all() -> list[Path]:
    """The lab's cgroup in every hierarchy (cgroup v1), or its one cgroup (v2)."""
    if unified():
        return [ROOT / NAME]
    return [path / NAME for path in sorted(ROOT.iterdir()) if path.is_dir() and not path.is_symlink() and (path / "cgroup.procs").exists()]


def make(state: Path) -> None:
    """Make the lab's cgroups. What is switched on for that is noted in `state`, to be switched off by `remove`.

    Raises
    ------
    HostError
        The kernel refuses; with its reason.
    """
    try:
        if unified():
            control = ROOT / "cgroup.subtree_control"
            missing = [name for name in NEEDED if name not in control.read_text(encoding="utf-8").split()]
            if missing:
                (state / "controllers").write_text(" ".join(missing), encoding="utf-8")
            for name in missing:
                _hand_down(control, name)
        for cgroup in _all():
            cgroup.mkdir(exist_ok=True)
    except OSError as error:
        do = "In a container: give it a cgroup of its own that it may write (docker run --privileged --cgroupns private)."
        raise HostError(f"The lab's cgroups cannot be made: {error.filename or ROOT}: {error.strerror}.", do) from error


def _hand_down(control: Path, name: str) -> None:
    """Switch on a controller for the cgroups below."""
    try:
        _write(control, f"+{name}")
    except OSError:  # the root of a container's hierarchy, with processes in it
        (ROOT / ASIDE).mkdir(exist_ok=True)
        _move(ROOT, ROOT / ASIDE)
        _write(control, f"+{name}")


def enter(pid: int) -> None:
    """Put a process into the node's own cgroup, beside those of its pods, so that it does not count as part of somebody's session."""
    if unified():
        node = ROOT / NAME / "node"
        node.mkdir(exist_ok=True)
        _write(node / "cgroup.procs", str(pid))


def remove(state: Path) -> None:
    """Remove the lab's cgroups, deepest first, once their last process is gone; what was switched on for them is off again."""
    for cgroup in _all():
        for folder, _, _ in os.walk(cgroup, topdown=False):
            what = f"the end of the processes in {folder}"
            wait_until(lambda folder=Path(folder): _rmdir(folder), what, 30, error=NodeError, do=AGAIN)
    noted = state / "controllers"
    for name in noted.read_text(encoding="utf-8").split() if noted.exists() else ():
        try:
            _write(ROOT / "cgroup.subtree_control", f"-{name}")
        except OSError:  # somebody else uses it by now
            continue
    noted.unlink(missing_ok=True)
    if (ROOT / ASIDE).exists():
        _move(ROOT / ASIDE, ROOT)
        _rmdir(ROOT / ASIDE)


def _move(here: Path, there: Path) -> None:
    for pid in (here / "cgroup.procs").read_text(encoding="utf-8").split():
        try:
            _write(there / "cgroup.procs", pid)
        except ProcessLookupError:
            continue


def _write(file: Path, text: str) -> None:
    """By one write, as the kernel wants it; its refusal names the file."""
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        error.filename = str(file)
        raise


def _rmdir(folder: Path) -> bool:
    try:
        folder.rmdir()
    except FileNotFoundError:
        pass
    except OSError:
        return False
    return True
