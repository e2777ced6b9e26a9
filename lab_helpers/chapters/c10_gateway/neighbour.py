"""Somebody else on the same cluster, with a namespace of their own, who may write there what they like."""

from __future__ import annotations

from dataclasses import replace

from lab_helpers.core import text
from lab_helpers.core.manifests import beside, find, title
from lab_helpers.core.wait import wait_until
from lab_helpers.istio import apply
from lab_helpers.kube import objects, pods
from lab_helpers.kube.apply import Change, Manifest, Outcome
from lab_helpers.kube.kinds import NAMESPACE, Kind

VIRTUAL_SERVICE = Kind("networking.istio.io/v1", "VirtualService")


def namespace(lab) -> str:
    """The neighbour's namespace: one for each learner."""
    return f"{lab.namespace}-neighbour"


@objects.sentences("The neighbour")
def as_neighbour(lab, manifest: str) -> Outcome:
    """Apply `manifest` as the neighbour does, in their namespace, and wait until the gateways run it; make the namespace if need be.

    Where it names a Gateway of the namespace ``default``, it means the lab's.
    """
    _make(lab)
    documents = [_in(lab, each) for each in apply.load_for(lab, [manifest])]
    name = namespace(lab)
    done = apply.write(lab, documents, f"kubectl apply --server-side --namespace {name} -f manifests/{manifest}")
    shown = Manifest(manifest, text.read(find(manifest), manifest), [title(each) for each in documents], beside(manifest))
    return replace(done, manifests=[shown])


@objects.sentences("The neighbour")
def leave(lab) -> Outcome:
    """Have the neighbour's namespace deleted, with all that is in it; what the mesh has to forget of it, it has forgotten then."""
    name = namespace(lab)
    there = lab.client.get(NAMESPACE, name) is not None
    rules = lab.client.list(VIRTUAL_SERVICE, name) if there else []
    apply.erase(lab, rules)  # what the mesh has to forget goes first, and is waited for
    lab.client.delete(NAMESPACE, name)
    return Outcome(f"kubectl delete namespace {name}", [Change(f"Namespace {name}", "deleted" if there else "absent")])


def clear(lab) -> list[Change]:
    """Take away the neighbour that a chapter which was broken off has left; what was done."""
    found = lab.client.get(NAMESPACE, namespace(lab))
    return leave(lab).changes if found and not pods.leaving(found) else []


def _make(lab) -> None:
    name = namespace(lab)
    found = lab.client.get(NAMESPACE, name)
    if found and pods.leaving(found):
        wait_until(lambda: lab.client.get(NAMESPACE, name) is None, f"namespace {name} to be gone", 60, 0.2, do="kubectl get namespace.")
        found = None
    if found is None:
        lab.client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})


def _in(lab, document: dict) -> dict:
    gateways = [f"{lab.namespace}/{each.removeprefix('default/')}" for each in document["spec"]["gateways"]]
    return {
        **document,
        "metadata": {**document["metadata"], "namespace": namespace(lab)},
        "spec": {**document["spec"], "gateways": gateways},
    }
