"""Pods made anew, as they are needed where something is decided when a pod is made: injection above all."""

from __future__ import annotations

import time

from lightkube.resources.apps_v1 import Deployment

from lab_helpers.mesh import apply, commands, converge, rollout


def restart(lab, *deployments: str) -> apply.Outcome:
    """Replace the pods of `deployments` (of all in the namespace, if none is named) and wait until the mesh knows the new ones.

    Raises
    ------
    CommandError
        There is no such Deployment.
    MeshError
        New pods do not start, or some proxy does not learn of them; names what is late.
    """
    names = list(deployments) or [each.metadata.name for each in lab.client.list(Deployment, namespace=lab.namespace)]
    command = " ".join(["kubectl rollout restart deployment", *deployments])
    start = time.monotonic()
    commands.run(lab, command)
    rollout.complete(lab, names)
    rollout.reachable(lab, names)
    proxies = converge.settled(lab)
    return apply.Outcome(command, [apply.Change(f"Deployment {name}", "restarted") for name in names], proxies, time.monotonic() - start)
