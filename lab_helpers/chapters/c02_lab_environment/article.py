"""The article's cluster, as its talhelper file asks for it, beside this one."""

from __future__ import annotations

import pandas as pd

from lab_helpers.chapters.c02_lab_environment.cluster import READER, network, nodes, reader
from lab_helpers.chapters.c02_lab_environment.kubelet import kubelets
from lab_helpers.kube import channels, objects

CRI_METRICS = 11234  # the port that the article gives to containerd's own metrics
# What the article's talhelper file asks for, by field.
ARTICLE = {
    "talosVersion": "v1.7.4", "kubernetesVersion": "v1.29.1", "endpoint": "192.168.128.27:6443",
    "nodes": "3: controlplane, worker-1, worker-2", "nodes[].arch": "amd64",
    "allowSchedulingOnMasters": "true", "cniConfig.name": "flannel",
    "kubelet rotate-server-certificates": "true", "containerd [metrics]": f"port {CRI_METRICS}",
}  # fmt: skip


@objects.sentences("Comparing with the article")
def beside_article(lab) -> pd.DataFrame:
    """What the article's cluster was asked to be, beside what this one is.

    Returns
    -------
    pandas.DataFrame
        One row a field of the article's talhelper file (the index); columns ``article`` and ``this cluster``.
    """
    table = nodes(lab)
    here = {
        "talosVersion": table["os"][0],
        "kubernetesVersion": lab.client.version,
        "endpoint": lab.client.context.server.partition("://")[2],
        "nodes": f"{len(table)}: {', '.join(table['node'])}",
        "nodes[].arch": ", ".join(sorted(set(table["arch"]))),
        "allowSchedulingOnMasters": str(bool(table["schedulable"].all())).lower(),
        "cniConfig.name": " + ".join(network(lab)),
        "kubelet rotate-server-certificates": str(kubelets(lab)["serverTLSBootstrap"][0]).lower(),
        "containerd [metrics]": f"port {CRI_METRICS}" if _listens(lab, table["address"][0], CRI_METRICS) else "off",
    }
    return pd.DataFrame({"article": ARTICLE, "this cluster": here}).loc[list(ARTICLE)]


def _listens(lab, address: str, port: int) -> bool:
    command = ["curl", "--silent", "--output", "/dev/null", "--max-time", "2", f"http://{address}:{port}/v1/metrics"]
    return channels.execute(lab.client, reader(lab), READER, command).code == 0
