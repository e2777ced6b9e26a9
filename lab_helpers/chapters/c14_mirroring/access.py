"""What was logged of a request and of its copy: by the proxies in front of two versions, and by a program that writes."""

from __future__ import annotations

import re
import secrets

import pandas as pd

from lab_helpers.chapters.c14_mirroring.ends import sent_by_client
from lab_helpers.core.wait import wait_until
from lab_helpers.istio import envoy
from lab_helpers.kube import pods
from lab_helpers.kube.kinds import POD

# Istio's default format: after the time that the service took, five in quotes; then the cluster, which for what came in is inbound|….
LINE = re.compile(
    r'\] "(?P<request>[^"]*)" (?P<status>\d+) .* "(?P<forwarded>[^"]*)" "(?P<agent>[^"]*)" "(?P<id>[^"]*)" "(?P<host>[^"]*)"'
    r' "[^"]*" inbound\|'
)
COLUMNS = ["version", "request", "host", "request id", "forwarded for", "status"]
WRITTEN = 30.0  # seconds: Envoy writes its log once in a second or in ten


def unused(name: str) -> str:
    """A name that nobody has used before, by which a request is found again."""
    return f"{name}-{secrets.token_hex(3)}"


def heard(lab, agent: str, versions: tuple[str, ...] = ("v2", "v3"), service: str = "reviews") -> pd.DataFrame:
    """Look in the access logs of a service's proxies for the requests of a ``user-agent`` that came in.

    Parameters
    ----------
    agent : str
        As the request gave it; one that nobody else uses.
    versions : tuple of str
        Of the pods in whose logs it has to be.

    Returns
    -------
    pandas.DataFrame
        One row a request: ``version`` of the pod, ``request``, ``host``, ``request id``, ``forwarded for``, ``status``.

    Raises
    ------
    MeshError
        It was not logged in time.
    TrafficError
        One of the logs cannot be read.
    """
    there = {pods.labels(pod).get("version", ""): pod for pod in lab.client.list(POD, labels={"app": service})}
    rows: list[tuple] = []

    def found() -> bool:
        rows[:] = [row for version in versions if version in there for row in _lines(lab, there[version], version, agent)]
        return {row[0] for row in rows} >= set(versions)

    do = "Do the proxies write an access log? Istio's demo profile has them do so; else see meshConfig.accessLogFile."
    late = lambda: f"It is in that of {', '.join(sorted({row[0] for row in rows})) or 'none'}."  # noqa: E731
    wait_until(found, f"{agent!r} to be in the access logs of {' and '.join(versions)}", WRITTEN, every=0.2, late=late, do=do)
    return pd.DataFrame(rows, columns=COLUMNS)


def written(lab, path: str, service: str = "ratings") -> int:
    """How often the program of a service has logged a POST of `path`, once ``client``'s Envoy has nothing open there: copies are done, too.

    Raises
    ------
    MeshError
        Something stays open.
    TrafficError
        There is no ready pod ``client``, or the log of the program cannot be read.
    """
    wait_until(lambda: not sent_by_client(lab, service)["open"].sum(), f"requests to {service} to be done", WRITTEN, every=0.1)
    logs = [pods.log(lab.client, each, service) for each in lab.client.list(POD, labels={"app": service})]
    return sum(line.strip() == f"POST {path}" for log in logs for line in log.splitlines())


def _lines(lab, pod: dict, version: str, agent: str) -> list[tuple]:
    found = [read for line in envoy.access_log(lab.client, pod, 500) if (read := LINE.search(line)) and read["agent"] == agent]
    return [(version, each["request"], each["host"], each["id"], each["forwarded"], int(each["status"])) for each in found]
