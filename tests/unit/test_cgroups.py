"""The node's cgroups where there is one hierarchy for all controllers, as today's machines have it.

The kernel is played by files and by what it refuses; `make soak PART=hardened` has the real one.
"""

from __future__ import annotations

import errno
import subprocess
from pathlib import Path

import pytest

from lab_helpers.core.errors import HostError
from lab_helpers.node.machine import cgroups


class Kernel:
    """Writes as the kernel takes them: no controller is handed down from a cgroup with processes, but by the machine's root."""

    def __init__(self, root: Path, container: bool):
        self.root, self.container, self.busy, self.writes = root, container, set(), []
        (root / "cgroup.controllers").write_text("cpu cpuset io memory misc pids")
        (root / "cgroup.subtree_control").write_text("cpu")
        (root / "cgroup.procs").write_text("11\n12\n")

    def write(self, file: Path, text: str) -> None:
        where = str(file.relative_to(self.root))
        self.writes.append(f"{where} {text}")
        if file.name == "cgroup.procs":
            home = self.root / ("cgroup.procs" if file.parent != self.root else f"{cgroups.ASIDE}/cgroup.procs")
            if home.exists():
                home.write_text(home.read_text().replace(f"{text}\n", ""))
            file.write_text((file.read_text() if file.exists() else "") + f"{text}\n")
            return
        known = set(file.read_text().split())
        if text[0] == "+" and self.container and (self.root / "cgroup.procs").read_text():
            raise OSError(errno.EBUSY, "Device or resource busy")
        if text[1:] in self.busy:
            raise OSError(errno.EBUSY, "Device or resource busy")
        file.write_text(" ".join(sorted(known | {text[1:]} if text[0] == "+" else known - {text[1:]})))


@pytest.fixture
def kernel(monkeypatch, tmp_path):
    """A function that makes the kernel of a machine, or what a container sees of it."""

    def make(container: bool = False) -> Kernel:
        root = tmp_path / "cgroup"
        root.mkdir()
        kernel = Kernel(root, container)
        monkeypatch.setattr(cgroups, "ROOT", root)
        monkeypatch.setattr(cgroups, "_write", kernel.write)
        monkeypatch.setattr(cgroups, "_rmdir", lambda folder: subprocess.run(["rm", "-r", folder]).returncode == 0)
        return kernel

    return make


def test_only_what_a_kubelet_needs_is_switched_on_and_off_again(kernel, tmp_path):
    machine = kernel()
    cgroups.make(tmp_path)
    assert machine.writes == [f"cgroup.subtree_control +{name}" for name in ("cpuset", "memory", "pids")], "all that there are, at once"
    cgroups.enter(77)
    assert machine.writes[-1] == "meshlab/node/cgroup.procs 77", "the node counts as part of a session"
    machine.busy = {"memory"}  # somebody uses it by now
    cgroups.remove(tmp_path)
    assert (machine.root / "cgroup.subtree_control").read_text() == "cpu memory"
    assert not (machine.root / cgroups.NAME).exists() and [*tmp_path.iterdir()] == [machine.root]


def test_in_a_container_its_processes_stand_aside_and_come_back(kernel, tmp_path):
    container = kernel(container=True)
    cgroups.make(tmp_path)
    assert (container.root / "cgroup.subtree_control").read_text() == "cpu cpuset memory pids"
    assert (container.root / cgroups.ASIDE / "cgroup.procs").read_text() == "11\n12\n"
    cgroups.remove(tmp_path)
    assert (container.root / "cgroup.procs").read_text() == "11\n12\n" and not (container.root / cgroups.ASIDE).exists()
    assert (container.root / "cgroup.subtree_control").read_text() == "cpu"


def test_what_the_kernel_refuses_is_a_sentence(kernel, tmp_path):
    machine = kernel()
    machine.busy = {"memory"}
    with pytest.raises(HostError, match="cgroups cannot be made: .*Device or resource busy"):
        cgroups.make(tmp_path)
