"""HTTP/1.1, HTTP/2, gRPC and TCP between two sidecars, by every kind of port name, all by mTLS.

Istio's own test application speaks on both sides. The namespace is STRICT, so whatever gets through is mTLS; a pod without a
sidecar, which is refused, proves that STRICT bites.
"""

from __future__ import annotations

import json

import pytest

from lab_helpers.node.build.versions import VERSIONS
from tests.live import KUBECTL, kubectl, sh

pytestmark = pytest.mark.lab
NAMESPACE = "protocols"
IMAGE = f"{VERSIONS['istio']['hub']}/app:{VERSIONS['istio']['version']}"

# port of the service: (its name, by which Istio knows the protocol; the port of the server, one for each, since of two names
# for one port the receiving proxy goes by either; and what the server speaks there)
PORTS = {
    80: ("http-web", 8080, "HTTP"),
    81: ("http2-web", 8081, "HTTP"),
    82: ("tcp-web", 8082, "HTTP"),
    83: ("web", 8083, "HTTP"),
    90: ("grpc-echo", 7070, "gRPC"),
    91: ("http2-echo", 7071, "gRPC"),
    92: ("tcp-echo", 7072, "gRPC"),
    93: ("echo", 7073, "gRPC"),
    70: ("tcp-raw", 9090, "TCP"),
    71: ("raw", 9091, "TCP"),
}
CLIENTS = {"HTTP/1.1": "http://server:{} ", "HTTP/2": "--http2 http://server:{}", "gRPC": "grpc://server:{}", "TCP": "tcp://server:{}"}
FLAGS = {"HTTP": "port", "gRPC": "grpc", "TCP": "tcp"}
SPOKEN = {"HTTP": ("HTTP/1.1", "HTTP/2"), "gRPC": ("gRPC",), "TCP": ("TCP",)}
PAIRS = [(client, port) for port, (_, _, speaks) in PORTS.items() for client in SPOKEN[speaks]]


def deployment(name: str, injected: bool) -> dict:
    labels = {"app": name}
    container = {
        "name": "app",
        "image": IMAGE,
        "imagePullPolicy": "Never",
        "args": [*(f"--{FLAGS[speaks]}={target}" for _, target, speaks in PORTS.values()), f"--version={name}"],
        "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1},
    }
    template = {
        "metadata": {"labels": {**labels, "sidecar.istio.io/inject": str(injected).lower()}},
        "spec": {"containers": [container]},
    }
    spec = {"selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec}


@pytest.fixture(scope="module", autouse=True)
def mesh():
    ports = [{"name": name, "port": port, "targetPort": target} for port, (name, target, _) in PORTS.items()]
    items = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        deployment("client", injected=True),
        deployment("server", injected=True),
        deployment("plain", injected=False),
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "server", "namespace": NAMESPACE},
            "spec": {"selector": {"app": "server"}, "ports": ports},
        },
        {
            "apiVersion": "security.istio.io/v1",
            "kind": "PeerAuthentication",
            "metadata": {"name": "default", "namespace": NAMESPACE},
            "spec": {"mtls": {"mode": "STRICT"}},
        },
    ]
    kubectl("apply", "--filename", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    for name in ("client", "server", "plain"):
        kubectl("rollout", "status", "--namespace", NAMESPACE, f"deployment/{name}", "--timeout=90s")
    yield
    kubectl("delete", "namespace", NAMESPACE, "--wait=false")


def call(client: str, port: int, sender: str = "client"):
    command = ("exec", "--namespace", NAMESPACE, f"deploy/{sender}", "--container", "app", "--", "client", "--count=3")
    return sh(*KUBECTL, *command, *CLIENTS[client].format(port).split(), check=False)


@pytest.mark.parametrize(("client", "port"), PAIRS, ids=[f"{client}-to-{PORTS[port][0]}" for client, port in PAIRS])
def test_it_passes_by_mtls(client, port):
    done = call(client, port)
    assert done.returncode == 0 and done.stdout.count("Hostname=server-") == 3, done.stdout + done.stderr
    assert call(client, port, sender="plain").returncode != 0, "a client without a sidecar got through: this is not mTLS"
    if not PORTS[port][0].startswith("tcp") and client != "TCP":  # also at a port whose name tells nothing
        assert "x-lab-caller" not in done.stdout.lower(), "what proxies tell one another reached the application"
        identity = f"URI=spiffe://cluster.local/ns/{NAMESPACE}/sa/default"
        assert done.stdout.count(identity) >= 3, "the server was not told who called"
