"""What the kubelets measure, and why anybody should believe them."""

from __future__ import annotations

import pandas as pd

from lab_helpers.chapters.c02_lab_environment.cluster import READER, nodes, reader
from lab_helpers.core.errors import ClusterError
from lab_helpers.kube import channels, objects

NOT_SHOWN = "not shown"
AUTHORITY = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"  # of the cluster, in every pod
NOT_VERIFIED = 60  # curl's exit code for a certificate that it does not accept
SIGNED = {"0": "by the cluster", "18": "by itself", "19": "by itself"}  # what OpenSSL says: alone, or with an authority of its own


@objects.sentences("Asking the metrics API")
def usage(lab) -> pd.DataFrame:
    """What metrics-server has measured of each node.

    Returns
    -------
    pandas.DataFrame
        One row a node:

        - node, window: its name, and the time over which its use of CPU is a mean
        - cpu, memory: that use, and the memory in use at the end of that time, as the API writes quantities
    """
    answer = lab.client.raw("/apis/metrics.k8s.io/v1beta1/nodes")
    if answer.status != 200:
        raise ClusterError(f"Nobody answers for metrics.k8s.io ({answer.status}).", "metrics-server does; see whether it runs.")
    measured = answer.json()["items"]
    return pd.DataFrame([{"node": each["metadata"]["name"], "window": each["window"], **each["usage"]} for each in measured])


@objects.sentences("Connecting to the kubelets")
def certificates(lab) -> pd.DataFrame:
    """Connect to the kubelet of each node, and look whether the cluster's own authority has signed its certificate.

    Returns
    -------
    pandas.DataFrame
        One row a node:

        - node, status: its name, and the status of its answer to somebody without credentials, 0 where nothing was asked
        - signed: its certificate, "by the cluster", "by itself" or "by somebody else"; or "no answer"
    """
    table = nodes(lab)
    pod = reader(lab)
    rows = []
    for node, address in zip(table["node"], table["address"], strict=True):
        told = "%{http_code} %{ssl_verify_result}"
        command = ["curl", "-s", "-o", "/dev/null", "-m", "5", "-w", told, "--cacert", AUTHORITY, f"https://{address}:10250/healthz"]
        done = channels.execute(lab.client, pod, READER, command)
        status, result = done.stdout.split()
        heard = done.code in (0, NOT_VERIFIED)
        rows.append({"node": node, "status": int(status), "signed": SIGNED.get(result, "by somebody else") if heard else "no answer"})
    return pd.DataFrame(rows)


@objects.sentences("Reading the kubelets' configuration")
def kubelets(lab) -> pd.DataFrame:
    """Where the kubelet of each node has its certificate from, by its own configuration.

    Returns
    -------
    pandas.DataFrame
        One row a node: node, serverTLSBootstrap (it asks the cluster to sign one), tlsCertFile (it was given one); "not shown" where a
        managed cluster hides that.
    """
    return pd.DataFrame([{"node": name, **_certificate(lab, name)} for name in nodes(lab)["node"]])


def _certificate(lab, node: str) -> dict:
    answer = lab.client.raw(f"/api/v1/nodes/{node}/proxy/configz")
    if answer.status != 200:
        return {"serverTLSBootstrap": NOT_SHOWN, "tlsCertFile": NOT_SHOWN}
    kubelet = answer.json()["kubeletconfig"]
    return {name: bool(kubelet.get(name)) for name in ("serverTLSBootstrap", "tlsCertFile")}
