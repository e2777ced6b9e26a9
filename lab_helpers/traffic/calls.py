"""Who calls whom, as the proxies themselves have counted it: the application's call graph without reading its code."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pandas as pd

from lab_helpers.istio import envoy, istiod, proxies
from lab_helpers.kube import pods
from lab_helpers.kube.kinds import POD

COLUMNS = ["source", "destination", "requests"]


def calls(lab) -> pd.DataFrame:
    """Count the requests that each workload of the namespace has sent to each other one.

    A proxy counts from when it last built the cluster: since it started, or since what makes up the cluster changed
    (a DestinationRule, the service accounts behind it).

    Returns
    -------
    pandas.DataFrame
        One row an edge that was used, busiest first:

        - source, destination: workloads, ``app-version`` (a pod's own labels); ``ingressgateway`` for the way in
        - requests: as counted by the source's proxy
    """
    there = [pod for pod in lab.client.list(POD, istiod.visible(lab)) if pod["status"].get("podIP")]
    # A pod on the host's network shares its address with others; the mesh never routes to one.
    own = [pod for pod in there if pod["metadata"]["namespace"] == lab.namespace and not pod["spec"].get("hostNetwork")]
    workloads = {pod["status"]["podIP"]: _workload(pod) for pod in own}
    sources = [pod for pod in there if pods.ready(pod) and proxies.has_proxy(pod) and _counts(lab, pod)]

    def edges(pod: dict) -> list[tuple]:
        counted = [
            host
            for cluster in envoy.clusters(lab, pod["metadata"]["name"], pod["metadata"]["namespace"])
            if _outbound(lab, cluster)
            for host in envoy.hosts(cluster)
        ]
        return [
            (_workload(pod), workloads[host["address"]], host["requests"])
            for host in counted
            if host["requests"] and host["address"] in workloads
        ]

    with ThreadPoolExecutor(4) as pool:
        rows = [row for found in pool.map(edges, sources) for row in found]
    table = pd.DataFrame(rows, columns=COLUMNS)
    return table.groupby(["source", "destination"], as_index=False).sum().sort_values("requests", ascending=False, ignore_index=True)


def _counts(lab, pod: dict) -> bool:
    return pod["metadata"]["namespace"] == lab.namespace or pods.labels(pod).get("istio") == "ingressgateway"


def _outbound(lab, cluster: dict) -> bool:
    return envoy.service_of(cluster["name"])[1] == lab.namespace


def _workload(pod: dict) -> str:
    return "ingressgateway" if pods.labels(pod).get("istio") == "ingressgateway" else pods.workload(pod)
