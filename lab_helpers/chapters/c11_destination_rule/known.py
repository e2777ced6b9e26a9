"""What the proxy of one pod knows of a Service: its clusters, with the policy of each, and the pods behind it."""

from __future__ import annotations

import re

import pandas as pd

from lab_helpers.istio import envoy
from lab_helpers.kube import channels, pods
from lab_helpers.kube.kinds import POD
from lab_helpers.traffic import observe

COLUMNS = ["port", "subset", "policy", "connect_timeout", "pods", "rule"]
RULE = re.compile(r".*/namespaces/([^/]+)/destination-rule/([^/]+)")
DUMP = "/config_dump?resource=dynamic_active_clusters"


def clusters(lab, service: str, client: str = "client") -> pd.DataFrame:
    """Each of Envoy's clusters for `service`, as the proxy of a pod has it: what a DestinationRule has come to.

    Parameters
    ----------
    service : str
        Name of a Service in the lab's namespace.
    client : str
        Label ``app`` of the pod whose proxy is asked.

    Returns
    -------
    pandas.DataFrame
        One row a cluster:

        - port: of the Service
        - subset: empty for the whole Service
        - policy: how a pod is chosen, in Envoy's words (``RING_HASH`` is Istio's consistentHash)
        - connect_timeout: how long a connection may take to come about, such as ``10s``
        - pods: the workloads it leads to
        - rule: the DestinationRule that is in force, ``NAME.NAMESPACE``; empty where there is none

    Raises
    ------
    TrafficError
        There is no such Service, or no such pod that is ready.
    """
    observe.find_service(lab, service)
    pod = _name(lab, client)
    dump = channels.get_json(lab.client, lab.namespace, pod, envoy.ADMIN, DUMP)
    settings = {each["cluster"]["name"]: each["cluster"] for each in dump.get("configs") or [] if "cluster" in each}
    workloads = {each["status"].get("podIP"): pods.workload(each) for each in lab.client.list(POD)}
    rows = []
    for each in envoy.clusters(lab, pod):
        name = each["name"]
        if envoy.service_of(name) == (service, lab.namespace) and name in settings:
            _, port, subset, _ = name.split("|")
            behind = sorted({workloads.get(host["address"], host["address"]) for host in envoy.hosts(each) if host["healthy"]})
            cluster = settings[name]
            # What has the first value of its kind, Envoy leaves out of what it shows.
            policy = cluster.get("lb_policy", "ROUND_ROBIN")
            rows.append((int(port), subset, policy, cluster.get("connect_timeout", ""), ", ".join(behind), rule_of(cluster)))
    return pd.DataFrame(rows, columns=COLUMNS).sort_values(["port", "subset"], ignore_index=True)


def rule_of(cluster: dict) -> str:
    """The DestinationRule that istiod notes at a cluster, ``NAME.NAMESPACE``; empty where it has used none.

    Examples
    --------
    >>> noted = {"config": "/apis/networking.istio.io/v1/namespaces/default/destination-rule/reviews"}
    >>> rule_of({"metadata": {"filter_metadata": {"istio": noted}}})
    'reviews.default'
    """
    noted = cluster.get("metadata", {}).get("filter_metadata", {}).get("istio", {}).get("config", "")
    found = RULE.fullmatch(noted)
    return f"{found[2]}.{found[1]}" if found else ""


def workers(lab, client: str) -> int:
    """How many worker threads the proxy of the pod labelled ``app=client`` has; each balances for itself.

    Raises
    ------
    TrafficError
        There is no such pod that is ready.
    """
    told = channels.get_json(lab.client, lab.namespace, _name(lab, client), envoy.ADMIN, "/server_info")
    return int(told["command_line_options"]["concurrency"])


def _name(lab, app: str) -> str:
    return pods.require_ready(lab.client, app)["metadata"]["name"]
