"""Which pods of a service fortio's proxy uses, and which it leaves out because they have failed too often."""

from __future__ import annotations

import time

import pandas as pd

from lab_helpers.chapters.c17_circuit_breaker.fortio import pod_of
from lab_helpers.chapters.c17_circuit_breaker.proxy import cluster_name
from lab_helpers.core.wait import wait_until
from lab_helpers.istio import envoy, gateway
from lab_helpers.kube.kinds import POD

COLUMNS = ["version", "left_out", "requests", "failed"]
BACK = 30.0  # seconds


def endpoints(lab, service: str = "reviews", app: str = "fortio") -> pd.DataFrame:
    """The pods of `service` as the proxy of `app` sees them.

    Returns
    -------
    pandas.DataFrame
        One row a pod:

        - version: its label
        - left_out: whether outlier detection has ejected it
        - requests, failed: how many this proxy has sent there since it knows the pod, and how many of them failed

    Raises
    ------
    TrafficError
        No pod of `app`, or no such Service.
    """
    addresses = {pod["status"].get("podIP"): pod["metadata"]["name"] for pod in lab.client.list(POD)}
    versions, wanted = gateway.versions(lab), cluster_name(lab, service)
    known = next((each for each in envoy.clusters(lab, pod_of(lab, app)) if each["name"] == wanted), {})
    rows = []
    for status, host in zip(known.get("host_statuses", []), envoy.hosts(known), strict=True):
        left_out = bool(status.get("health_status", {}).get("failed_outlier_check"))
        rows.append((versions.get(addresses.get(host["address"])) or host["address"], left_out, host["requests"], host["errors"]))
    return pd.DataFrame(rows, columns=COLUMNS).sort_values("version", ignore_index=True)


def until_back(lab, service: str = "reviews", app: str = "fortio") -> float:
    """Wait until the proxy of `app` leaves out no pod of `service` any more; return the seconds that it took.

    Raises
    ------
    MeshError
        It still does after half a minute.
    """
    began = time.monotonic()
    wait_until(
        lambda: not endpoints(lab, service, app)["left_out"].any(),
        f"the proxy of {app} to take every pod of {service} back",
        BACK,
        0.1,
        do="A pod that goes on failing is left out longer each time: does it answer 200 now?",
    )
    return time.monotonic() - began
