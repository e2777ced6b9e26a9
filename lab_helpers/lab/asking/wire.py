"""What can be read between the pods by whoever sits on their node: the bytes themselves, not what anybody says of them."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from threading import Thread
from uuid import uuid4

import pandas as pd
from kubernetes.client import ApiClient, ApiException, CoreV1Api
from kubernetes.watch import Watch

from lab_helpers.core.errors import MeshError, TrafficError
from lab_helpers.kube import channels, objects, pods, rollout
from lab_helpers.kube.kinds import DEPLOYMENT, POD, SERVICE

NAME = "eavesdropper"
COLUMNS = ["source", "destination", "bytes", "legible", "text"]
# A datagram to nobody. It passes the same ears in the same order, so what comes before it in the log came before it in time.
MARK = 'import socket, sys; socket.socket(type=socket.SOCK_DGRAM).sendto(sys.argv[1].encode(), ("127.0.0.1", 9080))'
PATIENCE = 15  # seconds until a mark is heard
TAIL = 2_000  # lines that may come before one is listened to


@objects.sentences("Eavesdropping")
def overhear(lab, *lines: str | Callable[[], object], at: str = "productpage") -> pd.DataFrame:
    """Run commands, one after the other, and return what the eavesdropper has read meanwhile.

    Parameters
    ----------
    *lines : str or callable
        As for ``lab.run``; or a function without parameters that sends something, such as one that may fail.
    at : str
        ``app`` label of a pod that takes part: what reaches it passes its node, so that is where the eavesdropper is moved, if there are
        several nodes and it is on another one.

    Returns
    -------
    pandas.DataFrame
        One row a packet between two pods of the namespace (or a pod and a Service), in order, and once however often it was heard:

        - source, destination: ``app-version`` of a pod, or name of a Service
        - bytes: length of what the packet carries
        - legible: whether that is text
        - text: the same with a dot for each byte that is none

    Raises
    ------
    TrafficError
        The eavesdropper is not there, or nobody at whose node it could listen, or its log cannot be read.
    MeshError
        It does not hear its own marks, or does not start where it was moved.
    """
    pod = _eavesdropper(lab, at)
    with _following(lab, pod) as log:
        _until(_mark(lab, pod), log)
        try:
            for line in lines:
                line() if callable(line) else lab.run(line)
        finally:
            end = _mark(lab, pod)
        between = _until(end, log)
    names = _names(lab)
    rows = [json.loads(line) for line in between]
    known = [row for row in rows if row["source"] in names and row["destination"] in names]
    once: dict[tuple, dict] = {}  # a packet passes several devices of a node, and its address may be changed between them
    for row in known:
        once.setdefault((row["sequence"], row["bytes"], row["text"]), row)
    told = [{**row, "source": names[row["source"]], "destination": names[row["destination"]]} for row in once.values()]
    return pd.DataFrame(told, columns=COLUMNS)


def _mark(lab, pod: str) -> str:
    """Send a datagram to nobody that the eavesdropper hears, and return what is in it."""
    text = uuid4().hex
    done = channels.execute(lab.client, pod, NAME, ["python3", "-c", MARK, text])
    if done.code:
        raise TrafficError(f"The eavesdropper cannot send: {done.stderr.strip()}", f"Make it anew: kubectl delete pod {shlex.quote(pod)}.")
    return text


@contextmanager
def _following(lab, pod: str) -> Iterator[SimpleQueue[str | Exception]]:
    """The lines of the eavesdropper's log as they come, and whatever puts an end to them.

    It hears everybody on its node. With neighbours at work its log is soon so long that the kubelet begins another, and what the first one
    held cannot be asked for any more: so it is read from the start.
    """
    log: SimpleQueue[str | Exception] = SimpleQueue()
    watch = Watch()

    def read() -> None:
        try:
            for line in _lines(lab, watch, pod):
                log.put(line)
            reason = "has ended"
        except ApiException as error:
            reason = f"cannot be read ({error.status})"
        except Exception as error:  # raised where the lines are wanted
            reason = f"cannot be read ({error})"
        log.put(TrafficError(f"The log of {pod} {reason}.", "See whether it still runs: kubectl get pods."))

    Thread(target=read, daemon=True).start()
    try:
        yield log
    finally:
        watch.stop()


def _lines(lab, watch: Watch, pod: str) -> Iterator[str]:
    api = CoreV1Api(ApiClient(lab.client.configuration))
    return watch.stream(api.read_namespaced_pod_log, pod, lab.namespace, tail_lines=TAIL)


def _until(mark: str, log: SimpleQueue[str | Exception]) -> list[str]:
    """The lines that come before a mark; one that was heard before, once for each device that it passed, may be among them."""
    before: list[str] = []
    within = time.monotonic() + PATIENCE
    while True:
        try:
            line = log.get(timeout=max(within - time.monotonic(), 0.001))
        except Empty:
            what = f"After {PATIENCE} s the eavesdropper has not heard a packet that was sent for it to hear."
            raise MeshError(what, "kubectl logs deploy/eavesdropper shows what it hears.") from None
        if isinstance(line, Exception):
            raise line
        if mark in line:
            return before
        before.append(line)


def _eavesdropper(lab, at: str) -> str:
    """The eavesdropper's pod, on the node of a ready pod of `at`."""
    pod = pods.ready_pod(lab.client, NAME)
    if pod is None:
        raise TrafficError(
            f"Nobody eavesdrops in namespace {lab.namespace}.", 'lab.apply("01_service_mesh/02-eavesdropper.yaml") puts somebody there.'
        )
    there = pods.require_ready(lab.client, at)
    node = there["spec"].get("nodeName")
    if pod["spec"].get("nodeName") == node:
        return pod["metadata"]["name"]
    lab.client.patch(DEPLOYMENT, NAME, {"spec": {"template": {"spec": {"nodeName": node}}}})
    rollout.complete(lab.client, [NAME])
    return pods.require_ready(lab.client, NAME)["metadata"]["name"]


def _names(lab) -> dict[str, str]:
    """Who has which address: the pods of the namespace, but for those on their node's own, and its Services."""
    services = {each["spec"].get("clusterIP"): each["metadata"]["name"] for each in lab.client.list(SERVICE)}
    own = [pod for pod in lab.client.list(POD) if pod["status"].get("podIP") and not pod["spec"].get("hostNetwork")]
    return services | {pod["status"]["podIP"]: pods.workload(pod) for pod in own}
