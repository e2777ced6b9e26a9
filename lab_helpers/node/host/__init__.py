"""What this machine must have before the lab can come up: looked at beforehand, told as a table."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import psutil

from lab_helpers.core import paths
from lab_helpers.core.errors import ClusterError, HostError
from lab_helpers.node import machine
from lab_helpers.node.build import toolchain
from lab_helpers.node.build.binaries import GATEWAY_API, ISTIO, ISTIO_SOURCES, KUBERNETES
from lab_helpers.node.build.debian import NODE_ROOT
from lab_helpers.node.build.images import FIRST_STORE, LATER_LAYOUT, STORE
from lab_helpers.node.host import kernel, network
from lab_helpers.node.host.check import Check, existing
from lab_helpers.node.machine import Machine, state

MEMORY_GIB = {"build": 4, "run": 2.5}  # the lab itself; a compiler's peak is 1.5 GiB more
INOTIFY_INSTANCES = 128  # Debian's own; the lab with one learner takes a third of it
SYSCTL = "fs.inotify.max_user_instances"
INOTIFY = Path("/proc/sys") / SYSCTL.replace(".", "/")
# What the lab is made of; all other parts go into these. First what a page needs, in the order in which it takes long.
FIRST = (KUBERNETES, ISTIO, ISTIO_SOURCES, GATEWAY_API, NODE_ROOT, FIRST_STORE)
LATER = (LATER_LAYOUT, STORE)
WANTED = (*FIRST, *LATER)
DISK_GIB = {"build": 25, "run": 3}  # caches of a build from nothing: some 22 GiB; a lab from warm caches: 2 GiB


def _root() -> Check:
    return Check(
        "user",
        paths.USER.pw_name if os.geteuid() else "root",
        "root",
        os.geteuid() == 0,
        f"Run it with sudo: {paths.as_root('up')}",
    )


def _own_root() -> Check:
    here, machines = os.stat("/"), Path("/proc/1/root")
    try:
        chroot = (here.st_dev, here.st_ino) != (machines.stat().st_dev, machines.stat().st_ino)
    except OSError:
        chroot = False  # not root: said above
    # Whoever enters a mount namespace that was made in a chroot lands outside of it: containers would see the wrong files.
    do = "Run it outside of the chroot, or in a container or namespace with a root of its own (pivot_root)."
    return Check("root directory", "a chroot" if chroot else "the machine's own", "the machine's own", not chroot, do)


def _platform() -> Check:
    found = f"{platform.system()} {platform.machine()}"
    do = "Use a cluster that you have: meshlab up --context NAME. The book's page on clusters says how."
    return Check("platform", found, "Linux x86_64", found == "Linux x86_64", do)


def _debian() -> Check:
    found = platform.freedesktop_os_release().get("PRETTY_NAME", "unknown") if Path("/etc/os-release").exists() else "unknown"
    do = "The packages that building needs come from apt-get: use Debian 12 or a relative of it."
    return Check("package manager", found, "apt-get and dpkg", bool(shutil.which("apt-get") and shutil.which("dpkg-query")), do)


def _memory(node: Machine | None, built: bool) -> Check:
    free, needed = psutil.virtual_memory().available / 2**30, MEMORY_GIB["run" if built else "build"]
    # What a lab that runs holds already it need not be given once more: it is to be repaired whatever else was opened beside it.
    held = (machine.memory_mib(node) or 0) / 2**10 if node else 0
    found = f"{free:.1f} GiB free" + (f", and {held:.1f} GiB the lab's own" if held else "")
    do = "Close what uses memory, or use a cluster that you have: meshlab up --context NAME."
    return Check("memory", found, f"{needed} GiB", free + held >= needed, do)


def _disk(path: Path, gib: float, what: str) -> Check:
    free, held = shutil.disk_usage(existing(path)).free / 2**30, 0.0
    if free < gib and path.exists():  # what is there already is part of it, and takes a while to be counted
        du = ["du", "--summarize", "--dereference-args", "--block-size=1", path]
        counted = subprocess.run(du, capture_output=True, encoding="utf-8").stdout.split()
        held = int(counted[0]) / 2**30 if counted else 0
    found = f"{free:.1f} GiB free" + (f", and {held:.1f} GiB the lab's own" if held else "")
    return Check(f"disk for {what}", found, f"{gib} GiB", free + held >= gib, f"Free some space on the disk of {path}.")


def _cache() -> Check:
    """Whether root may keep its own files, such as a root file system's, where the caches are."""
    folder = existing(paths.CACHE)
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix=".meshlab-") as probe:
            os.chown(probe, 0, 0)
        refusal = ""
    except OSError as error:
        refusal = error.strerror if os.geteuid() == 0 else ""  # not root: said above
    local = f"Put it on a disk of this machine: make {paths.CACHE} a link to a folder there that is yours."
    return Check(
        "cache folder", refusal or "works", "root can write it", not refusal, f"{folder} does not let root keep files of its own. {local}"
    )


def _inotify() -> Check:
    found = int(INOTIFY.read_text(encoding="utf-8")) if INOTIFY.exists() else 0
    do = f"Raise the kernel's limit: sysctl -w {SYSCTL}={INOTIFY_INSTANCES} (each proxy takes three of them)."
    return Check("inotify instances", str(found), str(INOTIFY_INSTANCES), found >= INOTIFY_INSTANCES, do)


def _packages(built: bool) -> Check:
    missing = toolchain.missing_packages(toolchain.packages(built)) if shutil.which("dpkg-query") else []
    nowhere = [package for package in missing if not toolchain.available(package)] if shutil.which("apt-cache") else []
    found = f"no source of apt-get has {', '.join(nowhere)}" if nowhere else f"{len(missing)} to install" if missing else "all installed"
    do = "Run apt-get update. If that does not help, add Debian 12's sources, or those of a relative of it that has these packages."
    return Check("Debian packages", found, "installed by `meshlab up`", not nowhere, do)


def checks(node: Machine | None, built: bool) -> list[Check]:
    """Look at everything that could stop `up`.

    Parameters
    ----------
    node : Machine or None
        The node that is to come up; none when nothing but building is asked for.
    built : bool
        Whether the caches already hold every part, so that less disk is needed.
    """
    looks: list[Callable[[], Check]] = [_root, _own_root, _platform, _debian, lambda: _memory(node, built)]
    looks += [
        lambda: _disk(paths.CACHE, DISK_GIB["run" if built else "build"], "caches"),
        lambda: _disk(paths.STATE, DISK_GIB["run"], "the lab"),
    ]
    looks += [lambda feature=feature: kernel.has(feature) for feature in kernel.NEEDED]
    looks += [kernel.overlay, kernel.controllers, kernel.kmsg, _inotify, _cache, lambda: _packages(built)]
    looks += [lambda: network.addresses(node), lambda: network.link(node)] if node else []
    return [look() for look in looks]


def require_root(*command: str) -> None:
    """Refuse to run ``meshlab`` with the arguments `command` as anybody but root.

    Raises
    ------
    HostError
        With a line that works.
    """
    if os.geteuid() != 0:
        raise HostError(f"Only root can run `meshlab {' '.join(command)}`.", f"Run it with sudo: {paths.as_root(*command)}")


def require_kubeconfig() -> None:
    """Refuse to ask the embedded lab anything without its kubeconfig.

    Raises
    ------
    ClusterError
        The lab is not up, or is so for somebody else.
    """
    if os.access(paths.KUBECONFIG, os.R_OK):
        return
    if machine.init_pid(machine.MACHINE) is None:
        raise ClusterError("The embedded lab is not up, so there is no kubeconfig.", "Start it with `meshlab up`.")
    if (theirs := state.read(paths.STATE)) and theirs.uid != paths.USER.pw_uid:
        raise ClusterError(f"The embedded lab is up, and it is {theirs.name}'s.", f"Ask {theirs.name} to take it down: there is one only.")
    raise ClusterError(
        "The embedded lab is up, and its kubeconfig is with whoever brought it up.", f"This hands it to you as well: {paths.as_root('up')}"
    )


def require(node: Machine | None, built: bool) -> None:
    """Refuse a machine that cannot hold the lab.

    Raises
    ------
    HostError
        With a sentence for everything that would stop `up`.
    """
    bad = [check for check in checks(node, built) if not check.well]
    if bad:
        what = "; ".join(f"{check.check}: {check.found} (needed: {check.needed})" for check in bad)
        raise HostError(f"This machine cannot hold the lab as it is. {what}.", "\n  ".join(check.do for check in bad))
