"""Whether the lab's addresses, and the name of its link, are free on this machine."""

from __future__ import annotations

import ipaddress
import socket
from pathlib import Path

import psutil

from lab_helpers.node import machine
from lab_helpers.node.host.check import Check
from lab_helpers.node.machine import Machine


def addresses(node: Machine) -> Check:
    """Whether nobody else has the addresses of the lab's link."""
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


def link(node: Machine) -> Check:
    """Whether the name of the lab's link is free."""
    foreign = Path(f"/sys/class/net/{node.link}").exists() and machine.init_pid(node) is None
    do = f"Remove the interface with `ip link delete {node.link}`, or run `meshlab down`."
    return Check("interface name", "in use" if foreign else "free", f"{node.link} free", not foreign, do)
