"""What would hold for the whole mesh, on a mesh that others work on as well: asked for twice, and told to them."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from uuid import uuid4

from lab_helpers.core.errors import ClusterError
from lab_helpers.core.manifests import named, title
from lab_helpers.istio import apply as istio
from lab_helpers.istio import proxies
from lab_helpers.kube import pods
from lab_helpers.kube.apply import Outcome
from lab_helpers.kube.kinds import POD

GOVERN = ("PeerAuthentication", "AuthorizationPolicy", "RequestAuthentication", "Sidecar")  # in the root namespace, they are everybody's


def apply(lab, *manifests: str | os.PathLike, whole_mesh: bool = False) -> Outcome:
    """Server-side apply manifests and wait: for Deployments to roll out, for every proxy to run the configuration.

    Parameters
    ----------
    whole_mesh : bool
        Whether what governs other people's namespaces as well is meant so. They find a word about it by ``kubectl get events``.

    Raises
    ------
    ManifestError
        Not found, malformed, or refused by the API server or by Istio's validation, in its own words.
    ClusterError
        The cluster is not marked as one for the course; or others are concerned, and nobody has said that this is meant: names them.
    MeshError
        The mesh did not follow in time; names what lags.
    """
    documents = istio.load_for(lab, map(named, manifests))
    ours = [each for each in documents if each["metadata"].get("namespace") == istio.ROOT and each["kind"] in GOVERN]
    others = governed(lab) if ours else []
    if others and not whole_mesh:
        raise ClusterError(
            f"{title(ours[0])} in {istio.ROOT} holds for the whole mesh, and so for what others have in {', '.join(others)}.",
            "Tell them; and if they agree, say it once more, with whole_mesh=True: lab.apply(…, whole_mesh=True).",
        )
    done = istio.apply(lab, *manifests)
    for namespace in others:
        _tell(lab, namespace, title(ours[0]))
    return done


def governed(lab) -> list[str]:
    """The namespaces of others that have pods in the mesh, in alphabetical order."""
    own = (lab.namespace, istio.ROOT)
    found = {pod["metadata"]["namespace"] for pod in lab.client.list(POD, "*") if proxies.has_proxy(pod) and not pods.leaving(pod)}
    return sorted(each for each in found if each not in own and not each.startswith(f"{lab.namespace}-"))


def _tell(lab, namespace: str, what: str) -> None:
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    said = f"{what} holds for the whole mesh now, and so for this namespace: somebody works with it in namespace {lab.namespace}."
    lab.client.create(
        {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"whole-mesh.{uuid4().hex[:12]}", "namespace": namespace},
            "involvedObject": {"apiVersion": "v1", "kind": "ServiceAccount", "name": "default", "namespace": namespace},
            "type": "Warning",
            "reason": "WholeMesh",
            "message": said,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
            "source": {"component": "meshlab"},
        }
    )
