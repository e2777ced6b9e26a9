"""What the lab could leave behind on a machine, listed."""

from __future__ import annotations

import os
from pathlib import Path

import psutil

from lab_helpers.core import paths
from lab_helpers.node import machine
from lab_helpers.node.machine import MACHINE
from tests.live import sh


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
        "addresses and routes": set(sh("ip", "route", "show", "table", "all").stdout.splitlines()),
        "cgroups": {str(path) for path in machine.CGROUP_ROOT.rglob("*meshlab*")},
        "iptables": {
            line.split(" [")[0]
            for tool in ("iptables-save", "iptables-legacy-save", "ip6tables-save")
            for line in sh(tool).stdout.splitlines()
            if not line.startswith("#")
        },
        "sockets": {" ".join(line.split()[:1] + line.split()[4:6]) for line in listening.splitlines()},
        "files": {str(path) for path in (MACHINE.state, paths.KUBECONFIG) if path.exists()},
    }


def difference(before: dict[str, set[str]], after: dict[str, set[str]]) -> dict[str, set[str]]:
    """What is in `after` and was not in `before`, by kind."""
    return {kind: found - before[kind] for kind, found in after.items() if found - before[kind]}
