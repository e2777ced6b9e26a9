"""What a cluster says of itself: its nodes, the network of its pods, how it was set up."""

from __future__ import annotations

import json

import pandas as pd
from kubernetes.utils.quantity import parse_quantity

from lab_helpers.core.errors import ClusterError, TrafficError
from lab_helpers.kube import channels, objects, pods
from lab_helpers.kube.kinds import NODE

READER = "node-reader"
CRI_METRICS = 11234  # the port that the article gives to containerd's own metrics
# What the article's talhelper file asks for, by field.
ARTICLE = {
    "talosVersion": "v1.7.4", "kubernetesVersion": "v1.29.1", "endpoint": "192.168.128.27:6443",
    "nodes": "3: controlplane, worker-1, worker-2", "nodes[].arch": "amd64",
    "allowSchedulingOnMasters": "true", "cniConfig.name": "flannel",
    "kubelet rotate-server-certificates": "true", "containerd [metrics]": f"port {CRI_METRICS}",
}  # fmt: skip


@objects.sentences("Listing nodes")
def nodes(lab) -> pd.DataFrame:
    """List the nodes of the cluster.

    Returns
    -------
    pandas.DataFrame
        One row a node:

        - node, address: its name and its address inside the cluster
        - kubelet, os, runtime, arch: versions as it reports them
        - cpus, memory: what pods may use of it (allocatable), in processors and in GiB
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
        lab.client, _reader(lab), READER, ["sh", "-c", "cat $(ls /cni/*.conflist /cni/*.conf 2>/dev/null | sort | head -1)"]
    )
    try:
        found = json.loads(done.stdout)
    except ValueError as error:
        raise TrafficError(
            f"The node has no network configuration that can be read: {done.stderr.strip() or 'it is empty'}.",
            "Its container runtime may look for it elsewhere than in /etc/cni/net.d.",
        ) from error
    return [plugin["type"] for plugin in found.get("plugins", [found])]


@objects.sentences("Comparing with the article")
def beside_article(lab) -> pd.DataFrame:
    """What the article's cluster was asked to be, beside what this one is.

    Returns
    -------
    pandas.DataFrame
        One row a field of the article's talhelper file (the index); columns ``article`` and ``this cluster``.
    """
    table = nodes(lab)
    kubelet = kubelet_config(lab, table["node"][0])
    here = {
        "talosVersion": table["os"][0],
        "kubernetesVersion": lab.client.version,
        "endpoint": lab.client.context.server.partition("://")[2],
        "nodes": f"{len(table)}: {', '.join(table['node'])}",
        "nodes[].arch": ", ".join(sorted(set(table["arch"]))),
        "allowSchedulingOnMasters": str(bool(table["schedulable"].all())).lower(),
        "cniConfig.name": " + ".join(network(lab)),
        "kubelet rotate-server-certificates": str(bool(kubelet.get("serverTLSBootstrap"))).lower(),
        "containerd [metrics]": f"port {CRI_METRICS}" if _listens(lab, table["address"][0], CRI_METRICS) else "off",
    }
    return pd.DataFrame({"article": ARTICLE, "this cluster": here}).loc[list(ARTICLE)]


def kubelet_config(lab, node: str) -> dict:
    """The configuration that the kubelet of `node` runs with, as it says itself.

    Raises
    ------
    ClusterError
        It does not say so to us.
    """
    answer = lab.client.raw(f"/api/v1/nodes/{node}/proxy/configz")
    if answer.status != 200:
        raise ClusterError(f"The kubelet of {node} does not show its configuration ({answer.status}).", "Managed clusters often hide it.")
    return answer.json()["kubeletconfig"]


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


def _listens(lab, address: str, port: int) -> bool:
    command = ["curl", "--silent", "--output", "/dev/null", "--max-time", "2", f"http://{address}:{port}/v1/metrics"]
    return channels.execute(lab.client, _reader(lab), READER, command).code == 0


def _reader(lab) -> str:
    if pod := pods.ready_pod(lab.client, READER):
        return pod["metadata"]["name"]
    raise TrafficError(
        f"There is no ready pod {READER!r} in namespace {lab.namespace}.", 'lab.apply("02_lab_environment/01-node-reader.yaml")'
    )
