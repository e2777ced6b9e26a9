"""The certificate that a sidecar shows: fetched by openssl, read field by field, and tried against those who may have signed it."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from html import escape

import pandas as pd
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtensionOID

from lab_helpers.chapters.c18_mtls.outside import TIMEOUT, node_port
from lab_helpers.core.errors import CommandError, MeshError
from lab_helpers.istio import envoy
from lab_helpers.kube import channels, pods
from lab_helpers.kube.kinds import CONFIG_MAP
from lab_helpers.show.render import PRE, block

AUTHORITIES = {"istio-ca-root-cert": "root-cert.pem", "kube-root-ca.crt": "ca.crt"}  # ConfigMaps that every namespace has
BEGIN, END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"


@dataclass(frozen=True)
class Handshake:
    """What came of one ``openssl s_client``.

    Attributes
    ----------
    command : str
        The line for a terminal.
    certificate : cryptography.x509.Certificate or None
        The server's own; None where it has shown none.
    printed : str
        What ``openssl x509 -noout -text`` makes of it, or why there is none.
    """

    command: str
    certificate: x509.Certificate | None
    printed: str

    def __str__(self) -> str:
        return f"$ {self.command}\n{self.printed}".rstrip()

    def _repr_pretty_(self, printer, cycle) -> None:
        printer.text(str(self))

    def _repr_html_(self) -> str:
        return block(
            f'<pre style="{PRE}; opacity: .75">$ {escape(self.command)}</pre><pre style="{PRE}">{escape(self.printed.rstrip())}</pre>'
        )


def s_client(lab, service: str = "productpage", alpn: str = "") -> Handshake:
    """Begin a TLS connection to the NodePort of a Service, by openssl, and end it.

    Parameters
    ----------
    alpn : str
        What the client says that it wants to speak; nothing, if empty, as in the article.

    Raises
    ------
    CommandError
        openssl is not installed.
    TrafficError
        No such Service, or it has no NodePort.
    """
    address = node_port(lab, service)
    words = ["s_client", "-connect", address, *(["-alpn", alpn] if alpn else [])]
    printed = _openssl(*words)
    command = f"openssl {' '.join(words)} < /dev/null 2> /dev/null | openssl x509 -noout -text"
    if BEGIN not in printed:
        return Handshake(command, None, "no peer certificate available")
    pem = f"{BEGIN}{printed.partition(BEGIN)[2].partition(END)[0]}{END}\n"
    return Handshake(command, x509.load_pem_x509_certificate(pem.encode()), _openssl("x509", "-noout", "-text", stdin=pem))


def fields(certificate: x509.Certificate) -> pd.Series:
    """What a certificate says, by the names of its fields."""
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    names = certificate.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME)
    usage = certificate.extensions.get_extension_for_oid(ExtensionOID.EXTENDED_KEY_USAGE).value
    basic = certificate.extensions.get_extension_for_oid(ExtensionOID.BASIC_CONSTRAINTS)
    key = certificate.public_key()
    kind = "RSA" if isinstance(key, rsa.RSAPublicKey) else "EC"
    said = {
        "issuer": certificate.issuer.rfc4514_string(),
        "subject": certificate.subject.rfc4514_string() or "(empty)",
        "alternative name": ", ".join(names.value.get_values_for_type(x509.UniformResourceIdentifier)),
        "alternative name is critical": "yes" if names.critical else "no",
        "good for": f"{(end - begin).total_seconds() / 3600:.2f} hours",
        "public key": f"{kind}, {key.key_size} bit",
        "signed with": certificate.signature_hash_algorithm.name,
        "may be used as": ", ".join(each._name for each in usage),
        "may sign others": "yes" if basic.value.ca else "no",
    }
    return pd.Series(said, name="says")


def identity(certificate: x509.Certificate) -> str:
    """Its SPIFFE ID."""
    names = certificate.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME).value
    return names.get_values_for_type(x509.UniformResourceIdentifier)[0]


def signers(lab, certificate: x509.Certificate) -> pd.Series:
    """By which of the authorities that each namespace is told of a certificate was signed: its signature is verified by each one's key."""
    return pd.Series({name: _signed(certificate, _authority(lab, name)) for name in AUTHORITIES}, name="has signed it")


def held(lab, app: str) -> str:
    """Serial number of the certificate that the proxy of `app` holds now.

    Raises
    ------
    TrafficError
        There is no ready pod of it.
    """
    pod = pods.require_ready(lab.client, app)
    shown = channels.get_json(lab.client, lab.namespace, pod["metadata"]["name"], envoy.ADMIN, "/certs")["certificates"]
    return next(own["serial_number"] for each in shown for own in each.get("cert_chain", []))


def _authority(lab, name: str) -> x509.Certificate:
    found = lab.client.get(CONFIG_MAP, name)
    if found is None:
        raise MeshError(f"Namespace {lab.namespace} has no ConfigMap {name}.", "istiod and Kubernetes make them: do both run?")
    return x509.load_pem_x509_certificate(found["data"][AUTHORITIES[name]].encode())


def _signed(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def _openssl(*words: str, stdin: str = "") -> str:
    path = shutil.which("openssl")
    if path is None:
        raise CommandError("openssl is not installed.", "Every system has a package of that name: apt-get install openssl.")
    try:
        done = subprocess.run([path, *words], input=stdin, capture_output=True, encoding="utf-8", errors="replace", timeout=2 * TIMEOUT)
    except subprocess.TimeoutExpired as error:
        raise CommandError(f"openssl {words[0]} did not end within {2 * TIMEOUT:g} s.", "Is there a firewall between?") from error
    return done.stdout
