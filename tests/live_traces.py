"""What the lab could leave behind on a machine, listed."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

import psutil

from lab_helpers.core import paths
from lab_helpers.kube import credentials
from lab_helpers.node import machine
from lab_helpers.node.machine import MACHINE
from tests.live import sh

SETTINGS = Path("/proc/sys")
# What the lab, and the programs that it calls, name their own.
TEMPORARY = (Path("/tmp"), Path("/var/tmp"), Path("/run"), paths.HOME / ".kube")
TEMPORARY_NAMES = ("*meshlab*", "buildah*", "mmdebstrap*", "go-build*", "pip-*")
EXPIRES = re.compile(r" expires \d+sec")
# Written by the kernel itself as it goes.
RESTLESS = {"kernel/ns_last_pid", "kernel/hung_task_warnings", "kernel/perf_event_max_sample_rate", "kernel/tainted"}


def kernel_settings() -> dict[str, str]:
    """Every setting of the kernel that is the whole machine's, or the host's own network's on all links, by its path."""
    found = {}
    for folder in ("kernel", "vm", "net/ipv4/conf/all", "net/ipv6/conf/all"):
        for path in (SETTINGS / folder).rglob("*"):
            mode, name = path.stat().st_mode, str(path.relative_to(SETTINGS))
            if stat.S_ISREG(mode) and mode & 0o400 and mode & 0o200 and name not in RESTLESS:
                try:
                    found[name] = path.read_text().strip()
                except OSError:  # one that this machine has and cannot tell
                    continue
    return {**found, "net/ipv4/ip_forward": (SETTINGS / "net/ipv4/ip_forward").read_text().strip()}


def traces() -> dict[str, set[str]]:
    """Everything of the kinds that a lab makes, by kind: two lists that are equal mean that nothing came or went."""
    ours = {kind: os.readlink(f"/proc/self/ns/{kind}") for kind in ("net", "pid", "mnt", "uts", "ipc")}
    namespaces, processes = set(), set()
    for process in psutil.process_iter(["pid", "name", "cmdline"]):
        try:
            foreign = {kind: os.readlink(f"/proc/{process.pid}/ns/{kind}") for kind in ours}
        except OSError:
            continue
        differ = {f"{kind} {link}" for kind, link in foreign.items() if link != ours[kind]}
        # Threads of the kernel have namespaces of their own on some machines, and no command line.
        if process.info["cmdline"] and (differ or str(paths.STATE) in " ".join(process.info["cmdline"])):
            processes.add(f"{process.info['name']} {process.pid}")
            namespaces |= differ
    listening = sh("ss", "--listening", "--no-header", "--tcp", "--udp", "--unix", "--numeric").stdout
    return {
        "processes": processes,
        "namespaces": namespaces,
        "named network namespaces": set(sh("ip", "netns", "list").stdout.splitlines()),
        "mounts": {line.split(" - ")[0].split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()},
        "links": {line.split(":")[1].strip() for line in sh("ip", "--oneline", "link").stdout.splitlines()},
        "addresses": {f"{name} {each.family.name} {each.address}" for name, found in psutil.net_if_addrs().items() for each in found},
        "routes and rules": {
            f"{family} {EXPIRES.sub('', line).strip()}"
            for family in ("-4", "-6")
            for listed in (("route", "show", "table", "all"), ("rule", "show"))
            for line in sh("ip", family, *listed).stdout.splitlines()
        },
        "cgroups": {str(path) for path in machine.cgroups.ROOT.rglob("*meshlab*")},
        "iptables": {
            line.split(" [")[0]
            for tool in ("iptables-save", "iptables-legacy-save", "ip6tables-save")
            for line in sh(tool).stdout.splitlines()
            if not line.startswith("#")
        },
        "sockets": {" ".join(line.split()[:1] + line.split()[4:6]) for line in listening.splitlines()},
        "kernel settings": {f"{name}={value}" for name, value in kernel_settings().items()},
        "files": {str(path) for path in (*MACHINE.state.parent.glob(f"{MACHINE.state.name}*"), paths.KUBECONFIG) if path.exists()},
        "temporary files": {
            str(path) for folder in TEMPORARY for name in TEMPORARY_NAMES for path in folder.glob(name) if not _in_use(path)
        },
    }


def difference(before: dict[str, set[str]], after: dict[str, set[str]]) -> dict[str, set[str]]:
    """What is in `after` and was not in `before`, by kind."""
    return {kind: found - before[kind] for kind, found in after.items() if found - before[kind]}


def _in_use(path: Path) -> bool:
    """Whether it holds the keys of a process that still runs, which takes them away itself."""
    pid = path.name.removeprefix(credentials.PREFIX).partition("-")[0]
    return path.name.startswith(credentials.PREFIX) and Path("/proc", pid).exists()
