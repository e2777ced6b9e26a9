"""What the program behind a Service has heard, by its own log: whatever proxies did on the way, here is what came of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import pandas as pd

from lab_helpers.core.wait import wait_until
from lab_helpers.kube import channels, pods

APP, PORT = "httpbin", 8080
LINES = 20_000
# The mark at the end takes a moment itself: a request that somebody has given up is logged when httpbin learns of it.
BEGIN, END = "/status/200", "/delay/0.2"


class Heard:
    """The requests that httpbin has answered, one row each: method, path, status.

    Parameters
    ----------
    requests : pandas.DataFrame
    """

    def __init__(self, requests: pd.DataFrame | None = None):
        self.requests = pd.DataFrame(columns=["method", "path", "status"]) if requests is None else requests

    @property
    def times(self) -> int:
        """How many they were."""
        return len(self.requests)

    @property
    def paths(self) -> list[str]:
        """The paths that were asked for, in the order of the answers."""
        return list(self.requests["path"])

    @property
    def together(self) -> pd.DataFrame:
        """Alike ones in one row, and how many times."""
        return self.requests.groupby(["method", "path", "status"], sort=False).size().reset_index(name="times")

    def __repr__(self) -> str:
        rows = [f"{each.times} × {each.method} {each.path}, answered {each.status}" for each in self.together.itertuples()]
        return "httpbin has heard: " + ("; ".join(rows) or "nothing")

    def _repr_html_(self) -> str:
        return "<div>httpbin has heard:</div>" + (self.together.to_html(index=False) if self.times else "<div>nothing</div>")


@contextmanager
def listening(lab) -> Iterator[Heard]:
    """Read what httpbin logs while the block lasts.

    Yields
    ------
    Heard
        Complete when the block has ended.

    Raises
    ------
    TrafficError
        httpbin does not run, or its log cannot be read.
    """
    pod = pods.require_ready(lab.client, APP, 'lab.apply("09_virtual_service/05-httpbin.yaml")')
    heard = Heard()
    begin = _mark(lab, pod, BEGIN)
    yield heard
    end = _mark(lab, pod, END)

    def complete() -> str:
        text = pods.log(lab.client, pod, APP, tailLines=LINES)
        return text if f'{end}"' in text else ""

    log = wait_until(complete, "httpbin's log", 10, 0.02, do=f"kubectl logs deployment/{APP} -c {APP}")
    heard.requests = answered(log, begin, end)


def answered(log: str, begin: str, end: str) -> pd.DataFrame:
    """The requests between two marks of a log."""
    told = log.partition(begin)[2].partition("\n")[2].partition(end)[0]
    lines = [json.loads(line) for line in told.splitlines() if line.startswith("{") and line.endswith("}")]  # the end's own is cut off
    rows = [(each["method"], each["uri"], each["status"]) for each in lines if "uri" in each]
    return pd.DataFrame(rows, columns=["method", "path", "status"])


def _mark(lab, pod: dict, path: str) -> str:
    """Have httpbin log something that can be found again, by a way that no proxy is on: the pod's own loopback."""
    mark = f"mark={uuid4().hex}"
    channels.get(lab.client, lab.namespace, pod["metadata"]["name"], PORT, f"{path}?{mark}")
    return mark
