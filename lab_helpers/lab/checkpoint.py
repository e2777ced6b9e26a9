"""From any state of a namespace to the start of a chapter.

A start is what is there and nothing else of the mesh's: objects that the chapter starts with are made as if anew, objects
of the course's other chapters and all of Istio's configuration in the namespace go. Other people's workloads stay.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from lightkube.core.exceptions import ApiError
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.apps_v1 import Deployment, ReplicaSet
from lightkube.resources.autoscaling_v2 import HorizontalPodAutoscaler
from lightkube.resources.core_v1 import Namespace, Pod, Service, ServiceAccount
from lightkube.resources.networking_v1 import NetworkPolicy

from lab_helpers.core.manifests import chapter_manifests, title
from lab_helpers.mesh import apply, converge, installation, istiod, leftovers, objects, rollout, wait

CLIENT = ("shared/client.yaml",)
BOOKINFO = tuple(f"04_bookinfo/{name}.yaml" for name in ("01-productpage", "02-gateway", "03-details", "04-reviews", "05-ratings"))
# Chapters that begin with less than a running Bookinfo; all others begin with it.
STARTS = {
    "01_service_mesh": (*CLIENT, "shared/plain-client.yaml", *BOOKINFO),
    "02_lab_environment": (),
    "04_bookinfo": ("shared/client.yaml", "shared/plain-client.yaml"),
    # Three services show it all and start in seconds, while reviews is three times Java: every pod is made anew several times.
    "05_injection": (*CLIENT, *(f"04_bookinfo/{name}.yaml" for name in ("01-productpage", "03-details", "05-ratings"))),
    "06_mesh_graph": (*CLIENT, "shared/plain-client.yaml", *BOOKINFO),
}
# Chapters that begin before there is a mesh: without injection, and with no sidecar in any pod.
UNMESHED = ("01_service_mesh", "05_injection")
# Chapters that begin with Istio as the course installs it, and install it where it is missing or different.
INSTALLING = ("03_install",)
LABELS = {"istio-injection": "enabled"}
# Labels that would have another mesh mode, or another revision, take the namespace over.
FOREIGN_LABELS = ("istio.io/rev", "istio.io/dataplane-mode", "istio.io/use-waypoint")
MESH_WIDE = ("PeerAuthentication", "AuthorizationPolicy", "RequestAuthentication", "Sidecar")
ENDED = 60.0  # seconds for a pod to end; the kubelet gives it 30
APPS = ("productpage", "details", "reviews", "ratings")


@dataclass(frozen=True)
class Checkpoint:
    """What had to be done to reach a chapter's start; nothing, if the namespace was there already.

    Attributes
    ----------
    chapter, namespace : str
    changes : list of apply.Change
        Only what was not ``unchanged``.
    warnings : list of str
        What may get in the way and is not the course's to remove.
    """

    chapter: str
    namespace: str
    changes: list[apply.Change]
    warnings: list[str]

    def __str__(self) -> str:
        done = [f"  {change.what} {change.action}" for change in self.changes] or ["  nothing had to be changed"]
        return "\n".join(
            [
                f"namespace {self.namespace} is at the start of {self.chapter}:",
                *done,
                *[f"  beware: {each}" for each in self.warnings],
            ]
        )


def checkpoint(lab, chapter: str) -> Checkpoint:
    """Bring the lab's namespace to the start of `chapter`, whatever has happened to it; see `Checkpoint`.

    Raises
    ------
    ManifestError
        No such chapter.
    ClusterError
        Istio is not installed, and the chapter is not the one that installs it.
    MeshError
        Something did not start; names it.
    """
    chapter_manifests(chapter)  # raises if there is no such chapter, naming the nearest
    installed = installation.ensure(lab) if chapter in INSTALLING else []
    istiod.pods(lab)  # raises if Istio is missing, and says what to do
    reached = reach(lab, chapter, STARTS.get(chapter, (*CLIENT, *BOOKINFO)), chapter not in UNMESHED)
    return replace(reached, changes=[*installed, *reached.changes])


def reach(lab, name: str, manifests: Iterable[str], injection: bool = True) -> Checkpoint:
    """Bring the namespace to where it holds just what `manifests` say, with or without sidecars; `name` is only for the report."""
    wanted = apply.load_for(lab, manifests)
    # Nothing is waited for before everything is under way: pods start once, and together.
    changes = _namespace(lab, injection)
    foreign, left = _erase(lab, _foreign(lab, wanted))
    edited, more = _erase(lab, [each for each in wanted if _edited(lab, each)])
    replaced = _sidecars(lab, injection)
    changes += [*foreign, *edited, *replaced, *apply.write(lab, wanted).changes]
    late = _sidecars(lab, injection)  # the API server may have learned of the namespace's label after it made a pod
    deployments = [each["metadata"]["name"] for each in wanted if each["kind"] == "Deployment"]
    if late:
        rollout.complete(lab, deployments)
    leftovers.gone(lab, left, more)
    wait.until_none(
        lambda: [f"{pod.metadata.name} is still there" for pod in _wrong(lab, injection)],
        "pods to end whose sidecar should not be there, or is missing",
        "See why: kubectl describe pod NAME.",
        ENDED,
        every=0.1,
    )
    if replaced or late:
        rollout.reachable(lab, deployments)
    converge.settled(lab)
    changed = [each for each in (*changes, *late) if each.action not in ("unchanged", "absent")]
    return Checkpoint(name, lab.namespace, changed, _mesh_wide(lab))


def _namespace(lab, injection: bool) -> list[apply.Change]:
    wanted = LABELS if injection else {}
    try:
        labels = lab.client.get(Namespace, lab.namespace).metadata.labels or {}
    except ApiError as error:
        if error.status.code != 404:
            raise
        lab.client.create(Namespace(metadata=ObjectMeta(name=lab.namespace, labels=wanted)))
        return [apply.Change(f"Namespace {lab.namespace}", "created")]
    patch = {
        **{key: value for key, value in wanted.items() if labels.get(key) != value},
        **{key: None for key in (*FOREIGN_LABELS, *LABELS) if key in labels and key not in wanted},
    }
    if not patch:
        return []
    lab.client.patch(Namespace, lab.namespace, {"metadata": {"labels": patch}})
    return [apply.Change(f"Namespace {lab.namespace}", "configured", "\n".join(f"{key}: {value}" for key, value in patch.items()))]


def _foreign(lab, wanted: list[dict]) -> list[dict]:
    """Everything in the namespace that the chapter does not start with: Istio's configuration, and the course's own workloads."""
    kept = {(each["kind"], each["metadata"]["name"]) for each in wanted}
    found = [each for kind in objects.istio_kinds(lab.client) for each in lab.client.list(kind, namespace=lab.namespace)]
    for kind in (Deployment, Service, ServiceAccount, HorizontalPodAutoscaler, NetworkPolicy, ReplicaSet, Pod):
        found += [each for each in lab.client.list(kind, namespace=lab.namespace) if (_ours(each) or _on_ours(each)) and not _owned(each)]
    documents = [objects.as_dict(each) for each in found]
    return [each for each in documents if (each["kind"], each["metadata"]["name"]) not in kept]


def _ours(each) -> bool:
    labels = each.metadata.labels or {}
    applied = any(entry.manager == objects.FIELD_MANAGER for entry in each.metadata.managedFields or [])
    return applied or labels.get("app") in APPS or labels.get("account") in APPS


def _on_ours(each) -> bool:
    """Whether it is somebody's, and yet on the course's pods: it makes more of them, scales them, or says who may call them."""
    spec = each.spec.to_dict() if getattr(each, "spec", None) else {}
    labels = spec.get("template", {}).get("metadata", {}).get("labels") or spec.get("podSelector", {}).get("matchLabels") or {}
    scaled = spec.get("scaleTargetRef", {}).get("name", "").rpartition("-v")[0]
    return labels.get("app") in APPS or scaled in APPS


def _owned(each) -> bool:
    return bool(each.metadata.ownerReferences)  # it goes with its owner, and only with it


def _erase(lab, documents: list[dict]) -> tuple[list[apply.Change], leftovers.Leftovers]:
    """Delete objects, and have end at once what Deployments among them would leave behind; return that as well."""
    read = [found for each in documents if (found := objects.read(lab.client, each, lab.namespace))]
    left = leftovers.of(lab, {each["metadata"]["uid"] for each in read})
    changes = apply.erase(lab, documents, orphan=True).changes
    leftovers.end(lab, left)
    return changes, left


def _edited(lab, document: dict) -> bool:
    """Whether the object would still differ from a freshly made one after a server-side apply, since another hand has edited it."""
    if objects.read(lab.client, document, lab.namespace) is None:
        return False
    merged = objects.write(lab.client, document, lab.namespace, dry_run=True)
    fresh_name = {**document, "metadata": {**document["metadata"], "name": f"{document['metadata']['name']}-fresh"}}
    fresh = objects.write(lab.client, fresh_name, lab.namespace, dry_run=True)
    return _substance(merged) != _substance(fresh)


def _substance(document: dict) -> dict:
    spec = {key: value for key, value in document.get("spec", {}).items() if key not in ("clusterIP", "clusterIPs")}
    annotations = spec.get("template", {}).get("metadata", {}).get("annotations")
    if annotations:  # a restart by hand leaves a note there and changes nothing else
        annotations.pop("kubectl.kubernetes.io/restartedAt", None)
    return {"spec": spec, "labels": document["metadata"].get("labels")}


def _wrong(lab, injection: bool) -> list[Pod]:
    """The pods of the chapter's Deployments that were made while injection was off (or on, where it should be off)."""
    ours = [
        pod
        for pod in lab.client.list(Pod, namespace=lab.namespace)
        if _ours(pod) or (pod.metadata.labels or {}).get("app") in ("client", "plain-client")
    ]
    return [pod for pod in ours if converge.has_proxy(pod) is (_refuses(pod) or not injection)]


def _sidecars(lab, injection: bool) -> list[apply.Change]:
    """Delete what is `_wrong` and not yet on its way out; their ReplicaSets make others."""
    wrong = [pod for pod in _wrong(lab, injection) if not pod.metadata.deletionTimestamp]
    for pod in wrong:
        lab.client.delete(Pod, pod.metadata.name, namespace=lab.namespace, grace_period=1)
    return [apply.Change(f"Pod {pod.metadata.name}", "replaced") for pod in wrong]


def _refuses(pod: Pod) -> bool:
    return (pod.metadata.labels or {}).get("sidecar.istio.io/inject") == "false"


def _mesh_wide(lab) -> list[str]:
    """Configuration in Istio's root namespace that governs every namespace: named, never removed."""
    documents = [
        objects.as_dict(each)
        for kind in objects.istio_kinds(lab.client)
        if kind.__name__ in MESH_WIDE
        for each in lab.client.list(kind, namespace="istio-system")
    ]
    return [f"{title(each)} in istio-system governs this namespace too" for each in documents]
