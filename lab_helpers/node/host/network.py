"""Whether the lab's addresses, and the name of its link, are free on this machine."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

import psutil

from lab_helpers.node import machine
from lab_helpers.node.host.check import Check
from lab_helpers.node.machine import Machine

RESOLVER = Path("/etc/resolv.conf")


def addresses(node: Machine) -> Check:
    """Whether nobody else has the two addresses of the lab's link; a network around them may well be somebody's."""
    wanted = (node.address, node.host_address)
    found = "; ".join([*_mine(node, wanted), *_elsewhere(node, wanted)])
    do = f"Choose another address for the node, for all commands: {machine.ADDRESS}=10.99.0.2. Or use a cluster that you have."
    return Check("addresses", found or "free", f"{' and '.join(wanted)} free", not found, do)


def _mine(node: Machine, wanted: Sequence[str]) -> list[str]:
    """Which of `wanted` this machine has itself, on another link."""
    every = [(name, each.address) for name, found in psutil.net_if_addrs().items() for each in found if each.family == socket.AF_INET]
    return [f"{name} has {address}" for name, address in every if name != node.link and address in wanted]


def _elsewhere(node: Machine, wanted: Sequence[str]) -> list[str]:
    """Which of `wanted` belong to somebody that this machine speaks to, or would be sent there whatever the lab's routes say."""
    found = []
    for each in _ip("route", "show", "table", "all"):
        if each.get("gateway") in wanted:
            found.append(f"{each['gateway']} is the router behind {each['dev']}")
        elif each["dst"] in wanted and each.get("type", "unicast") == "unicast" and each.get("dev") != node.link:
            found.append(f"{each['dst']} has a route of its own, by {each.get('dev')}")
    for each in _ip("neighbour", "show"):
        if each["dst"] in wanted and each["dev"] != node.link and not {"FAILED", "INCOMPLETE"} & set(each["state"]):
            found.append(f"{each['dst']} is a neighbour on {each['dev']}")
    for address in wanted:
        # A VPN's table that is asked before the main one, which is the lab's.
        found += [f"a rule sends {address} by {each['dev']}" for each in _ip("route", "get", address) if "table" in each]
    resolver = RESOLVER.read_text(encoding="utf-8").split() if RESOLVER.exists() else []
    return found + [f"{address} is the name server" for address in wanted if address in resolver]


def _ip(*command: str) -> list[dict]:
    """What `ip` lists; nothing where it is yet to be installed, or has no answer."""
    try:
        listed = subprocess.run(["ip", "-4", "-json", *command], capture_output=True, encoding="utf-8").stdout
    except FileNotFoundError:
        return []
    return json.loads(listed or "[]")


def link(node: Machine) -> Check:
    """Whether the name of the lab's link is free."""
    foreign = Path(f"/sys/class/net/{node.link}").exists() and machine.init_pid(node) is None
    do = f"Remove the interface with `ip link delete {node.link}`, or run `meshlab down`."
    return Check("interface name", "in use" if foreign else "free", f"{node.link} free", not foreign, do)
