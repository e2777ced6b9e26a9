"""The certificate of whoever has signed those of the sites, where a proxy finds it."""

from __future__ import annotations

import base64

from lab_helpers.core.manifests import title
from lab_helpers.kube import objects
from lab_helpers.kube.apply import Change, Outcome
from lab_helpers.lab import outside

NAME = "outside-ca"


@objects.sentences("Keeping a certificate")
def trust(lab) -> Outcome:
    """Put the certificate of the sites' authority into a Secret of the namespace, for proxies that are told its name."""
    held = base64.b64encode(outside.authority(lab).encode()).decode()
    document = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": NAME, "namespace": lab.namespace}, "data": {"ca.crt": held}}
    there = objects.read(lab.client, document)
    objects.write(lab.client, document)
    return Outcome(
        f"kubectl create secret generic {NAME} --from-file ca.crt", [Change(title(document), "configured" if there else "created")]
    )
