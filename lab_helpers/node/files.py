"""Files that root writes for the invoking user, or for nobody else to read."""

from __future__ import annotations

import ctypes
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab_helpers.core import paths


@contextmanager
def as_user() -> Iterator[None]:
    """Have this thread look for, make and open files with the rights of the invoking user, whose they become; no effect without sudo.

    A link in a folder of the user's then leads root nowhere where the user may not go, and a home on a server that does not trust root
    (NFS's ``root_squash``) can be written. What the thread executes meanwhile is root's, as ever; see setfsuid(2).
    """
    if not paths.SUDO or paths.USER.pw_uid == 0:
        yield
        return
    libc = ctypes.CDLL(None)
    group, user = libc.setfsgid(paths.USER.pw_gid), libc.setfsuid(paths.USER.pw_uid)
    try:
        yield
    finally:
        libc.setfsuid(user)
        libc.setfsgid(group)


def write_private(path: Path, content: bytes) -> None:
    """Write `content` whole or not at all, for nobody but its owner to read at any moment; a link at `path` gives way to it."""
    descriptor, fresh = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, path)
    except BaseException:
        os.unlink(fresh)
        raise
