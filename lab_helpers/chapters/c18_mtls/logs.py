"""What proxies write of a call into their access logs, whose words are Envoy's."""

from __future__ import annotations

import re
from collections.abc import Callable

import pandas as pd

from lab_helpers.core.errors import MeshError
from lab_helpers.core.wait import wait_until
from lab_helpers.kube import pods

LINE = re.compile(r'^\[\S+\] "(?P<request>[^"]*)" (?P<status>\d+) (?P<flags>\S+) (?P<details>\S+) ')
CLUSTER = re.compile(r"(?:outbound|inbound)\|\S+|PassthroughCluster|BlackHoleCluster")
LINES, LATE = 400, 15.0  # of a log that are looked at; seconds, for Envoy writes its log once in a while


def logged(lab, send: Callable[[], object], *apps: str, path: str = "") -> pd.DataFrame:
    """Have something sent, and return the line that the proxy of each of `apps` writes of it.

    Parameters
    ----------
    send : callable
        Without parameters.
    path : str
        What the request has in its path; a line of a connection in which no request was seen counts as well.

    Returns
    -------
    pandas.DataFrame
        By app: ``request`` (method and path, ``- -`` where none was seen), ``status`` (0 where none was given), ``flags``, ``cluster``
        (for whom it was; empty where that was not found out).

    Raises
    ------
    MeshError
        There is no ready pod of one of them, or its proxy writes nothing.
    """
    before = {app: set(_log(lab, app)) for app in apps}
    send()
    found: dict[str, dict[str, str]] = {}

    def all_written() -> bool:
        for app in before.keys() - found.keys():
            lines = [read(line) for line in _log(lab, app) if line not in before[app]]
            if fitting := [each for each in lines if each and (path in each["request"] or each["request"].startswith("-"))]:
                found[app] = fitting[-1]
        return len(found) == len(before)

    do = "Does the mesh write access logs? See accessLogFile in its settings."
    wait_until(all_written, f"the proxies of {' and '.join(apps)} to write their logs", LATE, 0.1, do=do)
    return pd.DataFrame([found[app] for app in apps], index=pd.Index(apps, name="proxy of"))


def read(line: str) -> dict[str, str] | None:
    """A line of an access log in Istio's format; None of any other line."""
    told = LINE.match(line)
    if told is None:
        return None
    cluster = CLUSTER.search(line)
    request = re.sub(r" (HTTP/\S+|-)$", "", told["request"])
    return {"request": request, "status": told["status"], "flags": told["flags"], "cluster": cluster[0] if cluster else ""}


def printed(lab, app: str, **options: int) -> str:
    """What the proxy's container of `app` has printed, Envoy and the agent beside it; `options` are those of the API server for logs.

    Raises
    ------
    MeshError
        There is no such pod that is ready.
    """
    pod = pods.ready_pod(lab.client, app)
    if pod is None:
        raise MeshError(f"There is no ready pod {app!r} in namespace {lab.namespace}.", "kubectl get pods lists them.")
    path = f"/api/v1/namespaces/{lab.namespace}/pods/{pod['metadata']['name']}/log"
    return lab.client.raw(path, {"container": "istio-proxy", **options}).text


def _log(lab, app: str) -> list[str]:
    return printed(lab, app, tailLines=LINES).splitlines()
