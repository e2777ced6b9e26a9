"""Nothing that is done in the lab leaves the machine: not from a pod, not from the node, not by name."""

from __future__ import annotations

import ipaddress
import socket
import subprocess
import threading
from contextlib import contextmanager
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path

import psutil
import pytest

from lab_helpers.lab import connect, outside
from lab_helpers.node.machine import MACHINE
from tests.live import KUBECTL, kubectl, on_node, sh

pytestmark = pytest.mark.lab

OUTSIDE = "203.0.113.7"  # RFC 5737: nobody has this address
DOCUMENTATION = ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")  # what chapter 22 gives its sites is of these
LAB = " or ".join([*(f"net {each}" for each in (MACHINE.pods, MACHINE.services, *DOCUMENTATION)), f"host {MACHINE.address}"])
FETCH = "curl --silent --show-error --max-time 3 --output /dev/null --write-out '%{http_code}' "


@pytest.fixture(scope="module")
def pod():
    """A pod without a sidecar: nothing stands between it and the network."""
    kubectl("create", "namespace", "way-out")
    run = (
        "run",
        "out",
        "--namespace",
        "way-out",
        "--image=docker.io/curlimages/curl:8.16.0",
        "--restart=Never",
        "--image-pull-policy=Never",
    )
    kubectl(*run, "--command", "--", "sleep", "infinity")
    kubectl("wait", "--namespace", "way-out", "--for=condition=Ready", "pod/out", "--timeout=60s")
    yield in_pod
    kubectl("delete", "pod", "out", "--namespace", "way-out", "--now")  # `sleep` does not end by itself, and has 30 s for it
    kubectl("delete", "namespace", "way-out", "--timeout=60s")


def in_pod(script: str) -> subprocess.CompletedProcess:
    return sh(*KUBECTL, "exec", "--namespace", "way-out", "out", "--", "sh", "-c", script, check=False)


@contextmanager
def counted(interface: str, which: str = LAB):
    """Count the packets of the lab on `interface`: yields a list that holds the number at the end."""
    command = ["tcpdump", "-i", interface, "-n", "--immediate-mode", which]
    capture = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert "listening on" in capture.stderr.readline() + capture.stderr.readline()  # counting has begun
    count: list[int] = []
    yield count
    capture.terminate()
    _, summary = capture.communicate(timeout=20)
    count.append(int(next(line.split()[0] for line in summary.splitlines() if "received by filter" in line)))


def uplinks() -> list[str]:
    return [name for name, link in psutil.net_if_stats().items() if link.isup and name not in ("lo", MACHINE.link)]


class Everywhere(HTTPServer):
    """On every address of the host, IPv4 and IPv6."""

    address_family = socket.AF_INET6

    def server_bind(self):
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()


@contextmanager
def server_of_the_host():
    """A web server on every address of the host."""
    server = Everywhere(("::", 0), SimpleHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


def test_no_address_outside_answers(pod):
    addresses = [OUTSIDE, *(a.address for name in uplinks() for a in psutil.net_if_addrs()[name] if a.family.name == "AF_INET")]
    for address in addresses:
        for who, done in (
            ("pod", pod(FETCH + f"http://{address}/")),
            ("node", on_node("sh", "-c", FETCH + f"http://{address}/", check=False)),
        ):
            assert done.returncode != 0, f"{address} answered the {who}: {done.stdout}"


def test_the_host_itself_does_not_answer(pod):
    with server_of_the_host() as port:
        url = f"http://{MACHINE.host_address}:{port}/"
        assert sh("sh", "-c", FETCH + url).stdout == "200"  # it is there, for the host
        for who, done in (("pod", pod(FETCH + url)), ("node", on_node("sh", "-c", FETCH + url, check=False))):
            assert done.returncode != 0, f"the host answered the {who}"


def derived() -> str:
    """The address that the host's end of the link would have under IPv6 by itself (RFC 4291, appendix A)."""
    mac = bytes.fromhex(Path("/sys/class/net", MACHINE.link, "address").read_text().strip().replace(":", ""))
    return str(ipaddress.IPv6Address(b"\xfe\x80" + bytes(6) + bytes([mac[0] ^ 2]) + mac[1:3] + b"\xff\xfe" + mac[3:]))


def test_the_link_speaks_no_ipv6(pod):
    """Neither to the address that the host's end has by itself, nor to everybody on the link, nor to another address of the host."""
    assert not [each for each in psutil.net_if_addrs()[MACHINE.link] if each.family == socket.AF_INET6]
    assert on_node("ip", "-6", "address", "show", "dev", "eth0").stdout == ""
    own = [each.address.partition("%")[0] for name in uplinks() for each in psutil.net_if_addrs()[name] if each.family == socket.AF_INET6]
    with server_of_the_host() as port, counted(MACHINE.link, "ip6") as on_link, counted(MACHINE.link) as of_lab:
        assert sh("sh", "-c", FETCH + f"--globoff 'http://[::1]:{port}/'").stdout == "200"  # it is there, for the host
        for address in (f"{derived()}%25eth0", "ff02::1%25eth0", *own):
            url = FETCH + f"--globoff 'http://[{address}]:{port}/'"
            for who, done in (("pod", pod(url)), ("node", on_node("sh", "-c", url, check=False))):
                assert done.returncode != 0, f"{address} answered the {who}"
        on_node("bash", "-c", "echo found >/dev/udp/ff02::1%eth0/5353", check=False)
        sh("curl", "--silent", "--output", "/dev/null", f"http://{MACHINE.address}:30080/productpage")
    assert of_lab[0] > 0, "the counter counts nothing"
    assert on_link[0] == 0, f"{on_link[0]} packets of IPv6 were seen on {MACHINE.link}"


def test_the_host_does_not_listen_to_ipv6_whatever_root_in_the_node_does(pod):
    """The node's own end and rule are for whoever makes no effort; the host's end is the one that counts."""
    undo = (
        "ip6tables --table mangle --flush POSTROUTING; echo 0 >/proc/sys/net/ipv6/conf/eth0/disable_ipv6; "
        "ip -6 address add fe80::7/64 dev eth0 nodad"
    )
    redo = (
        "ip -6 address flush dev eth0; echo 1 >/proc/sys/net/ipv6/conf/eth0/disable_ipv6; "
        "ip6tables --table mangle --append POSTROUTING --out-interface eth0 --jump DROP"
    )
    before = on_node("ip6tables-save", "--table", "mangle").stdout
    assert "-A POSTROUTING -o eth0 -j DROP" in before
    mac = Path("/sys/class/net", MACHINE.link, "address").read_text().strip()
    try:
        on_node("sh", "-ec", undo)
        on_node("ip", "-6", "neighbour", "replace", derived(), "lladdr", mac, "dev", "eth0")  # nobody would tell
        with server_of_the_host() as port, counted(MACHINE.link, "ip6") as on_link:
            url = f"'http://[{derived()}%25eth0]:{port}/'"
            done = on_node("sh", "-c", FETCH + "--globoff " + url, check=False)
        assert done.returncode != 0, f"the host answered: {done.stdout}"
        assert on_link[0] > 0, "nothing was sent, so nothing was shown"
    finally:
        on_node("sh", "-ec", redo)


def test_no_name_outside_is_known(pod):
    assert pod("getent hosts kubernetes.default.svc.cluster.local").returncode == 0  # names of the cluster are
    for name in ("istio.io", "example.org", "localhost.localdomain.example"):
        assert pod(f"getent hosts {name}").returncode != 0
        assert "Could not resolve host" in pod(f"curl --silent --show-error --max-time 5 https://{name}").stderr


def test_no_packet_of_the_lab_reaches_the_uplink(pod):
    assert uplinks(), "this machine has no uplink, so there is nothing to count on"
    for uplink in uplinks():
        with counted(uplink) as on_uplink, counted(MACHINE.link) as on_link:
            pod(FETCH + f"http://{OUTSIDE}/")
            pod("getent hosts istio.io")
            on_node("sh", "-c", FETCH + f"http://{OUTSIDE}/", check=False)
            sh("curl", "--silent", "--output", "/dev/null", f"http://{MACHINE.address}:30080/productpage")
        assert on_link[0] > 0, "the counter counts nothing, not even the page that was fetched through the lab's link"
        assert on_uplink[0] == 0, f"{on_uplink[0]} packets of the lab were seen on {uplink}"


def test_visits_to_the_sites_of_chapter_22_stay_within_the_lab(pod):
    """They answer, by name and by address, and no packet to or from a documentation address is seen on the uplink."""
    outside.ensure(connect(quiet=True))
    assert uplinks(), "this machine has no uplink, so there is nothing to count on"
    for uplink in uplinks():
        with counted(uplink) as on_uplink, counted(MACHINE.link) as on_link:
            for site, address in outside.SITES.items():
                assert pod(FETCH + f"--insecure https://{site}.example/").stdout == "200"
                assert pod(FETCH + f"http://{address}/").stdout == "301"
            sh("curl", "--silent", "--output", "/dev/null", f"http://{MACHINE.address}:30080/productpage")
        assert on_link[0] > 0, "the counter counts nothing, not even the page that was fetched through the lab's link"
        assert on_uplink[0] == 0, f"{on_uplink[0]} packets of the lab were seen on {uplink}"


def test_the_host_does_not_forward_for_the_lab():
    routes = sh("ip", "route", "show", "table", "all").stdout
    assert MACHINE.pods not in routes and MACHINE.services not in routes
    assert Path("/proc/sys/net/ipv4/conf", MACHINE.link).exists()
    assert "default" not in on_node("ip", "route").stdout
