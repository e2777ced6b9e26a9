"""What the kernel, or the sandbox around it, must let root do."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from lab_helpers.core import paths
from lab_helpers.node import machine
from lab_helpers.node.host.check import Check, existing

KMSG = "/dev/kmsg"


def _tries(command: str) -> str:
    """Empty when the shell `command` succeeds in namespaces of its own, else the last line of what it said."""
    try:
        done = subprocess.run([*machine.UNSHARE, "sh", "-ec", command], capture_output=True, encoding="utf-8", timeout=20)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return "" if done.returncode == 0 else (done.stderr.strip().splitlines() or ["no reason given"])[-1]


def _only_root() -> str:
    return f"Only root can try it: {paths.as_root('doctor')}"


NEEDED = {
    "namespaces": ("true", "CONFIG_NAMESPACES, CONFIG_NET_NS, CONFIG_PID_NS, and the right to use them"),
    "veth links": ("ip link add test0 type veth peer name test1", "CONFIG_VETH"),
    "kernel settings": ("echo 1 >/proc/sys/net/ipv4/ip_forward", "a /proc/sys that can be written in a network namespace of its own"),
    "iptables": (
        "iptables -t nat -A OUTPUT -p tcp -j REDIRECT --to-ports 1; "
        "iptables -t mangle -A POSTROUTING -m conntrack --ctstate NEW -j DROP; iptables -t nat -A POSTROUTING -j MASQUERADE; "
        "[ ! -e /proc/sys/net/ipv6 ] || ip6tables -t mangle -A POSTROUTING -j DROP",
        "CONFIG_NF_TABLES or CONFIG_IP_NF_IPTABLES, with NAT, REDIRECT, MASQUERADE and conntrack, and the same for IPv6 if there is any",
    ),
}


def has(feature: str) -> Check:
    """Whether one of `NEEDED` can be done."""
    command, needed = NEEDED[feature]
    refusal = _tries(command) if os.geteuid() == 0 else "not root: not tried"
    tool = {"veth links": "ip", "iptables": "iptables"}.get(feature, "sh")
    if not shutil.which(tool):
        refusal = ""  # `meshlab up` installs it
    do = f"This kernel, or the sandbox around it, lacks {needed}." if os.geteuid() == 0 else _only_root()
    return Check(feature, refusal or "works", "works", not refusal, do)


def overlay() -> Check:
    """Whether the file system of the lab's state carries overlay mounts."""
    folder = existing(paths.STATE)
    command = f"d=$(mktemp -d -p {folder}); trap 'rm -rf $d' EXIT; mkdir $d/l $d/u $d/w $d/m; mount -t overlay o -o lowerdir=$d/l,upperdir=$d/u,workdir=$d/w $d/m; umount $d/m"  # noqa: E501
    refusal = _tries(command) if os.geteuid() == 0 else "not root: not tried"
    do = f"{folder} must be on a file system that carries overlay mounts (ext4, xfs, btrfs), and the kernel have CONFIG_OVERLAY_FS."
    do = do if os.geteuid() == 0 else _only_root()
    return Check("overlay file system", refusal or "works", "works", not refusal, do)


def controllers() -> Check:
    """Whether the cgroup controllers that a kubelet asks for are there, and cgroups can be made."""
    needed, root = set(machine.cgroups.NEEDED), machine.cgroups.ROOT
    if machine.cgroups.unified():
        found = set((root / "cgroup.controllers").read_text(encoding="utf-8").split())
    else:
        found = {name for name in needed if (root / name / "cgroup.procs").exists()}
    if missing := needed - found:
        do = f"Mount the cgroup controllers {', '.join(sorted(missing))}, or boot with them enabled."
        return Check("cgroup controllers", ", ".join(sorted(needed & found)) or "none", ", ".join(sorted(needed)), False, do)
    refusal = "" if os.geteuid() else _makes(root if machine.cgroups.unified() else root / "memory")
    do = "In a container: give it a cgroup of its own that it may write (docker run --privileged --cgroupns private)."
    return Check("cgroup controllers", refusal or ", ".join(sorted(needed)), ", ".join(sorted(needed)), not refusal, do)


def _makes(root: Path) -> str:
    """Empty when a cgroup can be made below `root`, else why not."""
    try:
        probe = tempfile.mkdtemp(prefix="meshlab-doctor-", dir=root)
        os.rmdir(probe)
    except OSError as error:
        return f"{root}: {error.strerror}"
    return ""


def kmsg() -> Check:
    """Whether the kernel's log can be read: a kubelet ends without it."""
    try:
        os.close(os.open(KMSG, os.O_RDONLY | os.O_NONBLOCK))
        refusal = ""
    except PermissionError as error:
        refusal = error.strerror if os.geteuid() == 0 else ""  # not root: said above
    except OSError as error:
        refusal = error.strerror
    return Check("kernel log", refusal or "works", f"{KMSG} can be read", not refusal, f"In a container: give it {KMSG} (--device {KMSG}).")
