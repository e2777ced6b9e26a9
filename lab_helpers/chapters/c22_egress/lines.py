"""What a proxy's access log says of the requests in between."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import uuid4

from lab_helpers.core.wait import wait_until
from lab_helpers.istio import envoy
from lab_helpers.kube import channels, pods
from lab_helpers.kube.commands import Output

FLUSHED = 15.0  # seconds: a proxy writes its log every second, or every ten


@dataclass
class Lines:
    """Lines of an access log, the newest last."""

    command: str
    found: list[str] = field(default_factory=list)

    @property
    def shown(self) -> Output:
        """The same as what a terminal would print."""
        return Output(self.command, "\n".join(self.found))


@contextmanager
def logged(lab, n: int, app: str = "client") -> Iterator[Lines]:
    """Within it, requests are sent by `app`; after it, the `n` lines that its proxy has written of them are there.

    Raises
    ------
    MeshError
        It has not written so many.
    TrafficError
        There is no ready pod of `app`, or its log cannot be read.
    """
    pod, mark = pods.require_ready(lab.client, app), f"/{uuid4().hex}"
    # Lines of requests from before may still be on their way into the log: what is looked for comes after the line of this one.
    channels.execute(lab.client, pod["metadata"]["name"], app, ["curl", "-s", "-o", "/dev/null", f"http://details:9080{mark}"])
    lines = Lines(f"kubectl logs deployment/{app} -c istio-proxy --tail {n}")
    yield lines

    def written() -> bool:
        found = envoy.access_log(lab.client, pod)
        lines.found = found[next((at for at, line in enumerate(found, 1) if mark in line), len(found)) :]
        return len(lines.found) >= n

    late = lambda: f"it has {len(lines.found)}."  # noqa: E731
    wait_until(written, f"{n} lines in the log of {app}'s proxy", FLUSHED, 0.1, late, do="Is its access log on?")
