"""One command at a time, whoever had the lock before."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from lab_helpers.core.errors import HostError
from lab_helpers.node import lock


def test_who_holds_it_is_named_and_it_is_free_afterwards(tmp_path):
    path = tmp_path / "lock"
    with lock.exclusive(path), pytest.raises(HostError, match=f"process {os.getpid()}"), lock.exclusive(path):
        pass
    with lock.exclusive(path):
        assert path.read_text() == str(os.getpid()) and path.stat().st_mode & 0o777 == 0o600


def test_others_see_that_it_is_held_and_take_nothing_by_looking(tmp_path):
    path = tmp_path / "lock"
    assert not lock.held(path) and not path.exists()
    with lock.exclusive(path):
        assert lock.held(path)
    assert not lock.held(path)


def test_a_holder_that_was_killed_holds_nothing(tmp_path):
    code = "import os, pathlib, sys; from lab_helpers.node import lock\nwith lock.exclusive(pathlib.Path(sys.argv[1])): os._exit(9)"
    assert subprocess.run([sys.executable, "-c", code, tmp_path / "lock"], env={**os.environ, "PYTHONPATH": os.getcwd()}).returncode == 9
    with lock.exclusive(tmp_path / "lock"):
        pass


def test_it_is_its_folders_owners_even_under_sudo(monkeypatch, tmp_path):
    """With fs.protected_regular nobody, root included, opens somebody else's file to write it where anybody may make files."""
    given = []
    monkeypatch.setattr(os, "fchown", lambda file, uid, gid: given.append((uid, gid)))
    monkeypatch.setattr(lock.paths, "give_to_user", lambda *paths: pytest.fail("the lab's lock is not the user's"))
    monkeypatch.setattr(lock.paths, "make_folder", lambda path: None)
    with lock.exclusive(tmp_path / "lock"):
        assert given == [(tmp_path.stat().st_uid, tmp_path.stat().st_gid)]


def test_only_root_makes_files_where_the_labs_lock_is():
    folder = lock.LAB.parent.stat()
    assert folder.st_uid == 0 and not folder.st_mode & 0o022


PROTECTED = Path("/proc/sys/fs/protected_regular")


@pytest.fixture
def protected():
    """The kernel's own protection of files in folders where anybody may make some, as Debian 12 has it."""
    before = PROTECTED.read_text()
    try:
        PROTECTED.write_text("2")
    except OSError as error:
        pytest.skip(f"{PROTECTED} cannot be set here: {error.strerror}")
    try:
        yield
    finally:
        PROTECTED.write_text(before)


def folder(path: Path, mode: int) -> Path:
    path.mkdir()
    path.chmod(mode)  # whatever the umask says
    return path


TAKE = "import pathlib, sys; from lab_helpers.node import lock\nlock.LAB = pathlib.Path(sys.argv[1])\nwith lock.exclusive(lock.LAB): pass"


def test_root_takes_the_lock_after_whoever_called_sudo(protected, tmp_path):
    """In a folder like that of the lab's lock: the second command of two died on the first one's file."""
    path = folder(tmp_path / "run", stat.S_IMODE(lock.LAB.parent.stat().st_mode)) / "lock"
    for caller in ({"SUDO_UID": "12345", "SUDO_GID": "12345"}, {"SUDO_UID": "12346", "SUDO_GID": "12346"}, {}):
        environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": os.getcwd(), **caller}
        done = subprocess.run([sys.executable, "-c", TAKE, path], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_where_anybody_may_make_files_somebody_elses_keeps_root_out(protected, tmp_path):
    """Why the lab's lock is not in such a folder; and that the test above tests something."""
    path = folder(tmp_path / "run", 0o1777) / "lock"
    path.touch()
    os.chown(path, 12345, 12345)
    with pytest.raises(PermissionError), lock.exclusive(path):
        pass
