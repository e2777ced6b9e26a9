"""What this machine must have before the lab can come up: looked at beforehand, told as a table."""

from __future__ import annotations

import ipaddress
import os
import platform
import shutil
import socket
import subprocess
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from lab_helpers.core import paths
from lab_helpers.core.errors import ClusterError, HostError
from lab_helpers.node import machine
from lab_helpers.node.build.binaries import ISTIO, ISTIO_SOURCES, KUBERNETES
from lab_helpers.node.build.images import FIRST_STORE, LATER_LAYOUT, STORE
from lab_helpers.node.build.toolchain import NODE_ROOT, missing_packages
from lab_helpers.node.build.versions import VERSIONS
from lab_helpers.node.machine import Machine

MEMORY_GIB = 4  # what is free must hold the lab (under 2.5 GiB) and a compiler's peak (1.5 GiB)
INOTIFY_INSTANCES = 128  # Debian's own; the lab with one learner takes a third of it
SYSCTL = "fs.inotify.max_user_instances"
INOTIFY = Path("/proc/sys") / SYSCTL.replace(".", "/")
# What the lab is made of; all other parts go into these. First what a page needs, in the order in which it takes long.
FIRST = (KUBERNETES, ISTIO, ISTIO_SOURCES, NODE_ROOT, FIRST_STORE)
LATER = (LATER_LAYOUT, STORE)
WANTED = (*FIRST, *LATER)
DISK_GIB = {"build": 25, "run": 3}  # caches of a build from nothing: some 22 GiB; a lab from warm caches: 2 GiB


@dataclass(frozen=True)
class Check:
    """One thing looked at: what was found, what is needed, whether that will do, and what to do if not."""

    check: str
    found: str
    needed: str
    well: bool
    do: str = ""

    as_dict = asdict


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


def _memory() -> Check:
    free = psutil.virtual_memory().available / 2**30
    do = "Close what uses memory, or use a cluster that you have: meshlab up --context NAME."
    return Check("memory", f"{free:.1f} GiB free", f"{MEMORY_GIB} GiB free", free >= MEMORY_GIB, do)


def _existing(path: Path) -> Path:
    return next(parent for parent in (path, *path.parents) if parent.exists())


def _disk(path: Path, gib: float, what: str) -> Check:
    free = shutil.disk_usage(_existing(path)).free / 2**30
    return Check(
        f"disk for {what}",
        f"{free:.1f} GiB free",
        f"{gib} GiB free",
        free >= gib,
        f"Free some space on the disk of {path}.",
    )


def _tries(command: str) -> str:
    """Empty when the shell `command` succeeds in namespaces of its own, else the last line of what it said."""
    try:
        done = subprocess.run([*machine.UNSHARE, "sh", "-ec", command], capture_output=True, encoding="utf-8", timeout=20)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return "" if done.returncode == 0 else (done.stderr.strip().splitlines() or ["no reason given"])[-1]


def _only_root() -> str:
    return f"Only root can try it: {paths.as_root('doctor')}"


KERNEL = {
    "namespaces": ("true", "CONFIG_NAMESPACES, CONFIG_NET_NS, CONFIG_PID_NS, and the right to use them"),
    "veth links": ("ip link add test0 type veth peer name test1", "CONFIG_VETH"),
    "iptables": (
        "iptables -t nat -A OUTPUT -p tcp -j REDIRECT --to-ports 1; "
        "iptables -t mangle -A POSTROUTING -m conntrack --ctstate NEW -j DROP; iptables -t nat -A POSTROUTING -j MASQUERADE; "
        "[ ! -e /proc/sys/net/ipv6 ] || ip6tables -t mangle -A POSTROUTING -j DROP",
        "CONFIG_NF_TABLES or CONFIG_IP_NF_IPTABLES, with NAT, REDIRECT, MASQUERADE and conntrack, and the same for IPv6 if there is any",
    ),
}


def _kernel(feature: str) -> Check:
    command, needed = KERNEL[feature]
    refusal = _tries(command) if os.geteuid() == 0 else "not root: not tried"
    if feature != "namespaces" and not shutil.which("ip" if "ip link" in command else "iptables"):
        refusal = ""  # `meshlab up` installs the tool
    do = f"This kernel, or the sandbox around it, lacks {needed}." if os.geteuid() == 0 else _only_root()
    return Check(feature, refusal or "works", "works", not refusal, do)


def _overlay() -> Check:
    folder = _existing(paths.STATE)
    command = f"d=$(mktemp -d -p {folder}); trap 'rm -rf $d' EXIT; mkdir $d/l $d/u $d/w $d/m; mount -t overlay o -o lowerdir=$d/l,upperdir=$d/u,workdir=$d/w $d/m; umount $d/m"  # noqa: E501
    refusal = _tries(command) if os.geteuid() == 0 else "not root: not tried"
    do = f"{folder} must be on a file system that carries overlay mounts (ext4, xfs, btrfs), and the kernel have CONFIG_OVERLAY_FS."
    do = do if os.geteuid() == 0 else _only_root()
    return Check("overlay file system", refusal or "works", "works", not refusal, do)


def _cgroups() -> Check:
    needed = {"cpu", "cpuset", "memory", "pids"}
    unified = Path("/sys/fs/cgroup/cgroup.controllers")
    if unified.exists():
        found = set(unified.read_text(encoding="utf-8").split())
    else:
        listed = Path("/proc/cgroups")
        lines = listed.read_text(encoding="utf-8").splitlines()[1:] if listed.exists() else []
        enabled = {name for name, _, _, on in map(str.split, lines) if on == "1"}
        found = {name for name in enabled if Path(f"/sys/fs/cgroup/{name}").exists()}
    missing = needed - found
    do = f"Mount the cgroup controllers {', '.join(sorted(missing))}, or boot with them enabled."
    return Check("cgroup controllers", ", ".join(sorted(needed & found)) or "none", ", ".join(sorted(needed)), not missing, do)


def _inotify() -> Check:
    found = int(INOTIFY.read_text(encoding="utf-8")) if INOTIFY.exists() else 0
    do = f"Raise the kernel's limit: sysctl -w {SYSCTL}={INOTIFY_INSTANCES} (each proxy takes three of them)."
    return Check("inotify instances", str(found), str(INOTIFY_INSTANCES), found >= INOTIFY_INSTANCES, do)


def _address(node: Machine) -> Check:
    wanted = {ipaddress.ip_address(node.address), ipaddress.ip_address(node.host_address)}
    others = {
        name: address.address
        for name, addresses in psutil.net_if_addrs().items()
        for address in addresses
        if name != node.link
        and address.family == socket.AF_INET
        and any(ip in ipaddress.ip_network(f"{address.address}/{address.netmask}", strict=False) for ip in wanted)
    }
    found = ", ".join(f"{name} has {address}" for name, address in others.items()) or "free"
    do = f"The lab's link uses {node.address} and {node.host_address}: take that network down, or use another cluster."
    return Check("addresses", found, f"{node.address} free", not others, do)


def _link(node: Machine) -> Check:
    foreign = Path(f"/sys/class/net/{node.link}").exists() and machine.init_pid(node) is None
    do = f"Remove the interface with `ip link delete {node.link}`, or run `meshlab down`."
    return Check("interface name", "in use" if foreign else "free", f"{node.link} free", not foreign, do)


def _packages() -> Check:
    missing = missing_packages(VERSIONS["host"]["packages"]) if shutil.which("dpkg-query") else []
    found = f"{len(missing)} to install" if missing else "all installed"
    return Check("Debian packages", found, "installed by `meshlab up`", True)


def checks(node: Machine | None, built: bool) -> list[Check]:
    """Look at everything that could stop `up`.

    Parameters
    ----------
    node : Machine or None
        The node that is to come up; none when nothing but building is asked for.
    built : bool
        Whether the caches already hold every part, so that less disk is needed.
    """
    looks: list[Callable[[], Check]] = [_root, _own_root, _platform, _debian, _memory]
    looks += [
        lambda: _disk(paths.CACHE, DISK_GIB["run" if built else "build"], "caches"),
        lambda: _disk(paths.STATE, DISK_GIB["run"], "the lab"),
    ]
    looks += [lambda feature=feature: _kernel(feature) for feature in KERNEL]
    looks += [_overlay, _cgroups, _inotify, _packages]
    looks += [lambda: _address(node), lambda: _link(node)] if node else []
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
