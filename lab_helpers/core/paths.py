"""Where the course and the embedded lab keep things, and whose they are."""

from __future__ import annotations

import os
import pwd
import shlex
import sys
from pathlib import Path
from typing import NamedTuple

from lab_helpers.core.errors import HostError

ROOT = Path(__file__).resolve().parents[2]  # of the clone: notebooks, manifests, book
# What Istio has to be told so that it drives the embedded lab's stock Envoy.
OVERLAY = ROOT / "lab_helpers" / "node" / "install" / "overlay" / "istio.yaml"


class User(NamedTuple):
    """As in `pwd`, as far as the lab asks."""

    pw_name: str
    pw_uid: int
    pw_gid: int
    pw_dir: str


def _user() -> User:
    """Who typed the command: not root, under sudo; perhaps a number that has no name, as in a container with a uid of its own."""
    uid, gid = os.getuid(), os.getgid()
    if SUDO:
        uid, gid = int(os.environ["SUDO_UID"]), int(os.environ.get("SUDO_GID", gid))
    try:
        known = pwd.getpwuid(uid)
        return User(known.pw_name, known.pw_uid, known.pw_gid, known.pw_dir)
    except KeyError:
        return User(str(uid), uid, gid, os.environ.get("HOME", "/"))


# Whose the caches and the kubeconfig are. `sudo -u` to somebody else than root says whose command it was, too, and means that person.
SUDO = os.geteuid() == 0 and os.environ.get("SUDO_UID", "").isdigit()
USER = _user()
HOME = Path(USER.pw_dir if SUDO else os.environ.get("HOME") or USER.pw_dir)

CACHE = HOME / ".cache" / "meshlab"
BIN = CACHE / "bin"  # kubectl and istioctl of the lab's versions
GATEWAY_API = CACHE / "gateway-api"  # the Gateway API's kinds, a file each
KUBECONFIG = HOME / ".kube" / "meshlab"

DESK = "MESHLAB_DESK"  # says where a learner's folder is; notebooks are told theirs by it

# Short, because a Unix socket's path may not be longer than 107 bytes.
STATE = Path("/var/lib/meshlab")
LOGS = STATE / "log"


def desk() -> Path:
    """The learner's folder: what `DESK` says in the environment, or else one of the user's home; never a clone of the course.

    Raises
    ------
    HostError
        The one that was named is in the clone, where work would get among the course's own files.
    """
    if named := os.environ.get(DESK):
        folder = Path(os.path.abspath(os.path.expanduser(named)))
        if folder.resolve().is_relative_to(ROOT):
            raise HostError(f"{folder} lies in the course's own folder.", f"Name another one in {DESK}, such as {HOME / 'meshlab'}.")
        return folder
    folder = HOME / "meshlab"
    return folder.with_name("meshlab-desk") if (folder / "lab_helpers").exists() or folder.resolve().is_relative_to(ROOT) else folder


def give_to_user(*paths: Path) -> None:
    """Hand `paths` to the invoking user (no effect unless running under sudo)."""
    for path in paths:
        os.lchown(path, USER.pw_uid, USER.pw_gid)


def make_folder(path: Path) -> None:
    """Make the folder `path`, and those above it that are missing, the invoking user's.

    Raises
    ------
    HostError
        That user may not: with a home of somebody else's, say, or none.
    """
    try:
        missing = [folder for folder in (path, *path.parents) if not folder.exists()]
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HostError(f"{path} cannot be made by {USER.pw_name}: {error.strerror}.", "Set HOME to a folder of yours.") from error
    give_to_user(*missing)


def as_root(*arguments: str) -> str:
    """The line that runs ``meshlab`` as root: by its path, since sudo looks for programs elsewhere than the shell does."""
    called = Path(sys.argv[0])
    program = called if called.name == "meshlab" else Path(sys.executable).with_name("meshlab")
    return shlex.join(["sudo", str(program.absolute()), *arguments])
