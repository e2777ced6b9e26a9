"""Who can prove who it is: the certificate that each proxy shows to the other side of a connection."""

from __future__ import annotations

from datetime import datetime

import pandas as pd
from lightkube.resources.core_v1 import Pod

from lab_helpers.kube import channels
from lab_helpers.istio import converge, envoy

COLUMNS = ["pod", "service account", "identity", "hours"]


def identities(lab) -> pd.DataFrame:
    """Read, from each pod's proxy, the identity in the certificate that istiod has signed for it.

    Returns
    -------
    pandas.DataFrame
        One row a ready pod of the namespace, by name:

        - pod: ``app-version``
        - service account: what Kubernetes says that it runs as
        - identity: SPIFFE URI in its certificate; empty where there is no proxy, and so no certificate
        - hours: for how long the certificate was issued, in hours; NaN without one
    """
    pods = [pod for pod in lab.client.list(Pod, namespace=lab.namespace) if converge.ready(pod)]
    table = pd.DataFrame([_row(lab, pod) for pod in pods], columns=COLUMNS)
    return table.sort_values("pod", ignore_index=True)


def _row(lab, pod: Pod) -> tuple[str, str, str, float]:
    labels = pod.metadata.labels or {}
    name = "-".join(labels[key] for key in ("app", "version") if key in labels) or pod.metadata.name
    account = pod.spec.serviceAccountName or "default"
    if not converge.has_proxy(pod):
        return name, account, "", float("nan")
    shown = channels.get_json(lab, lab.namespace, pod.metadata.name, envoy.ADMIN, "/certs")["certificates"]
    own = next(each for certificate in shown for each in certificate.get("cert_chain", []))
    begin, end = (datetime.fromisoformat(own[key]) for key in ("valid_from", "expiration_time"))
    return name, account, own["subject_alt_names"][0]["uri"], round((end - begin).total_seconds() / 3600, 1)
