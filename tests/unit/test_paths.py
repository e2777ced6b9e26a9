"""Whose the caches and the kubeconfig are: root's, the user's under sudo, somebody's without a name; and the line that works for them."""

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from lab_helpers.core import paths
from lab_helpers.core.errors import HostError

ASK = """
import os, pwd
accounts = {{0: ("root", "/root"), 1000: ("ann", "/home/ann"), 1001: ("bob", "/home/bob")}}
os.getuid = os.geteuid = lambda: {uid}
pwd.getpwuid = lambda uid: pwd.struct_passwd((accounts[uid][0], "x", uid, uid, "", accounts[uid][1], ""))
from lab_helpers.core import paths
print(paths.USER.pw_name, paths.USER.pw_uid, paths.USER.pw_gid, paths.HOME)
"""


@pytest.mark.parametrize(
    ("uid", "environment", "found"),
    [
        (0, {"HOME": "/root"}, "root 0 0 /root"),
        (1000, {"HOME": "/elsewhere"}, "ann 1000 1000 /elsewhere"),
        (1000, {}, "ann 1000 1000 /home/ann"),
        (1000, {"HOME": ""}, "ann 1000 1000 /home/ann"),
        (0, {"HOME": "/root", "SUDO_UID": "1000", "SUDO_GID": "1000"}, "ann 1000 1000 /home/ann"),
        (0, {"HOME": "/root", "SUDO_UID": ""}, "root 0 0 /root"),
        (1001, {"HOME": "/home/bob", "SUDO_UID": "1000"}, "bob 1001 1001 /home/bob"),  # sudo -u bob, by ann
        (12345, {"HOME": "/data"}, f"12345 12345 {os.getgid()} /data"),
        (12345, {}, f"12345 12345 {os.getgid()} /"),
        (0, {"HOME": "/data", "SUDO_UID": "12345", "SUDO_GID": "7"}, "12345 12345 7 /data"),
    ],
    ids=["root", "user", "no HOME", "empty HOME", "sudo", "sudo of nobody", "sudo -u", "no name", "nothing", "sudo of no name"],
)
def test_whose_the_caches_are(uid, environment, found):
    command = [sys.executable, "-c", ASK.format(uid=uid)]
    done = subprocess.run(command, env={"PYTHONPATH": str(paths.ROOT), **environment}, capture_output=True, text=True)
    assert done.stdout.strip() == found and done.stderr == ""


def test_a_home_that_cannot_be_written_gets_a_sentence(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(HostError, match="cannot be made") as caught:
        paths.make_folder(tmp_path / "file" / "cache")
    assert "HOME" in caught.value.do


@pytest.mark.parametrize("called", ["a folder/meshlab", "ipykernel_launcher.py"])
def test_the_line_for_root_works_where_sudo_looks_for_programs_elsewhere(monkeypatch, tmp_path, called):
    monkeypatch.setattr(paths, "sys", SimpleNamespace(argv=[str(tmp_path / called)], executable=str(tmp_path / "a folder" / "python")))
    assert paths.as_root("logs", "kubelet") == f"sudo '{tmp_path}/a folder/meshlab' logs kubelet"


def test_a_desk_is_in_the_home_or_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setattr(paths, "HOME", tmp_path)
    monkeypatch.delenv(paths.DESK, raising=False)
    assert paths.desk() == tmp_path / "meshlab"
    monkeypatch.setenv(paths.DESK, str(tmp_path / "a desk"))
    assert paths.desk() == tmp_path / "a desk"
    monkeypatch.setenv(paths.DESK, "mine")
    monkeypatch.chdir(tmp_path)
    assert paths.desk() == tmp_path / "mine"


def test_a_desk_is_never_in_a_clone(monkeypatch, tmp_path):
    monkeypatch.setattr(paths, "HOME", tmp_path)
    monkeypatch.delenv(paths.DESK, raising=False)
    (tmp_path / "meshlab" / "lab_helpers").mkdir(parents=True)
    assert paths.desk() == tmp_path / "meshlab-desk"
    for inside in (paths.ROOT, paths.ROOT / "notebooks" / "mine"):
        monkeypatch.setenv(paths.DESK, str(inside))
        with pytest.raises(HostError, match="lies in the course's own folder") as caught:
            paths.desk()
        assert paths.DESK in caught.value.do
