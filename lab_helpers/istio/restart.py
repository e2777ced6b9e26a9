"""Pods made anew, as they are needed where something is decided when a pod is made: injection above all."""

from __future__ import annotations

import time

from lab_helpers.core.errors import CommandError
from lab_helpers.istio import converge, proxies
from lab_helpers.kube import commands, rollout
from lab_helpers.kube.apply import Change, Outcome
from lab_helpers.kube.kinds import DEPLOYMENT


def restart(lab, *deployments: str) -> Outcome:
    """Replace the pods of `deployments` (of all in the namespace, if none is named) and wait until the mesh knows the new ones.

    Raises
    ------
    CommandError
        There is no such Deployment.
    MeshError
        New pods do not start, or some proxy does not learn of them; names what is late.
    """
    for each in deployments:
        if not isinstance(each, str):
            raise CommandError(f"{each!r} is not the name of a Deployment.", "Write names in quotes, one after the other.")
    names = list(deployments) or [each["metadata"]["name"] for each in lab.client.list(DEPLOYMENT)]
    command = " ".join(["kubectl rollout restart deployment", *deployments])
    start = time.monotonic()
    commands.run(lab.client, command)
    rollout.complete(lab.client, names)
    proxies.reachable(lab, names)
    count = converge.settled(lab)
    return Outcome(command, [Change(f"Deployment {name}", "restarted") for name in names], count, time.monotonic() - start)
