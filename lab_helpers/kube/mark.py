"""Whose cluster is it? The course changes and deletes only where somebody has said that it may: on a cluster with its mark.

The mark is a ConfigMap in ``kube-public``, which outlives Istio and whatever namespace a learner takes. ``meshlab up`` sets it on the
embedded lab, ``meshlab up --context NAME`` on another cluster, after asking.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from kubernetes.client.rest import ApiException

from lab_helpers.core.errors import ClusterError
from lab_helpers.kube.kinds import ACCESS_REVIEW, CONFIG_MAP

NAMESPACE, NAME = "kube-public", "meshlab"
OVERLAY = "overlay-"  # so begin the keys of its overlays
INSTALLATION, AMBIENT = "istio", "istio-ambient"  # the keys of what Istio's installation was noted as: the demo profile; with ambient mode
GATEWAY = "gateway"  # the key of the shared gateway's address, for those who may not look for it


def marked(client) -> bool:
    """Whether the cluster is marked as one for the course."""
    return client.get(CONFIG_MAP, NAME, NAMESPACE) is not None


def set_mark(client, overlays: Sequence[str] = ()) -> None:
    """Mark the cluster as one on which the course may change and delete.

    Parameters
    ----------
    client : Client
    overlays : sequence of str
        Texts of the IstioOperator files that this cluster needs whenever Istio is installed; they take the place of earlier ones.
    """
    text = "The course of meshlab may change and delete objects in this cluster. Delete this ConfigMap to forbid it."
    data = {"about": text, "since": datetime.now(UTC).isoformat(timespec="seconds")}
    data |= {f"{OVERLAY}{number:02}.yaml": overlay for number, overlay in enumerate(overlays, 1)}
    document = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": NAME, "namespace": NAMESPACE}, "data": data}
    with client.permitted():
        client.apply(document)


def overlays(client) -> list[str]:
    """Texts of the IstioOperator files that were given when the cluster was marked, in their order; none on one without the mark."""
    found = client.get(CONFIG_MAP, NAME, NAMESPACE) or {}
    return [text for key, text in sorted((found.get("data") or {}).items()) if key.startswith(OVERLAY)]


def note_installation(client, digest: str, which: str = INSTALLATION) -> None:
    """Write down how the course's Istio looks when nobody has changed it; see `istio.installation.digest`."""
    client.patch(CONFIG_MAP, NAME, {"data": {which: digest}}, NAMESPACE)


def noted_installation(client, which: str = INSTALLATION) -> str:
    """What `note_installation` wrote down last; empty where the course has not installed Istio since the cluster was marked."""
    found = client.get(CONFIG_MAP, NAME, NAMESPACE) or {}
    return (found.get("data") or {}).get(which, "")


def note_gateway(client, url: str) -> None:
    """Write down where the shared gateway is reached, for learners whose rights end at their namespace."""
    client.patch(CONFIG_MAP, NAME, {"data": {GATEWAY: url}}, NAMESPACE)


def noted_gateway(client) -> str:
    """What `note_gateway` wrote down last; empty where it has not."""
    found = client.get(CONFIG_MAP, NAME, NAMESPACE) or {}
    return (found.get("data") or {}).get(GATEWAY, "")


def may(client, verb: str, resource: str, namespace: str = "") -> bool:
    """Whether the cluster lets this account do something; without a namespace, in all of them. A cluster that does not say is asked for it.

    Parameters
    ----------
    verb, resource : str
        As in a Role: ``get``, and ``pods`` or ``pods/exec``.
    namespace : str
    """
    name, _, part = resource.partition("/")
    asked = {"verb": verb, "resource": name, **({"subresource": part} if part else {}), **({"namespace": namespace} if namespace else {})}
    review = {**ACCESS_REVIEW._asdict(), "metadata": {}, "spec": {"resourceAttributes": asked}}
    try:
        with client.permitted():  # a review is a question, although it is created
            return client.create(review)["status"]["allowed"]
    except ApiException as error:
        if error.status not in (403, 404, 405):
            raise
        return True


def require(client) -> None:
    """Refuse a cluster without the mark.

    Raises
    ------
    ClusterError
        It has none.
    """
    if not marked(client):
        raise ClusterError(
            f"{client.context.where} is not marked as one for the course, so nothing is changed or deleted there.",
            "`meshlab up` marks the embedded lab, `meshlab up --context NAME` another cluster, after asking. Until then you may look.",
        )
