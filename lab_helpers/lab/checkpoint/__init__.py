"""From any state of a namespace to the start of a chapter.

A start is what is there and nothing else of the mesh's: objects that the chapter starts with are made as if anew, objects
of the course's other chapters and all of Istio's configuration in the namespace go. Other people's workloads stay.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from html import escape

from lab_helpers.core.manifests import FOLDER, title
from lab_helpers.core.wait import wait_until_none
from lab_helpers.istio import apply, configuration, converge, installation, istiod, proxies
from lab_helpers.istio.installation import ambient
from lab_helpers.kube import objects, pods, rollout
from lab_helpers.kube.apply import Change, put
from lab_helpers.kube.client import FIELD_MANAGER
from lab_helpers.kube.kinds import (
    AUTOSCALER,
    DEPLOYMENT,
    NAMESPACE,
    NETWORK_POLICY,
    POD,
    REPLICA_SET,
    ROLE,
    ROLE_BINDING,
    SECRET,
    SERVICE,
    SERVICE_ACCOUNT,
)
from lab_helpers.lab import chapters
from lab_helpers.lab.checkpoint.labels import label
from lab_helpers.lab.leftovers import connections
from lab_helpers.lab.leftovers import pods as leftovers
from lab_helpers.show.render import block

MESH_WIDE = ("PeerAuthentication", "AuthorizationPolicy", "RequestAuthentication", "Sidecar")
ENDED = 60.0  # seconds for a pod to end; the kubelet gives it 30
APPS = ("productpage", "details", "reviews", "ratings")
WORKLOADS = (DEPLOYMENT, SERVICE, SERVICE_ACCOUNT, AUTOSCALER, NETWORK_POLICY, REPLICA_SET, POD)
BESIDE = (SECRET, ROLE, ROLE_BINDING)  # what a gateway of a chapter's own needs, if it was the course that applied it


@dataclass(frozen=True)
class Checkpoint:
    """What had to be done to reach a chapter's start; nothing, if the namespace was there already.

    Attributes
    ----------
    chapter, namespace : str
    changes : list of Change
        Only what was not ``unchanged``.
    warnings : list of str
        What may get in the way and is not the course's to remove.
    """

    chapter: str
    namespace: str
    changes: list[Change]
    warnings: list[str]

    def __str__(self) -> str:
        done = [f"  {change.what} {change.action}" for change in self.changes] or ["  nothing had to be changed"]
        beware = [f"  beware: {each}" for each in self.warnings]
        return "\n".join([f"namespace {self.namespace} is at the start of {self.chapter}:", *done, *beware])

    def _repr_pretty_(self, printer, cycle) -> None:
        printer.text(str(self))

    def _repr_html_(self) -> str:
        actions = dict.fromkeys(change.action for change in self.changes)
        together = {action: [change.what for change in self.changes if change.action == action] for action in actions}
        lines = [f"<b>{action}</b> {escape(', '.join(names))}" for action, names in together.items()] or ["Nothing had to be changed."]
        lines += [f"⚠ {escape(each)}" for each in self.warnings]
        head = f"namespace <code>{escape(self.namespace)}</code> is at the start of <code>{escape(self.chapter)}</code>"
        return block(head + "".join(f"<div>{line}</div>" for line in lines))


def checkpoint(lab, chapter: str) -> Checkpoint:
    """Bring the lab's namespace to the start of `chapter`, whatever has happened to it; see `Checkpoint`.

    Raises
    ------
    LabError
        No such chapter.
    ClusterError
        The cluster is not marked as one for the course; or Istio is not installed, and the chapter is not the one that installs it.
    MeshError
        Something did not start; names it.
    """
    record = chapters.load(chapter)
    lab.client.require_mark()
    prepared = record.prepare(lab) if record.prepare else []
    if istiod.open_to(lab.client):
        istiod.pods(lab.client)  # raises if Istio is missing, and says what to do
    if lab.client.get(NAMESPACE, lab.namespace):
        prepared += _accounts(lab, apply.load_for(lab, record.start, FOLDER))
    prepared += installation.undo_changes(lab, record.ambient)
    reached = reach(lab, chapter, record.start, record.injection)
    return replace(reached, changes=[*prepared, *reached.changes])


def reach(lab, name: str, manifests: Iterable[str], injection: bool = True) -> Checkpoint:
    """Bring the namespace to where it holds just what `manifests` say, with or without sidecars; `name` is only for the report."""
    wanted = apply.load_for(lab, manifests, FOLDER)  # whatever a learner has made of a copy
    # Nothing is waited for before everything is under way: pods start once, and together.
    changes = [*label(lab, injection), *_accounts(lab, wanted)]
    foreign, left = _erase(lab, _foreign(lab, wanted))
    edited, more = _erase(lab, [each for each in wanted if _edited(lab, each)])
    replaced = _sidecars(lab, injection)
    changes += [*foreign, *edited, *replaced, *apply.write(lab, wanted).changes]
    late = _sidecars(lab, injection)  # another API server than the one that was asked may have learned later of the namespace's label
    deployments = [each["metadata"]["name"] for each in wanted if each["kind"] == "Deployment"]
    if late:
        rollout.complete(lab.client, deployments)
    leftovers.gone(lab.client, left, more)
    wait_until_none(
        lambda: [f"{pod['metadata']['name']} is still there" for pod in _wrong(lab, injection)],
        "pods to end whose sidecar should not be there or is missing, or whose account has gone",
        "See why: kubectl describe pod NAME.",
        ENDED,
        0.1,
    )
    if replaced or late:
        proxies.reachable(lab, deployments)
    converge.settled(lab)
    connections.close(lab)
    changed = [each for each in (*changes, *late) if each.action not in ("unchanged", "absent")]
    return Checkpoint(name, lab.namespace, changed, _mesh_wide(lab))


def _foreign(lab, wanted: list[dict]) -> list[dict]:
    """Everything in the namespace that the chapter does not start with: Istio's configuration, and the course's own workloads."""
    kept = {(each["kind"], each["metadata"]["name"]) for each in wanted}
    found = [each for kind in configuration.kinds(lab) for each in lab.client.list(kind)]
    for kind in WORKLOADS:
        found += [each for each in lab.client.list(kind) if (_ours(each) or _on_ours(each)) and not _owned(each)]
    found += [each for kind in BESIDE for each in lab.client.list(kind) if _applied(each) and not _owned(each)]
    alien = [each for each in found if (each["kind"], each["metadata"]["name"]) not in kept]
    return alien + _made_for_the_mesh(lab)


def _made_for_the_mesh(lab) -> list[dict]:
    """What a chapter has put into Istio's root namespace, where it governs everybody's: left over, whichever chapter it was."""
    if not istiod.open_to(lab.client):
        return []
    found = [each for kind in (*configuration.kinds(lab), *WORKLOADS) for each in lab.client.list(kind, apply.ROOT, apply.MADE_HERE)]
    return [each for each in found if apply.made_here(each) and not _owned(each)]


def _applied(document: dict) -> bool:
    return any(entry.get("manager") == FIELD_MANAGER for entry in document["metadata"].get("managedFields") or [])


def _ours(document: dict) -> bool:
    return _applied(document) or bool({pods.labels(document).get(key) for key in ("app", "account")} & set(APPS))


def _on_ours(document: dict) -> bool:
    """Whether it is somebody's, and yet on the course's pods: it makes more of them, scales them, or says who may call them."""
    spec = document.get("spec") or {}
    template = pods.labels(spec["template"]) if "template" in spec else {}
    labels = template or (spec.get("podSelector") or {}).get("matchLabels") or {}
    scaled = (spec.get("scaleTargetRef") or {}).get("name", "").rpartition("-v")[0]
    return labels.get("app") in APPS or scaled in APPS


def _owned(document: dict) -> bool:
    return bool(document["metadata"].get("ownerReferences"))  # it goes with its owner, and only with it


def _erase(lab, documents: list[dict]) -> tuple[list[Change], leftovers.Leftovers]:
    """Delete objects, and have end at once what Deployments among them would leave behind; return that as well."""
    read = [found for each in documents if (found := objects.read(lab.client, each))]
    left = leftovers.of(lab.client, {each["metadata"]["uid"] for each in read})
    changes = apply.erase(lab, documents, orphan=True).changes
    leftovers.end(lab.client, left)
    return changes, left


def _edited(lab, document: dict) -> bool:
    """Whether the object would still differ from a freshly made one after a server-side apply, since another hand has edited it."""
    if objects.read(lab.client, document) is None:
        return False
    merged = objects.write(lab.client, document, dry_run=True)
    fresh_name = {**document, "metadata": {**document["metadata"], "name": f"{document['metadata']['name']}-fresh"}}
    fresh = objects.write(lab.client, fresh_name, dry_run=True)
    return _substance(merged) != _substance(fresh)


def _substance(document: dict) -> dict:
    spec = {key: value for key, value in document.get("spec", {}).items() if key not in ("clusterIP", "clusterIPs")}
    annotations = spec.get("template", {}).get("metadata", {}).get("annotations")
    if annotations:  # a restart by hand leaves a note there and changes nothing else
        annotations.pop("kubectl.kubernetes.io/restartedAt", None)
    return {"spec": spec, "labels": document["metadata"].get("labels")}


def _wrong(lab, injection: bool) -> list[dict]:
    """The pods of our Deployments that were made while injection was off (or on, where it should be off), or before their account.

    And those that ambient mode has left behind: once a namespace is out of it, only who was forsaken by istio-cni is redirected still.
    """
    accounts, ours = _made(lab), filter(_is_ours, lab.client.list(POD))
    wrong = lambda pod: proxies.has_proxy(pod) is (_refuses(pod) or not injection)  # noqa: E731
    return [pod for pod in ours if wrong(pod) or _disowned(pod, accounts) or ambient.is_redirected(pod)]


def _is_ours(pod: dict) -> bool:
    return _ours(pod) or pods.labels(pod).get("app") in ("client", "plain-client")


def _made(lab) -> dict[str, str]:
    """When each account of the namespace was made."""
    return {each["metadata"]["name"]: each["metadata"]["creationTimestamp"] for each in lab.client.list(SERVICE_ACCOUNT)}


def _disowned(pod: dict, accounts: dict[str, str]) -> bool:
    """Whether its ServiceAccount was deleted and made anew: the pod's token is of the former one, and istiod gives it no certificate."""
    return pod["metadata"]["creationTimestamp"] < accounts.get(pod["spec"].get("serviceAccountName", "default"), "")


def _accounts(lab, wanted: list[dict]) -> list[Change]:
    """Make the accounts that are missing; delete the pods of former ones, which istiod knows no more and others would wait for."""
    made = [
        change
        for change, _ in put(lab.client, [each for each in wanted if each["kind"] == "ServiceAccount"])
        if change.action != "unchanged"
    ]
    accounts = _made(lab)
    return made + _replace(lab, [pod for pod in lab.client.list(POD) if _is_ours(pod) and _disowned(pod, accounts)])


def _sidecars(lab, injection: bool) -> list[Change]:
    """Delete what is `_wrong` and not yet on its way out; their ReplicaSets make others."""
    return _replace(lab, _wrong(lab, injection))


def _replace(lab, wrong: list[dict]) -> list[Change]:
    names = [pod["metadata"]["name"] for pod in wrong if not pods.leaving(pod)]
    for name in names:
        lab.client.delete(POD, name, grace=1)
    return [Change(f"Pod {name}", "replaced") for name in names]


def _refuses(pod: dict) -> bool:
    return pods.labels(pod).get("sidecar.istio.io/inject") == "false"


def _mesh_wide(lab) -> list[str]:
    """Configuration of other people's in Istio's root namespace, which governs every namespace: named, never removed."""
    if not istiod.open_to(lab.client):
        return [f"what governs the whole mesh cannot be seen by your account: it may lie in {apply.ROOT}"]
    documents = [each for kind in configuration.kinds(lab) if kind.kind in MESH_WIDE for each in lab.client.list(kind, apply.ROOT)]
    return [f"{title(each)} in istio-system governs this namespace too" for each in documents]
