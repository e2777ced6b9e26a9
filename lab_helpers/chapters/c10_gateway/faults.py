"""Certificates with something wrong: made so that nobody sees which, and looked at to say what it is."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

from cryptography import x509

from lab_helpers.chapters.c10_gateway import neighbour
from lab_helpers.chapters.c10_gateway.certificates import Authority, keep
from lab_helpers.kube.kinds import SECRET

NAMES = ("one.example", "two.example", "three.example", "four.example")
KINDS = ("missing", "elsewhere", "expired", "for another name")
# Which of these it is, for the names in turn; the Gateway looks for own-one, own-two and so on.
MADE = (2, 0, 3, 1)


def spoil(lab, authority: Authority) -> None:
    """Make the Secrets of the four names, as far as they are made at all."""
    for name, kind in zip(NAMES, MADE, strict=True):
        wanted = KINDS[kind]
        if wanted == "missing":
            continue
        issued = authority.issue("www.bookinfo.example" if wanted == "for another name" else name, expired=wanted == "expired")
        keep(lab, credential(name), issued, namespace=neighbour.namespace(lab) if wanted == "elsewhere" else None)


def found(lab) -> dict[str, str]:
    """What is wrong with the certificate of each name, as the Secrets are now."""
    return {name: _fault(lab, name) for name in NAMES}


def credential(name: str) -> str:
    """The Secret that the Gateway names for a host.

    Examples
    --------
    >>> credential("one.example")
    'own-one'
    """
    return f"own-{name.partition('.')[0]}"


def _fault(lab, name: str) -> str:
    secret = lab.client.get(SECRET, credential(name))
    if secret is None:
        away = lab.client.get(SECRET, credential(name), neighbour.namespace(lab))
        return "elsewhere" if away else "missing"
    certificate = x509.load_pem_x509_certificate(base64.b64decode(secret["data"]["tls.crt"]))
    if certificate.not_valid_after_utc < datetime.now(UTC):
        return "expired"
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)
    return "nothing" if name in names else "for another name"
