"""One command at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from lab_helpers.core import paths
from lab_helpers.core.errors import HostError
from lab_helpers.node import files

# The lab is one on a machine, and root's. Not in /run/lock, where anybody may write: there the kernel keeps even root from opening a
# file that is somebody else's as if to make it (fs.protected_regular).
LAB = Path("/run/meshlab.lock")
CACHE = paths.CACHE / "lock"  # the caches are one for a user


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the lock `path`, a file of its folder's owner; the kernel lets go of it when this process ends, however it ends.

    Raises
    ------
    HostError
        When another process holds it, naming that process.
    """
    # What is in the user's caches the user may have put there, a link to another file included.
    with nullcontext() if path == LAB else files.as_user():
        paths.make_folder(path.parent)
        lock = open(path, "a+", encoding="utf-8", opener=_private)  # noqa: SIM115
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            what = f"Another meshlab command (process {holder}) is at work here."
            raise HostError(what, "Wait until it has ended, then try again.") from None
        owner = path.parent.stat()
        os.fchown(lock.fileno(), owner.st_uid, owner.st_gid)
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def held(path: Path) -> bool:
    """Whether another process holds the lock `path`."""
    try:
        with open(path, encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
