"""Certificates for a gateway, made here and kept in Secrets; and what a client needs to trust them, or to show one."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import trustme

from lab_helpers.kube import channels, objects, pods
from lab_helpers.kube.apply import Change, Outcome
from lab_helpers.lab.asking.curl import OUTSIDE

FOLDER = "/tmp"  # in the client's pod


class Authority:
    """A certificate authority: whoever trusts its certificate believes what it signs.

    Parameters
    ----------
    name : str
        Organization in its certificate.
    """

    def __init__(self, name: str):
        self.name, self._ca = name, trustme.CA(organization_name=name)

    @property
    def certificate(self) -> bytes:
        """Its own certificate, as PEM; its key stays here."""
        return self._ca.cert_pem.bytes()

    def issue(self, *names: str, expired: bool = False) -> tuple[bytes, bytes]:
        """Sign a certificate for host names; the certificate and its key, as PEM.

        Parameters
        ----------
        expired : bool
            Whether its time is over since yesterday.
        """
        now = datetime.now(UTC)
        begin, end = (
            (now - timedelta(days=90), now - timedelta(days=1)) if expired else (now - timedelta(hours=1), now + timedelta(days=90))
        )
        issued = self._ca.issue_cert(*names, common_name=names[0], not_before=begin, not_after=end)
        return b"".join(blob.bytes() for blob in issued.cert_chain_pems), issued.private_key_pem.bytes()

    def __repr__(self) -> str:
        return f"Authority({self.name!r})"


@objects.sentences("Keeping a certificate")
def keep(lab, name: str, issued: tuple[bytes, bytes], clients: Authority | None = None, namespace: str | None = None) -> Outcome:
    """Put a certificate and its key into the Secret `name`, where a gateway finds it by its ``credentialName``.

    Parameters
    ----------
    issued : (bytes, bytes)
        What `Authority.issue` gives.
    clients : Authority, optional
        Whose certificates the gateway is to ask clients for.
    namespace : str, optional
        Another one than the lab's.
    """
    held = {"tls.crt": issued[0], "tls.key": issued[1], **({"ca.crt": clients.certificate} if clients else {})}
    there = namespace or lab.namespace
    document = {
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
        "metadata": {"name": name, "namespace": there},
        "data": {key: base64.b64encode(value).decode() for key, value in held.items()},
    }  # fmt: skip
    old = objects.read(lab.client, document)
    objects.write(lab.client, document)
    where = f" --namespace {namespace}" if namespace else ""
    line = "generic" if clients else "tls"
    files = (
        "--type kubernetes.io/tls --from-file tls.crt --from-file tls.key --from-file ca.crt" if clients else "--cert tls.crt --key tls.key"
    )
    held_in = f"Secret {name}" + (f" in {namespace}" if namespace else "")
    return Outcome(f"kubectl create secret {line} {name} {files}{where}", [Change(held_in, "configured" if old else "created")])


def hand(lab, trusted: Authority, own: tuple[bytes, bytes] | None = None) -> None:
    """Give the client outside of the mesh the certificate of whom it is to trust, and one of its own to show, in files of its pod.

    They are called ``/tmp/own-ca.pem``, ``/tmp/own-client.pem`` and ``/tmp/own-client.key``.
    """
    pod = pods.require_ready(lab.client, OUTSIDE, "Run the checkpoint's cell again.")
    contents = [trusted.certificate, *(own or ())]
    for name, content in zip(("own-ca.pem", "own-client.pem", "own-client.key"), contents, strict=False):
        write = ["sh", "-c", 'umask 077; printf %s "$1" > "$2"', "sh", content.decode(), f"{FOLDER}/{name}"]
        channels.execute(lab.client, pod["metadata"]["name"], OUTSIDE, write)
