"""Somebody outside of the mesh at a NodePort: in plain text, and by TLS with no certificate, or with one that nobody trusts."""

from __future__ import annotations

import select
import socket
import ssl
import tempfile
from pathlib import Path

import pandas as pd

from lab_helpers.chapters.c18_mtls.forged import forge
from lab_helpers.core.errors import TrafficError
from lab_helpers.istio import gateway
from lab_helpers.kube.kinds import SERVICE

MESH = "istio"  # what sidecars say among themselves, in the TLS handshake, that they speak (ALPN)
TIMEOUT, JUDGED = 5.0, 2.0  # seconds for an answer; for a word on our certificate, which comes after the handshake
PATHS = {"productpage": "/health", "httpbin": "/status/200"}
KINDS = ("plain text", "TLS", "TLS of the mesh, no certificate", "TLS of the mesh, a certificate of our own")
IDENTITY = "spiffe://cluster.local/ns/{}/sa/bookinfo-reviews"  # what our own certificate says that we are


def node_port(lab, service: str = "productpage") -> str:
    """Where the NodePort of a Service is reached from outside the cluster, ``HOST:PORT``.

    Raises
    ------
    TrafficError
        There is no such Service, or it has none.
    """
    found = lab.client.get(SERVICE, service)
    if found is None:
        raise TrafficError(f"There is no Service {service!r} in namespace {lab.namespace}.", "kubectl get services lists them.")
    port = found["spec"]["ports"][0]
    if not port.get("nodePort"):
        do = """kubectl patch service SERVICE --type=json -p='[{"op": "replace", "path": "/spec/type", "value": "NodePort"}]'"""
        raise TrafficError(f"Service {service} has no NodePort: it is of type {found['spec']['type']}.", do.replace("SERVICE", service))
    return gateway.address(lab.client, {**found, "status": {}}, port)


def knock(lab, *kinds: str, service: str = "productpage") -> pd.DataFrame:
    """Ask a Service by its NodePort, from this machine, once for each kind.

    Parameters
    ----------
    *kinds : str
        Of `KINDS`; by default all. By the last, we say that we are ``bookinfo-reviews``, in a certificate that we have signed ourselves.

    Returns
    -------
    pandas.DataFrame
        ``kind``, and ``answer``: an HTTP status, ``reset``, or what was said in the handshake.

    Raises
    ------
    TrafficError
        No such kind, no NodePort, or nobody can be reached there at all.
    """
    if strange := [each for each in kinds if each not in KINDS]:
        raise TrafficError(f"{strange[0]!r} is no way to knock.", f"Choose among: {'; '.join(KINDS)}.")
    host, _, port = node_port(lab, service).rpartition(":")
    rows = [(kind, _ask(lab, host, int(port), kind, PATHS.get(service, "/"))) for kind in kinds or KINDS]
    return pd.DataFrame(rows, columns=["kind", "answer"])


def _ask(lab, host: str, port: int, kind: str, path: str) -> str:
    try:
        plain = socket.create_connection((host, port), TIMEOUT)
    except OSError as error:
        raise TrafficError(
            f"{host}:{port} cannot be reached from here ({error.strerror or error}).",
            "A NodePort is for machines that reach the cluster's nodes: is there a firewall between?",
        ) from error
    with plain:
        try:
            with plain if kind == KINDS[0] else _context(lab, kind).wrap_socket(plain, server_hostname=host) as channel:
                if kind == KINDS[0] or not select.select([channel], [], [], JUDGED)[0]:  # whoever is not wanted is told so by now
                    channel.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
                return _status(channel.recv(100))
        except ssl.SSLError as error:
            return _alert(error)
        except OSError:
            return "reset"


def _context(lab, kind: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # who they are is looked at elsewhere
    if kind != KINDS[1]:
        context.set_alpn_protocols([MESH])
    if kind == KINDS[3]:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "own.pem"
            file.touch(0o600)
            file.write_bytes(forge(IDENTITY.format(lab.namespace)))
            context.load_cert_chain(file)
    return context


def _status(answer: bytes) -> str:
    words = answer.partition(b"\r\n")[0].decode(errors="replace").split()
    return words[1] if len(words) > 1 else "closed without an answer"


def _alert(error: ssl.SSLError) -> str:
    reason = (error.reason or str(error)).lower().replace("_", " ")
    for beginning in ("tlsv13 alert ", "tlsv1 alert ", "sslv3 alert "):
        reason = reason.removeprefix(beginning)
    return f"TLS: {reason}"
