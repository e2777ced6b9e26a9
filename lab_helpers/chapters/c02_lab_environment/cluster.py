"""What a cluster says of itself: its nodes, and who sets up the network of its pods."""

from __future__ import annotations

import json

import pandas as pd
from kubernetes.utils.quantity import parse_quantity

from lab_helpers.core.errors import TrafficError
from lab_helpers.kube import channels, objects, pods
from lab_helpers.kube.kinds import NODE

READER = "node-reader"


@objects.sentences("Listing nodes")
def nodes(lab) -> pd.DataFrame:
    """List the nodes of the cluster.

    Returns
    -------
    pandas.DataFrame
        One row a node:

        - node, address: its name and its address inside the cluster
        - kubelet, os, runtime, arch: versions as it reports them
        - cpus, memory: what pods may use of it (allocatable), in CPUs and in GiB
        - pods: how many of them it takes
        - schedulable: whether an ordinary pod may be put there
    """
    return pd.DataFrame([_row(node) for node in lab.client.list(NODE)])


@objects.sentences("Reading the network's configuration")
def network(lab) -> list[str]:
    """Names of the CNI plugins that set up the network of each pod, in the order in which they are called.

    Read from the node's own configuration by the pod ``node-reader`` of the chapter 02_lab_environment.

    Raises
    ------
    TrafficError
        That pod is not there, or finds no configuration.
    """
    done = channels.execute(
        lab.client, reader(lab), READER, ["sh", "-c", "cat $(ls /cni/*.conflist /cni/*.conf 2>/dev/null | sort | head -1)"]
    )
    try:
        found = json.loads(done.stdout)
    except ValueError as error:
        raise TrafficError(
            f"The node has no network configuration that can be read: {done.stderr.strip() or 'it is empty'}.",
            "Its container runtime may look for it elsewhere than in /etc/cni/net.d.",
        ) from error
    return [plugin["type"] for plugin in found.get("plugins", [found])]


def _row(node: dict) -> dict:
    info, room = node["status"]["nodeInfo"], node["status"]["allocatable"]
    return {
        "node": node["metadata"]["name"],
        "address": next(each["address"] for each in node["status"]["addresses"] if each["type"] == "InternalIP"),
        "kubelet": info["kubeletVersion"],
        "os": info["osImage"],
        "runtime": info["containerRuntimeVersion"],
        "arch": info["architecture"],
        "cpus": float(parse_quantity(room["cpu"])),
        "memory": round(float(parse_quantity(room["memory"])) / 2**30, 1),
        "pods": int(room["pods"]),
        "schedulable": not any(taint["effect"] in ("NoSchedule", "NoExecute") for taint in node["spec"].get("taints") or []),
    }


def reader(lab) -> str:
    """Name of the pod ``node-reader``."""
    return pods.require_ready(lab.client, READER, 'lab.apply("02_lab_environment/01-node-reader.yaml")')["metadata"]["name"]
