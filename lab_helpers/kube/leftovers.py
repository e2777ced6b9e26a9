"""Pods that would outlive their Deployment: up to half a minute, in which they are still endpoints of a Service.

Even one on its way out shows: when it leaves at last, proxies rebuild the cluster, and their counters begin anew. A kubelet
that has begun to wait for a pod's period of grace does not learn of a shorter one, so nobody else may delete the pod first:
Deployments and ReplicaSets have to be deleted without what belongs to them.
"""

from __future__ import annotations

from contextlib import suppress
from typing import NamedTuple

from lightkube.core.exceptions import ApiError
from lightkube.resources.apps_v1 import ReplicaSet
from lightkube.resources.core_v1 import Pod
from lightkube.types import CascadeType

from lab_helpers.mesh import wait


class Leftovers(NamedTuple):
    """What Deployments will leave behind: their ReplicaSets and pods, by uid."""

    sets: set[str]
    pods: set[str]


def of(lab, deployments: set[str]) -> Leftovers:
    """Find what belongs to `deployments`, given by uid; to be called before they are deleted."""
    sets = {each.metadata.uid for each in _owned(lab, ReplicaSet, deployments)}
    return Leftovers(sets, {each.metadata.uid for each in _owned(lab, Pod, sets)})


def end(lab, left: Leftovers) -> None:
    """End the pods at once, now that the Deployments are deleted without them; `gone` waits until they have."""
    for name in _here(lab, ReplicaSet, left.sets):  # while it is there, a pod that ends is replaced
        with suppress(ApiError):
            lab.client.delete(ReplicaSet, name, namespace=lab.namespace, cascade=CascadeType.ORPHAN)
    wait.until_none(lambda: _here(lab, ReplicaSet, left.sets), "ReplicaSets to be deleted", "Look at the controller manager's log.", 60)
    for name in _here(lab, Pod, left.pods):
        with suppress(ApiError):  # it may have ended by itself
            lab.client.delete(Pod, name, namespace=lab.namespace, grace_period=1)


def gone(lab, *left: Leftovers) -> None:
    """Wait until the pods have ended."""
    pods = set().union(*(each.pods for each in left))
    wait.until_none(lambda: _here(lab, Pod, pods), "pods to end", "See whether their node is ready: kubectl get nodes.", 60, every=0.1)


def _here(lab, kind, uids: set[str]) -> list[str]:
    """Names of the objects of `kind` that are still there, of those with `uids`."""
    return [each.metadata.name for each in lab.client.list(kind, namespace=lab.namespace) if each.metadata.uid in uids] if uids else []


def _owned(lab, kind, owners: set[str]) -> list:
    every = lab.client.list(kind, namespace=lab.namespace)
    return [each for each in every if owners & {owner.uid for owner in each.metadata.ownerReferences or []}]
