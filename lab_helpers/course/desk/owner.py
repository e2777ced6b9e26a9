"""Whose the desk is: with sudo the user's who typed it, so what JupyterLab writes has to be written as that user."""

from __future__ import annotations

import os
import subprocess
import sys

from lab_helpers.core import paths
from lab_helpers.core.errors import HostError


def become_user() -> None:
    """Go on as the user who typed ``sudo``; no effect without it.

    Raises
    ------
    HostError
        That user may not read the course.
    """
    if not paths.SUDO or paths.USER.pw_uid == 0:
        return
    user = paths.USER
    who = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    try:
        readable = subprocess.run([sys.executable, "-c", "import lab_helpers"], cwd="/", capture_output=True, **who).returncode == 0
    except OSError:
        readable = False
    if not readable:
        do = f"Put the clone and its Python where {user.pw_name} may read them, and type it again without sudo."
        raise HostError(f"{user.pw_name} may not read {paths.ROOT}.", do)
    try:
        os.initgroups(user.pw_name, user.pw_gid)
    except KeyError:
        os.setgroups([])
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)
    os.environ |= {"HOME": str(paths.HOME), "USER": user.pw_name, "LOGNAME": user.pw_name}
    for name in ("XDG_RUNTIME_DIR", "SHELL", "MAIL"):  # root's
        os.environ.pop(name, None)
