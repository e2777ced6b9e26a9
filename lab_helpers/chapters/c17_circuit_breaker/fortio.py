"""Load by fortio, from its pod in the mesh: so many connections, so many requests, and what came of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from html import escape

from lab_helpers.core.errors import TrafficError
from lab_helpers.kube import channels, pods
from lab_helpers.show.render import PRE, block
from lab_helpers.traffic import observe

MOST, SECONDS = 1000, 30.0  # requests and seconds of one run at most


@dataclass(frozen=True)
class Load:
    """One run of fortio.

    Attributes
    ----------
    command : str
        The line that does the same in a terminal.
    connections : int
        Over which it sent, one request at a time on each.
    codes : dict of int to int
        Requests by HTTP status; -1 where the connection failed.
    ms : float
        Mean duration of those that were answered 200, in milliseconds; NaN where none was.
    seconds : float
        How long the run took.
    """

    command: str
    connections: int
    codes: dict[int, int]
    ms: float
    seconds: float = field(compare=False)

    @property
    def requests(self) -> int:
        """How many were sent."""
        return sum(self.codes.values())

    @property
    def refused(self) -> int:
        """How many were answered 503."""
        return self.codes.get(503, 0)

    def __str__(self) -> str:
        lines = [f"Code {code} : {count} ({100 * count / self.requests:.1f} %)" for code, count in sorted(self.codes.items())]
        mean = f"{self.ms:.1f} ms for a 200 on average, " if self.codes.get(200) else ""
        return "\n".join([f"$ {self.command}", *lines, f"{mean}{self.requests / self.seconds:.0f} requests a second"])

    def _repr_pretty_(self, printer, cycle) -> None:
        printer.text(str(self))

    def _repr_html_(self) -> str:
        command, *lines = str(self).splitlines()
        return block(f'<pre style="{PRE}; opacity: .75">{escape(command)}</pre><pre style="{PRE}">{escape(chr(10).join(lines))}</pre>')


def load(
    lab, connections: int, requests: int, service: str = "productpage", every: float = 0, app: str = "fortio", path: str | None = None
) -> Load:
    """Send `requests` to `service` over so many connections at a time, by ``fortio load`` in the pod of `app`.

    Parameters
    ----------
    connections : int
        Callers, 1 to 64: each waits for its answer before it asks again.
    requests : int
        In all, at most 1,000.
    every : float
        Seconds between two requests of one caller; all callers ask at the same moment. 0: each asks again at once.
    path : str, optional
        What to ask for; known for Bookinfo's services.

    Raises
    ------
    TrafficError
        Too many, no such Service, no pod of fortio, or fortio could not send.
    """
    if not 1 <= connections <= 64 or not connections <= requests <= MOST:
        raise TrafficError(
            f"{requests} requests over {connections} connections is out of range.",
            f"Take 1 to 64 connections, and as many requests as connections up to {MOST:,}.",
        )
    found = observe.find_service(lab, service)
    url = f"http://{service}:{found['spec']['ports'][0]['port']}{path or observe.MESH_PATHS.get(service, '/')}"
    qps = f"{connections / every:g}" if every else "0"
    words = ["fortio", "load", "-qps", qps, "-c", str(connections), "-n", str(requests), url]
    told = [*words[:2], "-quiet", "-timeout", "10s", "-json", "-", *words[2:]]
    answer = channels.execute(lab.client, pod_of(lab, app), "fortio", told, deadline=SECONDS + requests * every)
    try:
        return read(json.loads(answer.stdout), f"kubectl exec deploy/{app} -c fortio -- {' '.join(words)}")
    except (ValueError, KeyError):
        said = answer.stderr.strip().splitlines()
        raise TrafficError(f"fortio sent nothing: {said[-1] if said else 'it said nothing'}", "See its pod: kubectl get pods.") from None


def at_once(*calls: Callable) -> list:
    """What each of `calls` returns, all of them begun at the same time."""
    with ThreadPoolExecutor(len(calls)) as pool:
        return [each.result() for each in [pool.submit(call) for call in calls]]


def read(told: dict, command: str = "") -> Load:
    """What fortio's JSON says."""
    every, errors = told["DurationHistogram"], told.get("ErrorsDurationHistogram") or {"Count": 0, "Sum": 0.0}
    codes = {int(code): count for code, count in told["RetCodes"].items()}
    answered = every["Count"] - errors["Count"]
    ms = 1000 * (every["Sum"] - errors["Sum"]) / answered if answered else float("nan")
    return Load(command, told["NumThreads"], codes, ms, told["ActualDuration"] / 1e9)


def pod_of(lab, app: str) -> str:
    """The name of a ready pod of `app`.

    Raises
    ------
    TrafficError
        There is none.
    """
    return pods.require_ready(lab.client, app, 'lab.apply("17_circuit_breaker/01-fortio.yaml")')["metadata"]["name"]
