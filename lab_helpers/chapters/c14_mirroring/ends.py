"""What was counted at the two ends of each call: by the proxy that sends, and by the one in front of who answers."""

from __future__ import annotations

import pandas as pd

from lab_helpers.core.wait import wait_until
from lab_helpers.istio import envoy
from lab_helpers.kube import pods
from lab_helpers.kube.kinds import POD
from lab_helpers.traffic import graph
from lab_helpers.traffic.prometheus import Window

ENDS = {"source": "counted by callers", "destination": "counted on arrival"}
SERVICES = ("reviews", "ratings")
GIVEN_UP = 30.0  # seconds in which a timeout of a few has to have shown


def both_ends(lab, window: Window) -> pd.DataFrame:
    """The requests of a window to ``reviews`` and ``ratings``, by ``istio_requests_total`` of both reporters.

    Returns
    -------
    pandas.DataFrame
        One row a workload that was called (the index), and a column for each of the two ends.

    Raises
    ------
    QueryError
        Prometheus is not there, or the window has not ended.
    """
    columns = {}
    for reporter, name in ENDS.items():
        told = graph.requests(lab, window, "destination_service_name", "destination_workload", reporter=reporter)
        told = told[told["destination_service_name"].isin(SERVICES) & (told["requests"] > 0)]
        columns[name] = told.groupby("destination_workload")["requests"].sum()
    return pd.DataFrame(columns).fillna(0).astype(int).sort_index(ascending=False).rename_axis("workload")


def sent_by_client(lab, service: str = "reviews") -> pd.DataFrame:
    """What ``client``'s own Envoy has sent to each version of a service since it knows it, copies as well.

    Returns
    -------
    pandas.DataFrame
        One row a version (the index): ``requests``, ``open`` (of these: not answered yet) and ``failed`` (answered by 5xx, or cut off).

    Raises
    ------
    TrafficError
        There is no ready pod ``client``.
    """
    client = pods.require_ready(lab.client, "client", 'lab.apply("shared/client.yaml")')
    versions = {pod["status"].get("podIP"): pods.labels(pod).get("version", "") for pod in lab.client.list(POD, labels={"app": service})}
    rows: dict[str, list[int]] = {}
    for cluster in envoy.clusters(lab, client["metadata"]["name"]):
        if envoy.service_of(cluster["name"]) != (service, lab.namespace):
            continue
        for host in cluster.get("host_statuses", []):
            version = versions.get(host["address"].get("socket_address", {}).get("address", ""))
            counters = {each["name"]: int(each.get("value", 0)) for each in host.get("stats", [])}
            counted = [counters.get(name, 0) for name in ("rq_total", "rq_active", "rq_error")]
            if version and counted[0]:
                rows[version] = [one + other for one, other in zip(rows.get(version, [0, 0, 0]), counted, strict=True)]
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["requests", "open", "failed"])
    return table.sort_index().rename_axis("version")


def given_up(lab, version: str, number: int, service: str = "reviews") -> pd.DataFrame:
    """What ``client``'s Envoy has sent, once so many requests to a version have failed or were cut off; see `sent_by_client`.

    Raises
    ------
    MeshError
        They were not so many in time.
    TrafficError
        There is no ready pod ``client``.
    """
    table = sent_by_client(lab, service)

    def enough() -> bool:
        nonlocal table
        table = sent_by_client(lab, service)
        return table["failed"].get(version, 0) >= number

    so_far = lambda: f"there are {table['failed'].get(version, 0)}."  # noqa: E731
    do = "Does the route of that mirror have a timeout? Without one they are waited for."
    wait_until(enough, f"{number} failed requests to {version}", GIVEN_UP, every=0.2, late=so_far, do=do)
    return table
