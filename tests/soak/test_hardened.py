"""Machines and moments that differ from those at hand, made of them: a container's cgroups, no way out, a kill, a reboot.

The machine is afterwards as it was, but for the lab, which is up.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys

import pytest

from lab_helpers.core.paths import ROOT
from lab_helpers.istio.gateway import fetch
from lab_helpers.node.machine import MACHINE, state
from tests.live import MESHLAB, meshlab

pytestmark = [pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a container"), pytest.mark.timeout(900)]

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


@pytest.mark.lab
def test_with_every_part_built_up_needs_no_way_out():
    """No registry, no mirror, no name server: nothing but the loopback address, and the lab's own link once it is there."""
    meshlab("up", "--only", "build")
    meshlab("down")
    alone = [
        "unshare",
        "--net",
        "sh",
        "-ec",
        'ip link set lo up; "$@" up; curl --silent --fail http://$ADDRESS:30080/productpage',
        "sh",
        MESHLAB,
    ]
    done = subprocess.run(alone, env={**os.environ, "ADDRESS": MACHINE.address}, capture_output=True, text=True)
    assert done.returncode == 0 and "reviews" in done.stdout.lower() and "Debian packages" not in done.stderr, done.stderr
    meshlab("down")  # from the machine's own network, which has no link of that name


def killed(command: str, seconds: float) -> None:
    """Run ``meshlab`` with `command` and kill it after `seconds`, if it takes so long."""
    with subprocess.Popen([MESHLAB, command], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as started:
        try:
            started.wait(seconds)
        except subprocess.TimeoutExpired:
            started.send_signal(signal.SIGKILL)


@pytest.mark.lab
@pytest.mark.parametrize("after", [round(random.Random(seed).uniform(0.1, 1), 2) for seed in range(10)])
@pytest.mark.parametrize(("command", "takes"), [("down", 8.0), ("up", 40.0)])
def test_a_command_killed_at_any_moment_leaves_what_up_can_use(command, takes, after):
    """Moments are shares of what the command takes."""
    meshlab("up" if command == "down" else "down")
    killed(command, takes * after)
    page = meshlab("up").stdout.split("The lab is up: ")[1].split()[0]
    assert fetch(page).status == 200
    assert not [*MACHINE.state.parent.glob(f"{MACHINE.state.name}.gone-*")]


@pytest.mark.lab
def test_after_a_reboot_up_finds_its_state_and_harms_nobody_who_has_its_ids_now():
    """The state is there, the processes are not, and another program has the id that was the node's."""
    page = meshlab("up").stdout.split("The lab is up: ")[1].split()[0]
    pid, boot, began = MACHINE.pid_file.read_text().split()
    os.kill(int(pid), signal.SIGKILL)
    with subprocess.Popen(["sleep", "infinity"]) as somebody:
        MACHINE.pid_file.write_text(f"{somebody.pid} {boot[:-1]}x {began}")
        meshlab("up")
        assert fetch(page).status == 200 and somebody.poll() is None
        somebody.kill()


@pytest.mark.lab
def test_a_lab_of_somebody_else_is_left_alone():
    meshlab("up")
    note = MACHINE.state / state.NOTE
    mine = note.read_text()
    note.write_text(mine.replace('"uid": ', '"uid": 4'))
    try:
        for command in ("up", "down"):
            refused = meshlab(command, check=False)
            assert refused.returncode == 1 and "there is one only" in refused.stderr and "Traceback" not in refused.stderr
    finally:
        note.write_text(mine)
    meshlab("up")
