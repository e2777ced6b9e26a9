"""Machines that differ from the one at hand, made of it: a container's cgroups, by the real kernel. The machine is afterwards as it was."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from lab_helpers.core.paths import ROOT

pytestmark = [pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a container"), pytest.mark.timeout(120)]

# A container's root of a cgroup hierarchy: with processes in it, and no way up.
CONTAINER = """
set -e
mkdir hierarchy container state
mount -t cgroup2 none hierarchy
controller=$(grep -ow -m 1 -e memory -e hugetlb hierarchy/cgroup.controllers | head -1)
grep -qw "$controller" hierarchy/cgroup.subtree_control || switched=yes
echo "+$controller" >hierarchy/cgroup.subtree_control
mkdir hierarchy/meshlab-hardened
(
    sh -c 'echo $PPID' >hierarchy/meshlab-hardened/cgroup.procs
    look='mount -t cgroup2 none container; cp container/cgroup.procs before; "$@"; cp container/cgroup.procs after'
    unshare --cgroup --mount sh -ec "$look" sh "$@" "$PWD" "$controller"
) && code=0 || code=$?
find hierarchy/meshlab-hardened -depth -type d -exec rmdir {} \\;
[ -z "$switched" ] || echo "-$controller" >hierarchy/cgroup.subtree_control
exit $code
"""
LAB = """
import subprocess, sys
from pathlib import Path
from lab_helpers.node.machine import cgroups
folder, controller = Path(sys.argv[1]), sys.argv[2]
cgroups.ROOT, cgroups.NEEDED = folder / "container", (controller,)
cgroups.make(folder / "state")
print((cgroups.ROOT / "cgroup.subtree_control").read_text())
with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as node:
    cgroups.enter(node.pid)
    print((cgroups.ROOT / "meshlab/node/cgroup.procs").read_text() == f"{node.pid}\\n")
    (cgroups.ROOT / "meshlab/cgroup.subtree_control").write_text(f"+{controller}")
cgroups.remove(folder / "state")
print(sorted(each.name for each in cgroups.ROOT.iterdir() if each.is_dir()))
"""


def test_the_lab_finds_a_place_in_a_containers_cgroups(tmp_path):
    """There the kernel hands no controller down as long as the container's own processes are where it would be handed down from."""
    command = ["unshare", "--mount", "sh", "-c", CONTAINER, "sh", sys.executable, "-B", "-c", LAB]
    done = subprocess.run(command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() in (["memory", "True", "[]"], ["hugetlb", "True", "[]"])
    before, after = ((tmp_path / name).read_text().split() for name in ("before", "after"))
    assert before[0] == after[0], "the container's own processes are elsewhere now"
