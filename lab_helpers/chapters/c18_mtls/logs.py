"""What a proxy has written of its last request: by the access log, whose words are Envoy's."""

from __future__ import annotations

import re

import pandas as pd

from lab_helpers.core.errors import MeshError
from lab_helpers.kube import pods

LINE = re.compile(r'^\[\S+\] "(?P<request>[^"]*)" (?P<status>\d+) (?P<flags>\S+) (?P<details>\S+) ')
TARGET = re.compile(r"(?P<cluster>(?:out|in)bound\|\S+|PassthroughCluster|BlackHoleCluster)")


def last(lab, *apps: str, path: str = "") -> pd.DataFrame:
    """The last line that the proxy of each of `apps` has in its access log.

    Parameters
    ----------
    path : str
        Only of requests with this in them, or of those of which a proxy has seen no request at all.

    Returns
    -------
    pandas.DataFrame
        By app: ``request`` (method and path, ``- - -`` where none was seen), ``status`` (0 where no answer was given), ``flags``,
        ``cluster`` (whom the request was for; empty where that was not decided).

    Raises
    ------
    MeshError
        There is no ready pod of one of them with a proxy, or its proxy has written nothing.
    """
    return pd.DataFrame([read(_log(lab, app), path, app) for app in apps], index=pd.Index(apps, name="proxy of"))


def read(log: str, path: str = "", app: str = "a pod") -> dict[str, str]:
    """The last line of a log that is an access log's.

    Raises
    ------
    MeshError
        There is none.
    """
    for line in reversed(log.splitlines()):
        found = LINE.match(line)
        if found and (path in found["request"] or found["request"].startswith("-")):
            target = TARGET.search(line)
            request = found["request"].removesuffix(" HTTP/1.1")
            return {"request": request, "status": found["status"], "flags": found["flags"], "cluster": target["cluster"] if target else ""}
    raise MeshError(f"The proxy of {app} has logged no request.", "Does the mesh write access logs? See accessLogFile in its settings.")


def _log(lab, app: str) -> str:
    pod = pods.ready_pod(lab.client, app)
    if pod is None:
        raise MeshError(f"There is no ready pod {app!r} in namespace {lab.namespace}.", "kubectl get pods lists them.")
    path = f"/api/v1/namespaces/{lab.namespace}/pods/{pod['metadata']['name']}/log"
    return lab.client.raw(path, {"container": "istio-proxy", "tailLines": 60}).text
