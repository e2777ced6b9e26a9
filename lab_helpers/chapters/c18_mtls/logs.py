"""What proxies write of a call into their access logs, whose words are Envoy's."""

from __future__ import annotations

import re
from collections.abc import Callable

import pandas as pd

from lab_helpers.core.wait import wait_until
from lab_helpers.istio import envoy
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
        The proxy of one of them writes nothing.
    TrafficError
        There is no ready pod of one of them, or its log cannot be read.
    """
    there = {app: pods.require_ready(lab.client, app) for app in apps}
    before = {app: set(envoy.access_log(lab.client, pod, LINES)) for app, pod in there.items()}
    send()
    found: dict[str, dict[str, str]] = {}

    def all_written() -> bool:
        for app in before.keys() - found.keys():
            lines = [read(line) for line in envoy.access_log(lab.client, there[app], LINES) if line not in before[app]]
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
