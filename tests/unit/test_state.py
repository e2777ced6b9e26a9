"""What is kept of a node on disk: gone as a whole, somebody's, and of certain parts. The node itself is played by functions."""

import os
import random
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from lab_helpers.core import paths
from lab_helpers.core.errors import ClusterError, HostError
from lab_helpers.core.wait import wait_until
from lab_helpers.node import host, lifecycle, machine
from lab_helpers.node.machine import MACHINE, state
from tests.unit.test_store import Quiet

ANN, BOB = (paths.User(name, uid, uid, "/nowhere") for name, uid in (("ann", 1001), ("bob", 1002)))
DISCARD = """
import sys
from pathlib import Path
from lab_helpers.core import paths
from lab_helpers.node import machine
paths.STATE = Path(sys.argv[1])
print("begins", flush=True)
try:
    from lab_helpers.node.machine import state
except ImportError:
    machine.forget(machine.MACHINE)
else:
    state.discard(paths.STATE)
"""


def node_state(folder: Path) -> set[Path]:
    """A state of many files, in thirty folders."""
    for number in range(3000):
        path = folder / f"{number % 30}" / f"{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return set(folder.rglob("*"))


def count(folder: Path) -> int:
    """How many things are in the folders of `folder`, some of which may be going just now."""
    found = 0
    for each in folder.iterdir():
        with suppress(FileNotFoundError):
            found += len(os.listdir(each))
    return found


def test_a_down_that_is_killed_leaves_all_of_a_state_or_none(tmp_path):
    """At ten moments. Half a state was one that `up` believed: certificates that were complete, without an authority."""
    folder, halves = tmp_path / "meshlab", 0
    environment = {**os.environ, "PYTHONPATH": str(paths.ROOT)}
    for left in random.sample(range(30), 10):
        whole = node_state(folder)
        with subprocess.Popen([sys.executable, "-c", DISCARD, folder], env=environment, stdout=subprocess.PIPE) as down:
            down.stdout.readline()
            wait_until(lambda left=left: count(tmp_path) <= left, "files to go", 20, every=0.0001)
            down.send_signal(signal.SIGKILL)
        halves += any(tmp_path.glob("*/*"))
        assert not folder.exists() or set(folder.rglob("*")) == whole
        state.clear(folder)
        assert [path for path in tmp_path.iterdir() if path != folder] == []
    assert halves, "none was killed in the middle of it"


@pytest.fixture
def lab(monkeypatch, tmp_path):
    """Ann's lab, in the place of this machine's; a function that says who is at work, and the notes of what is done to its node."""
    done = []
    monkeypatch.setattr(paths, "STATE", tmp_path / "meshlab")
    monkeypatch.setattr(paths, "LOGS", tmp_path / "meshlab" / "log")
    monkeypatch.setattr(lifecycle.lock, "LAB", tmp_path / "lab.lock")
    monkeypatch.setattr(lifecycle.lock, "CACHE", tmp_path / "cache.lock")
    monkeypatch.setattr(host, "require_root", lambda *command: None)
    monkeypatch.setattr(lifecycle.machine, "stop", lambda node: done.append("stop"))
    monkeypatch.setattr(lifecycle.machine, "start", lambda node, log: done.append("start"))
    monkeypatch.setattr(lifecycle.machine, "init_pid", lambda node: 7)

    def at_work(user: paths.User) -> list[str]:
        monkeypatch.setattr(paths, "USER", user)
        monkeypatch.setattr(paths, "KUBECONFIG", tmp_path / user.pw_name)
        return done

    at_work(ANN)
    MACHINE.state.mkdir()
    state.claim(MACHINE.state, MACHINE.address)
    paths.KUBECONFIG.touch()
    return at_work


def test_whoever_shares_the_machine_does_not_end_somebody_elses_lab(lab, tmp_path):
    done = lab(BOB)
    for command in (lifecycle.down, lifecycle.up):
        with pytest.raises(HostError, match="is ann's") as caught:
            command(Quiet())
        assert caught.value.do.endswith("--force")
    with pytest.raises(ClusterError, match="it is ann's"):
        host.require_kubeconfig()
    assert done == [] and MACHINE.state.exists() and (tmp_path / "ann").exists()


@pytest.mark.parametrize(("who", "force"), [(ANN, False), (BOB, True)])
def test_its_owner_ends_it_and_whoever_insists(lab, tmp_path, who, force):
    assert lab(who) == []
    lifecycle.down(Quiet(), *([force] if force else []))
    assert not MACHINE.state.exists() and not (tmp_path / "ann").exists(), "a kubeconfig of a lab that is gone"


def test_the_lab_of_a_version_that_did_not_note_it_is_anybodys(lab):
    (MACHINE.state / state.NOTE).unlink()
    assert lab(BOB) == []
    lifecycle.down(Quiet())
    assert not MACHINE.state.exists()


@pytest.fixture
def node(lab, monkeypatch):
    """Ann's node, which runs; a function that brings it up again, and tells what was done to it."""
    done = lab(ANN)
    (MACHINE.state / "containerd").mkdir()
    (MACHINE.state / "containerd" / "old").touch()
    (MACHINE.state / "root" / "upper").mkdir(parents=True)
    for module, name in (
        (lifecycle.pki, "create"),
        (lifecycle.cluster, "write_kubeconfig"),
        (lifecycle.configuration, "write"),
        (lifecycle.cluster, "import_images"),
    ):
        monkeypatch.setattr(module, name, lambda *given: None)
    monkeypatch.setattr(lifecycle.components, "start", lambda node, say: None)
    monkeypatch.setattr(lifecycle.cluster, "seed_images", lambda node: (MACHINE.state / "containerd").mkdir(exist_ok=True))
    running = [7]
    monkeypatch.setattr(lifecycle.machine, "init_pid", lambda node: running[-1])
    monkeypatch.setattr(lifecycle.machine, "stop", lambda node: running.append(done.append("stop")))

    def up() -> list[str]:
        done.clear()
        lifecycle._start_node(Quiet())
        running.append(7)
        return done

    return up


def test_a_node_of_parts_that_are_no_longer_the_labs_boots_again(node):
    """After `git pull` the old programs went on running, and pods of old images, and `up` said that all was well."""
    assert "start" in node() and not (MACHINE.state / "containerd" / "old").exists(), "nobody noted what it was made of"
    (MACHINE.state / "containerd" / "old").touch()
    assert node() == [] and (MACHINE.state / "containerd" / "old").exists(), "what is well is left as it is"
    parts = state.read(MACHINE.state).parts
    state.note_parts(MACHINE.state, ["kubernetes-0123456789ab", *parts[1:]])
    assert "start" in node() and (MACHINE.state / "containerd" / "old").exists(), "the images are the same"
    (MACHINE.state / "root" / "upper").mkdir(parents=True)
    state.note_parts(MACHINE.state, [parts[0], "node-root-0123456789ab", *parts[2:]])
    assert "start" in node() and not (MACHINE.state / "root").exists(), "a layer over another root"
    state.note_parts(MACHINE.state, [*parts[:-1], "later-images-0123456789ab"])
    assert "start" in node() and not (MACHINE.state / "containerd" / "old").exists(), "pods of old images"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"uid": 1}', '{"uid": 1, "more": 2}'])
def test_a_note_that_cannot_be_read_keeps_nobody_from_anything(lab, text):
    assert (MACHINE.state / state.NOTE).stat().st_mode & 0o777 == 0o644, "whoever is not root looks at it, too"
    (MACHINE.state / state.NOTE).write_text(text)
    assert machine.chosen().address == "192.168.128.27"
    state.require_own(MACHINE.state, False, "down")


def test_a_lab_that_is_there_keeps_its_address(lab, monkeypatch):
    state.claim(MACHINE.state, "10.99.0.2")
    with pytest.raises(HostError, match="has the address 10.99.0.2, and MESHLAB_NODE_ADDRESS says 192.168.128.27"):
        lifecycle.up(Quiet())
    assert machine.chosen().address == "10.99.0.2", "later commands need not be told"
    lifecycle.down(Quiet())
    assert machine.chosen().address == "192.168.128.27"
