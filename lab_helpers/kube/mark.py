"""Whose cluster is it? The course changes and deletes only where somebody has said that it may: on a cluster with its mark.

The mark is a ConfigMap in ``kube-public``, which outlives Istio and whatever namespace a learner takes. ``meshlab up`` sets it on the
embedded lab, ``meshlab up --context NAME`` on another cluster, after asking.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from lab_helpers.core.errors import ClusterError
from lab_helpers.kube.kinds import CONFIG_MAP

NAMESPACE, NAME = "kube-public", "meshlab"
OVERLAY = "overlay-"  # so begin the keys of its overlays
INSTALLATION = "istio"  # the key of what Istio's installation was noted as


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


def note_installation(client, digest: str) -> None:
    """Write down how the course's Istio looks when nobody has changed it; see `istio.installation.digest`."""
    client.patch(CONFIG_MAP, NAME, {"data": {INSTALLATION: digest}}, NAMESPACE)


def noted_installation(client) -> str:
    """What `note_installation` wrote down last; empty where the course has not installed Istio since the cluster was marked."""
    found = client.get(CONFIG_MAP, NAME, NAMESPACE) or {}
    return (found.get("data") or {}).get(INSTALLATION, "")


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
