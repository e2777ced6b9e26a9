"""One command at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab_helpers.core import paths
from lab_helpers.core.errors import HostError

LAB = Path("/run/lock/meshlab.lock")  # the lab is one on a machine
CACHE = paths.CACHE / "lock"  # the caches are one for a user


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the lock `path`; the kernel lets go of it when this process ends, however it ends.

    Raises
    ------
    HostError
        When another process holds it, naming that process.
    """
    paths.make_folder(path.parent)
    with path.open("a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            what = f"Another meshlab command (process {holder}) is at work here."
            raise HostError(what, "Wait until it has ended, then try again.") from None
        paths.give_to_user(path)
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield
