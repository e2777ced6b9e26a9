"""What the containers of a service have logged: the application's own lines, and the access log of its proxy."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import pandas as pd

from lab_helpers.core.errors import QueryError
from lab_helpers.kube import objects, pods
from lab_helpers.kube.kinds import POD, SERVICE
from lab_helpers.traffic import prometheus
from lab_helpers.traffic.prometheus import Window

WRITTEN = 1.5  # seconds: a proxy writes its access log once a second
COLUMNS = ["time", "pod", "container", "kind", "line"]
ACCESS = re.compile(r"\[\d{4}-\d\d-\d\dT[^\]]*\] \"|\{\".*response_code")


@objects.sentences("Reading logs")
def logs(lab, service: str, since: Window | str = "1m", container: str | None = None) -> pd.DataFrame:
    """Lines that the pods of a Service have logged, oldest first.

    Parameters
    ----------
    service : str
        A Service of the namespace, such as ``"reviews"``; ``"istio-ingressgateway"`` for the way in.
    since : Window or str
        A window from ``lab.window()``, or the last so and so much.
    container : str, optional
        Only that one: ``"istio-proxy"`` is the sidecar.

    Returns
    -------
    pandas.DataFrame
        One row a line:

        - time: when it was written (UTC)
        - pod, container
        - kind: ``access`` for a line of Envoy's access log, one a request; ``log`` for any other
        - line

    Raises
    ------
    QueryError
        No such Service, or none of its pods has such a container.
    TrafficError
        One of the logs cannot be read.
    """
    namespace = "istio-system" if service == "istio-ingressgateway" else lab.namespace
    found = {each["metadata"]["name"]: each for each in lab.client.list(SERVICE, namespace)}.get(service)
    if found is None:
        raise QueryError(f"Namespace {namespace} has no Service {service!r}.", "kubectl get services lists them.")
    there = lab.client.list(POD, namespace, found["spec"].get("selector"))
    places = [(pod, each) for pod in there for each in _containers(pod) if container in (None, each)]
    if not places:
        raise QueryError(f"Service {service} has no pod with a container {container or 'at all'}.", "kubectl describe pods lists them.")
    start, end = _range(lab, since)
    with ThreadPoolExecutor(4) as pool:
        rows = [row for found in pool.map(lambda place: _lines(lab, *place, start), places) for row in found]
    table = pd.DataFrame(rows, columns=COLUMNS)
    table["time"] = pd.to_datetime(table["time"], utc=True)
    return table[(table["time"] >= start) & (table["time"] <= end)].sort_values("time", ignore_index=True)


def _range(lab, since: Window | str) -> tuple[pd.Timestamp, pd.Timestamp]:
    if isinstance(since, Window):
        since.require_end()
        start, end = since.start, since.known + WRITTEN
    else:
        end = prometheus.clock(lab)
        start = end - prometheus.duration(since)
    return pd.Timestamp(start, unit="s", tz="UTC"), pd.Timestamp(end, unit="s", tz="UTC")


def _lines(lab, pod: dict, container: str, start: pd.Timestamp) -> list[tuple]:
    if pod["status"].get("phase") == "Pending":  # nothing has begun in it that could have logged
        return []
    # The API server takes whole seconds only; the caller sorts out the rest.
    text = pods.log(lab.client, pod, container, timestamps="true", sinceTime=start.strftime("%Y-%m-%dT%H:%M:%SZ"))
    lines, name = (line.partition(" ") for line in text.splitlines()), pod["metadata"]["name"]
    return [(time, name, container, "access" if ACCESS.match(text) else "log", text) for time, _, text in lines if text.strip()]


def _containers(pod: dict) -> list[str]:
    sidecars = [each for each in pod["spec"].get("initContainers") or [] if each.get("restartPolicy") == "Always"]
    return [each["name"] for each in (*pod["spec"]["containers"], *sidecars)]
