"""What the kernel, or the sandbox around it, must let root do."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from lab_helpers.core import paths
from lab_helpers.node import machine
from lab_helpers.node.host.check import Check, existing


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
    if feature != "namespaces" and not shutil.which("ip" if "ip link" in command else "iptables"):
        refusal = ""  # `meshlab up` installs the tool
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
    """Whether the cgroup controllers that a kubelet asks for are there."""
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
