"""What stands around the traffic: how many pods a Deployment has, and a namespace beside the lab's own."""

from __future__ import annotations

import time

from lab_helpers.core.errors import LabError
from lab_helpers.istio import converge, proxies
from lab_helpers.kube import commands, rollout
from lab_helpers.kube.apply import Change, Outcome
from lab_helpers.kube.kinds import DEPLOYMENT
from lab_helpers.lab import checkpoint


def scale(lab, deployment: str, replicas: int) -> Outcome:
    """Give a Deployment so many pods, and wait until every proxy knows them, and no others.

    Raises
    ------
    LabError
        There is no such Deployment, or the number is negative.
    MeshError
        New pods do not start, or some proxy does not learn of them; names what is late.
    """
    if isinstance(replicas, bool) or not isinstance(replicas, int) or replicas < 0:
        raise LabError(f"{replicas!r} pods cannot be had.", "Give a whole number, 0 or more.")
    if lab.client.get(DEPLOYMENT, deployment) is None:
        raise LabError(f"Namespace {lab.namespace} has no Deployment {deployment!r}.", "kubectl get deployments lists them.")
    command = f"kubectl scale deployment {deployment} --replicas={replicas}"
    start = time.monotonic()
    commands.run(lab.client, command)
    rollout.complete(lab.client, [deployment])
    proxies.reachable(lab, [deployment])
    count = converge.settled(lab)
    return Outcome(command, [Change(f"Deployment {deployment}", "scaled")], count, time.monotonic() - start)


def make_namespace(lab) -> Outcome:
    """Make the namespace of a lab, without sidecars, unless it is there."""
    return Outcome(f"kubectl create namespace {lab.namespace}", checkpoint.label(lab, injection=False))
