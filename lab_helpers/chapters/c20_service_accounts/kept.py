"""A connection that is opened before a change and used again after it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

from lab_helpers.chapters.c20_service_accounts.asking import PATHS
from lab_helpers.core.errors import MeshError, TrafficError
from lab_helpers.core.wait import wait_until
from lab_helpers.kube import channels, objects, pods

APP = "productpage"  # its image has Python
MOST = 60  # requests afterwards, if none of them is denied
PATIENCE = 90  # seconds that the connection is held for

PROGRAM = """
import http.client, os, sys, time
host, path, sign, most, patience = sys.argv[1:]
connection = http.client.HTTPConnection(host, 9080, timeout=10)
def ask():
    connection.request("GET", path)
    answer = connection.getresponse()
    answer.read()
    print(answer.status, connection.sock.getsockname()[1] if connection.sock else 0, flush=True)
    return answer.status
ask()
open(sign, "w").close()
end = time.monotonic() + float(patience)
while os.path.exists(sign) and time.monotonic() < end:
    time.sleep(0.02)
denied = 0
for _ in range(int(most)):
    denied = denied + 1 if ask() == 403 else 0
    if denied == 3:
        break
"""


@dataclass
class Kept:
    """What was answered over one connection.

    Attributes
    ----------
    before : int
        Status of the first answer, from before the change.
    after : list of int
        Those from after it, up to the third 403 in a row.
    """

    before: int = 0
    after: list[int] = field(default_factory=list)


@contextmanager
def kept_open(lab, service: str) -> Iterator[Kept]:
    """Hold a connection from `productpage` to `service` open meanwhile: ask once as it is opened, and at the end until it is denied.

    The connection is that of the program to its own proxy; the proxy keeps its own, to the proxy of the service, for the next request.

    Raises
    ------
    TrafficError
        No such service, or no ready pod to ask from.
    MeshError
        The program could not ask, or the connection was closed in between.
    """
    if service not in PATHS:
        raise TrafficError(f"{service!r} is not a service of Bookinfo.", f"Choose among: {', '.join(PATHS)}.")
    with objects.sentences("Keeping a connection open"):
        pod = pods.require_ready(lab.client, APP)
        name, sign = pod["metadata"]["name"], f"/tmp/kept-{uuid.uuid4().hex}"
        arguments = [service, PATHS[service], sign, str(MOST), str(PATIENCE)]
        kept = Kept()
        with ThreadPoolExecutor(1) as pool:
            held = pool.submit(channels.execute, lab.client, name, APP, ["python3", "-c", PROGRAM, *arguments], PATIENCE + 30)
            try:
                there = lambda: held.done() or not channels.execute(lab.client, name, APP, ["test", "-e", sign]).code  # noqa: E731
                wait_until(there, f"{APP} to open a connection to {service}", 20, do="kubectl get pods.")
                yield kept
            finally:
                channels.execute(lab.client, name, APP, ["rm", "-f", sign])
            done = held.result()
        answers = [[int(each) for each in line.split()] for line in done.stdout.splitlines()]
        if done.code or len(answers) < 2:
            raise MeshError(f"{APP} could not ask {service}: {done.stderr.strip()[-200:]}", "Look at the pod: kubectl get pods.")
        if len({port for _, port in answers}) > 1:
            raise MeshError(f"The connection from {APP} to its proxy was closed in between.", "Run the cell again.")
        kept.before, kept.after = answers[0][0], [status for status, _ in answers[1:]]
