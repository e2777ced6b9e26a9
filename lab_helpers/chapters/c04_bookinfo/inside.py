"""What a pod is made of."""

from __future__ import annotations

import pandas as pd

from lab_helpers.kube import pods
from lab_helpers.kube.kinds import POD


def containers(lab) -> pd.DataFrame:
    """The containers that run in each pod of the namespace.

    Returns
    -------
    pandas.DataFrame
        One row a pod, by name:

        - app, version: its labels
        - number: of its containers
        - containers: their names
    """
    rows = []
    for pod in sorted(lab.client.list(POD), key=lambda each: each["metadata"]["name"]):
        if pods.leaving(pod):
            continue
        # A sidecar may also be an init container that never ends, and counts as one that runs.
        lasting = [each["name"] for each in pod["spec"].get("initContainers") or [] if each.get("restartPolicy") == "Always"]
        names = sorted([*(each["name"] for each in pod["spec"]["containers"]), *lasting], key=lambda name: name == "istio-proxy")
        labels = pods.labels(pod)
        rows.append((labels.get("app", ""), labels.get("version", ""), len(names), ", ".join(names)))
    return pd.DataFrame(rows, columns=["app", "version", "number", "containers"])
