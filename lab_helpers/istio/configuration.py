"""The mesh's configuration as objects: of which kinds, and kept safe while Istio, whose kinds they are, is not there."""

from __future__ import annotations

import json

from lab_helpers.core.errors import ClusterError, MeshError
from lab_helpers.core.manifests import title
from lab_helpers.istio import apply
from lab_helpers.kube import mark, objects
from lab_helpers.kube.apply import Change, Outcome
from lab_helpers.kube.kinds import CONFIG_MAP, NAMESPACE, Kind

VIRTUAL_SERVICE = Kind("networking.istio.io/v1", "VirtualService")
KEPT, SAFE = "meshlab-kept", mark.NAMESPACE  # not in Istio's own namespace, which Istio's page on uninstalling tells one to delete
MOST = 900 * 1024  # bytes of a copy: the API server takes no ConfigMap of more than 1 MiB


def kinds(lab) -> list[Kind]:
    """The kinds of namespaced mesh configuration that the cluster knows: Istio's own and the Gateway API's."""
    return lab.client.kinds(lambda group: group.endswith("istio.io") or group == "gateway.networking.k8s.io")


def hosts(lab, service: str) -> set[str]:
    """The names by which rules in the lab's namespace may call a Service of it."""
    return {service, f"{service}.{lab.namespace}", f"{service}.{lab.namespace}.svc.cluster.local"}


def require_sole(lab, service: str, name: str) -> None:
    """See to it that no VirtualService but `name` speaks for a Service of the lab's namespace: of two, proxies follow one.

    Raises
    ------
    MeshError
        Another one does.
    """
    found = [each for each in lab.client.list(VIRTUAL_SERVICE) if hosts(lab, service) & set(each["spec"].get("hosts", []))]
    for other in sorted({each["metadata"]["name"] for each in found} - {name}):
        raise MeshError(
            f"VirtualService {other} speaks for {service}, too, and proxies follow one of two only.",
            f"Delete it: kubectl delete virtualservice {other}.",
        )


def keep(lab) -> Outcome:
    """Put a copy of all Istio configuration of all namespaces into a ConfigMap, where neither an uninstall nor a crash takes it.

    Raises
    ------
    ClusterError
        It is more than a ConfigMap holds: nothing is kept then, and nobody should uninstall.
    """
    # Kinds of the Gateway API are not Istio's to take away. And an older copy may hold what an uninstall has taken already.
    found = [each for kind in kinds(lab) if kind.group.endswith("istio.io") for each in lab.client.list(kind, "*")]
    copies = [*(kept(lab) or []), *map(_copy, found)]
    copies = list({(each["kind"], each["metadata"]["namespace"], each["metadata"]["name"]): each for each in copies}.values())
    written = json.dumps(copies)
    if len(written) > MOST:
        what = f"The Istio configuration of this cluster is {len(written) // 1024:,} KiB in {len(copies):,} objects, too much to keep"
        do = "Leave Istio as it is, and run this chapter on a cluster of your own; meshlab up makes one."
        raise ClusterError(f"{what} ({MOST // 1024} KiB), and it would be lost with Istio.", do)
    metadata = {"name": KEPT, "namespace": SAFE}
    objects.write(lab.client, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"objects": written}})
    changes = [Change(f"{title(each)} in {each['metadata']['namespace']}", "kept") for each in copies]
    return Outcome("kubectl get istio-io --all-namespaces -o yaml > kept.yaml", changes)


def restore(lab) -> Outcome:
    """Create again what `keep` has kept and is missing now, and throw the copy away; nothing where there is no copy."""
    command = "kubectl create -f kept.yaml"
    copies = kept(lab)
    if copies is None:
        return Outcome(command, [])
    there = {each["metadata"]["name"] for each in lab.client.list(NAMESPACE)}
    missing = [each for each in copies if each["metadata"]["namespace"] in there and objects.read(lab.client, each) is None]
    outcome = apply.write(lab, missing, command)
    lab.client.delete(CONFIG_MAP, KEPT, SAFE)
    return outcome


def kept(lab) -> list[dict] | None:
    """What `keep` has kept; None where there is no copy."""
    found = lab.client.get(CONFIG_MAP, KEPT, SAFE)
    return json.loads(found["data"]["objects"]) if found else None


def _copy(document: dict) -> dict:
    metadata = {key: value for key, value in document["metadata"].items() if key in ("name", "namespace", "labels", "annotations")}
    return {**{key: value for key, value in document.items() if key != "status"}, "metadata": metadata}
