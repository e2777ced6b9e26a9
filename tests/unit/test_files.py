"""Files that root writes for the invoking user: theirs, private where they are to be, and by no link of theirs anybody else's.

Each test runs as root on behalf of another uid, as under sudo, in a folder of that uid's.
"""

import os
import threading

import pytest

from lab_helpers.node import files
from tests.sudo import UID, as_root, home

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")

KUBECONFIG = """
import sys
from pathlib import Path
from lab_helpers.core import paths
from lab_helpers.node.kubernetes import cluster, pki
from lab_helpers.node.machine import MACHINE
paths.STATE = Path(sys.argv[1])
pki.create(MACHINE)
cluster.write_kubeconfig(MACHINE)
"""
BUILD = """
import os, subprocess
from lab_helpers.node.build import contained, store
def build(directory, say, log):
    (directory / "file").write_text("x")
    contained.call(["sh", "-c", "id -u >who"], log, cwd=directory)
class Report:
    def plan(self, needs): pass
    def step(self, name):
        from contextlib import nullcontext
        return nullcontext(lambda line: None)
store.ensure([store.Part("small", build)], Report())
"""


@pytest.fixture
def secret(tmp_path):
    """A file of root's."""
    path = tmp_path / "secret"
    path.write_text("root's")
    path.chmod(0o600)
    return path


def test_the_kubeconfig_takes_the_place_of_a_link_and_of_a_file_that_anybody_may_read(tmp_path, secret):
    """The admin's key went where a link led, and stayed readable where the file had been."""
    ann = home(tmp_path / "ann")
    found = ann / ".kube" / "meshlab"
    home(found.parent)
    found.symlink_to(secret)
    for _ in range(2):
        done = as_root(KUBECONFIG, ann, tmp_path / "state")
        assert done.returncode == 0, done.stderr
        status = found.lstat()
        assert (status.st_uid, status.st_gid, status.st_mode) == (UID, UID, 0o100600) and "client-key-data" in found.read_text()
        found.write_text("old")
        found.chmod(0o644)
    assert secret.read_text() == "root's" and secret.stat().st_uid == 0 and [*found.parent.iterdir()] == [found]


def test_where_it_cannot_be_written_that_is_a_sentence(tmp_path):
    ann = home(tmp_path / "ann")
    (ann / ".kube").mkdir()  # root's, as `sudo kubectl` leaves it
    done = as_root(KUBECONFIG, ann, tmp_path / "state")
    assert f"HostError: {ann}/.kube/meshlab cannot be written by 12345: Permission denied." in done.stderr


def test_who_reads_it_meanwhile_reads_all_of_it(tmp_path):
    path, stop, seen = tmp_path / "file", threading.Event(), set()
    contents = [letter * 100_000 for letter in (b"a", b"b")]
    files.write_private(path, contents[0])

    def read():
        while not stop.is_set():
            seen.add(path.read_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(200):
        files.write_private(path, contents[number % 2])
    stop.set()
    reader.join()
    assert seen <= set(contents)


def test_what_is_built_is_made_by_the_user_and_no_log_is_written_by_a_link(tmp_path, secret):
    """What a registry's program does, it does without root's rights, and in folders that it may write."""
    ann = home(tmp_path / "ann")
    logs = ann / ".cache" / "meshlab" / "log"
    logs.mkdir(parents=True)
    for folder in (ann / ".cache", ann / ".cache" / "meshlab", logs):
        os.chown(folder, UID, UID)
    (logs / "small.log").symlink_to(secret)
    done = as_root(BUILD, ann)
    assert done.returncode == 0, done.stderr
    [part] = (ann / ".cache" / "meshlab" / "parts").iterdir()
    assert (part / "who").read_text() == f"{UID}\n"
    made = [part, *part.iterdir(), logs / "small.log"]
    assert {path.lstat().st_uid for path in made} == {UID} and secret.read_text() == "root's"


def test_a_lock_is_not_taken_by_a_link_to_somebody_elses_file(tmp_path, secret):
    ann = home(tmp_path / "ann")
    (ann / "lock").symlink_to(secret)
    code = "import pathlib, sys; from lab_helpers.node import lock\nwith lock.exclusive(pathlib.Path(sys.argv[1])): pass"
    done = as_root(code, ann, ann / "lock")
    assert done.returncode == 1 and "PermissionError" in done.stderr and secret.read_text() == "root's"


def test_a_home_that_does_not_trust_root_is_written(tmp_path):
    """As on a server with root_squash: root has no right there that nobody else would have."""
    ann = home(tmp_path / "ann")
    done = as_root(KUBECONFIG + BUILD, ann, tmp_path / "state", without="-dac_override,-dac_read_search,-chown,-fowner")
    assert done.returncode == 0, done.stderr
    assert (ann / ".kube" / "meshlab").stat().st_uid == UID and [*(ann / ".cache" / "meshlab" / "parts").iterdir()]
