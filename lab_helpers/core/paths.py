"""Where the course and the embedded lab keep things, and whose they are."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]  # of the clone: notebooks, manifests, book
# What Istio has to be told so that it drives the embedded lab's stock Envoy.
OVERLAY = ROOT / "lab_helpers" / "node" / "install" / "overlay" / "istio.yaml"

# Under sudo the caches and the kubeconfig belong to whoever typed the command, not to root.
USER = pwd.getpwuid(int(os.environ.get("SUDO_UID", os.getuid())))
HOME = Path(os.environ["HOME"]) if "SUDO_UID" not in os.environ and "HOME" in os.environ else Path(USER.pw_dir)

CACHE = HOME / ".cache" / "meshlab"
BIN = CACHE / "bin"  # kubectl and istioctl of the lab's versions
KUBECONFIG = HOME / ".kube" / "meshlab"

# Short, because a Unix socket's path may not be longer than 107 bytes.
STATE = Path("/var/lib/meshlab")
LOGS = STATE / "log"


def give_to_user(*paths: Path) -> None:
    """Hand `paths` to the invoking user (no effect unless running under sudo)."""
    for path in paths:
        os.lchown(path, USER.pw_uid, USER.pw_gid)


def make_folder(path: Path) -> None:
    """Make the folder `path`, and those above it that are missing, the invoking user's."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    give_to_user(*missing)
