"""Pods that would outlive their Deployment: up to half a minute, in which they are still endpoints of a Service.

Even one on its way out shows: when it leaves at last, proxies rebuild the cluster, and their counters begin anew. A kubelet
that has begun to wait for a pod's period of grace does not learn of a shorter one, so nobody else may delete the pod first:
Deployments and ReplicaSets have to be deleted without what belongs to them.
"""

from __future__ import annotations

from typing import NamedTuple

from lab_helpers.core.wait import wait_until_none
from lab_helpers.kube.client import Client
from lab_helpers.kube.kinds import POD, REPLICA_SET, Kind


class Leftovers(NamedTuple):
    """What Deployments will leave behind: their ReplicaSets and pods, by uid."""

    sets: set[str]
    pods: set[str]


def of(client: Client, deployments: set[str]) -> Leftovers:
    """Find what belongs to `deployments`, given by uid; to be called before they are deleted."""
    sets = _owned(client, REPLICA_SET, deployments)
    return Leftovers(sets, _owned(client, POD, sets))


def end(client: Client, left: Leftovers) -> None:
    """End the pods at once, now that the Deployments are deleted without them; `gone` waits until they have."""
    for name in _here(client, REPLICA_SET, left.sets):  # while it is there, a pod that ends is replaced
        client.delete(REPLICA_SET, name, orphan=True)
    do = "Look at the controller manager's log."
    wait_until_none(lambda: _here(client, REPLICA_SET, left.sets), "ReplicaSets to be deleted", do, 60, 0.1)
    for name in _here(client, POD, left.pods):
        client.delete(POD, name, grace=1)


def gone(client: Client, *left: Leftovers) -> None:
    """Wait until the pods have ended."""
    pods = set().union(*(each.pods for each in left))
    wait_until_none(lambda: _here(client, POD, pods), "pods to end", "See whether their node is ready: kubectl get nodes.", 60, 0.1)


def _here(client: Client, kind: Kind, uids: set[str]) -> list[str]:
    """Names of the objects of `kind` that are still there, of those with `uids`."""
    return [each["metadata"]["name"] for each in client.list(kind) if each["metadata"]["uid"] in uids] if uids else []


def _owned(client: Client, kind: Kind, owners: set[str]) -> set[str]:
    def owned(each: dict) -> bool:
        return any(owner["uid"] in owners for owner in each["metadata"].get("ownerReferences") or [])

    return {each["metadata"]["uid"] for each in client.list(kind) if owned(each)} if owners else set()
