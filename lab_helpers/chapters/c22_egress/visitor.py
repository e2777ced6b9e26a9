"""Somebody else in the mesh, with a namespace and a sidecar of their own: what is said for us does not hold for them, or does."""

from __future__ import annotations

from lab_helpers.core.manifests import FOLDER, load, title
from lab_helpers.core.wait import wait_until
from lab_helpers.istio import proxies
from lab_helpers.kube import pods, rollout
from lab_helpers.kube.apply import Change, Outcome, put
from lab_helpers.kube.client import Client
from lab_helpers.kube.kinds import NAMESPACE, POD
from lab_helpers.lab import Lab

CLIENT = "shared/client.yaml"


def visitor(lab) -> Lab:
    """The lab as seen from the visitor's namespace: one for each learner."""
    return Lab(Client(lab.client.context, f"{lab.namespace}-visitor", lab.client.tools), lab.overlay)


def invite(lab) -> list[Change]:
    """Have the visitor there, a pod ``client`` with a sidecar; not waited for: see `arrived`."""
    theirs = visitor(lab)
    found = lab.client.get(NAMESPACE, theirs.namespace)
    if found and pods.leaving(found):
        gone = lambda: lab.client.get(NAMESPACE, theirs.namespace) is None  # noqa: E731
        wait_until(gone, f"namespace {theirs.namespace} to be gone", 60, 0.2, do="kubectl get namespace.")
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": theirs.namespace, "labels": {"istio-injection": "enabled"}}}
    theirs.client.require_mark()
    done = put(theirs.client, [space, *load(CLIENT, FOLDER)])
    return [Change(f"{title(new)} of the visitor", change.action) for change, new in done if change.action != "unchanged"]


def arrived(lab) -> None:
    """Wait until the visitor's pod is ready, with its sidecar."""
    client = visitor(lab).client
    rollout.complete(client, ["client"])
    # The API server may have learned of the namespace's label after it made the pod.
    bare = [each["metadata"]["name"] for each in client.list(POD) if not proxies.has_proxy(each) and not pods.leaving(each)]
    for name in bare:
        client.delete(POD, name, grace=0)
    if bare:
        rollout.complete(client, ["client"])


def leave(lab) -> Outcome:
    """Have the visitor's namespace deleted, with all that is in it."""
    name = visitor(lab).namespace
    there = lab.client.delete(NAMESPACE, name)
    return Outcome(f"kubectl delete namespace {name}", [Change(f"Namespace {name}", "deleted" if there else "absent")])
