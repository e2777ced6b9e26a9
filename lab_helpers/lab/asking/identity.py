"""Who can prove who it is: the certificate that each proxy shows to the other side of a connection."""

from __future__ import annotations

from datetime import datetime

import pandas as pd

from lab_helpers.core.errors import TrafficError
from lab_helpers.istio import envoy, proxies
from lab_helpers.kube import channels, objects, pods
from lab_helpers.kube.kinds import POD

COLUMNS = ["pod", "service account", "identity", "hours"]


@objects.sentences("Reading certificates")
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
    table = pd.DataFrame([_row(lab, pod) for pod in lab.client.list(POD) if pods.ready(pod)], columns=COLUMNS)
    return table.sort_values("pod", ignore_index=True)


def _row(lab, pod: dict) -> tuple[str, str, str, float]:
    name, account = pods.workload(pod), pod["spec"].get("serviceAccountName", "default")
    if not proxies.has_proxy(pod):
        return name, account, "", float("nan")
    shown = channels.get_json(lab.client, lab.namespace, pod["metadata"]["name"], envoy.ADMIN, "/certs")["certificates"]
    own = next(each for certificate in shown for each in certificate.get("cert_chain", []))
    begin, end = (datetime.fromisoformat(own[key]) for key in ("valid_from", "expiration_time"))
    return name, account, own["subject_alt_names"][0]["uri"], round((end - begin).total_seconds() / 3600, 1)


@objects.sentences("Reading whom a proxy accepts")
def accepted(lab, caller: str, service: str) -> list[str]:
    """Read, from the proxy of `caller`, which identities it accepts in the certificate of whoever answers for `service`.

    Parameters
    ----------
    caller : str
        ``app`` label of a pod of the namespace that has a proxy.
    service : str
        A Service of the namespace.

    Returns
    -------
    list of str
        SPIFFE URIs; none where its proxy asks for no certificate.

    Raises
    ------
    TrafficError
        The caller has no ready pod with a proxy, or its proxy knows no such service.
    """
    pod = pods.ready_pod(lab.client, caller)
    if pod is None or not proxies.has_proxy(pod):
        raise TrafficError(f"There is no ready pod {caller!r} with a proxy in namespace {lab.namespace}.", "kubectl get pods lists them.")
    path = f"/config_dump?resource=dynamic_active_clusters&name_regex=outbound.[0-9]*..{service}[.]{lab.namespace}[.].*"
    shown = channels.get_json(lab.client, lab.namespace, pod["metadata"]["name"], envoy.ADMIN, path).get("configs", [])
    if not shown:
        raise TrafficError(f"The proxy of {caller} knows no service {service!r}.", "kubectl get services lists them.")
    return sorted({each["exact"] for each in _found(shown, "match_subject_alt_names")})


def _found(inside, key: str) -> list:
    """Everything in the lists called `key`, however deep."""
    if isinstance(inside, list):
        return [each for one in inside for each in _found(one, key)]
    if not isinstance(inside, dict):
        return []
    return [*inside.get(key, []), *(each for one in inside.values() for each in _found(one, key))]
