"""Python as `sudo` runs it: root, called by somebody else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from lab_helpers.core.paths import ROOT

UID = 12345  # nobody's


def as_root(code: str, home: Path, *arguments: object, without: str = "") -> subprocess.CompletedProcess:
    """Run `code` as root on behalf of `UID`, whose home is `home`; `without` names capabilities that root then has not."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "SUDO_UID": str(UID), "SUDO_GID": str(UID), "PYTHONPATH": str(ROOT)}
    held = ["setpriv", f"--bounding-set={without}", "--"] if without else []
    command = [*held, sys.executable, "-B", "-c", code, *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def home(path: Path) -> Path:
    """Make `path` a home of `UID`, and let that user pass to it."""
    for folder in path.parents:
        if folder.stat().st_uid == os.geteuid() and str(folder).startswith("/tmp/"):
            folder.chmod(folder.stat().st_mode | 0o011)
    path.mkdir()
    os.chown(path, UID, UID)
    return path
