"""What ``kubectl exec`` and ``kubectl port-forward`` speak: the channels of one WebSocket, carried by the API server.

Both are the official client's, `WSClient` and `PortForward`, but not its function `stream`: that one exchanges a method of the client
while it works, and so serves one thread at a time. Without the two commands there is no process, and no local port, that could outlive
the notebook.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from http.client import HTTPConnection, HTTPException
from typing import NamedTuple, TypeVar
from urllib.parse import urlencode

import websocket
from kubernetes.stream import ws_client
from kubernetes.stream.ws_client import ERROR_CHANNEL, STDERR_CHANNEL, STDOUT_CHANNEL, V4_CHANNEL_PROTOCOL, PortForward, WSClient

from lab_helpers.core.errors import ClusterError, MeshError
from lab_helpers.kube.client import Client

Result = TypeVar("Result")
TIMEOUT = 10.0  # seconds without a byte
websocket.setdefaulttimeout(TIMEOUT)  # the official client gives none, and the library's own is for ever


class Done(NamedTuple):
    """What a command in a container printed, and its exit code."""

    stdout: str
    stderr: str
    code: int


def get(client: Client, namespace: str, pod: str, port: int, path: str) -> bytes:
    """GET `path` from `port` of `pod`, which may listen on the pod's loopback only: Envoy's admin or istiod's debug port.

    Raises
    ------
    MeshError
        The pod is gone, nothing listens there, or the answer was not 200.
    """
    where = f"{namespace}/{pod}:{port}{path}"
    connection = _forwarded(client, namespace, pod, port, where)
    kept, key = _kept.get(), (client.context.name, namespace, pod, port)
    if kept is None:
        with connection as opened:
            status, body = _ask(opened, path, where)
    elif key in kept:
        try:
            status, body = _ask(kept[key], path, where)
        except MeshError:  # whoever listened may have been restarted since: ask over a new one
            del kept[key]
            return get(client, namespace, pod, port, path)
    else:
        kept[key] = kept["stack"].enter_context(connection)
        status, body = _ask(kept[key], path, where)
    if status != 200:
        raise MeshError(f"{where} answered {status}: {body.decode(errors='replace').strip()[:200]}", "See the pod's log.")
    return body


@contextmanager
def kept() -> Iterator[None]:
    """Within it, `get` keeps each connection for the next question: to open one takes five times as long as an answer."""
    if _kept.get() is not None:
        yield
        return
    with ExitStack() as stack:
        before = _kept.set({"stack": stack})
        try:
            yield
        finally:
            _kept.reset(before)


def remembered(key: Hashable, seconds: float, ask: Callable[[], Result]) -> Result:
    """Within `kept`, what `ask` has answered at most so many `seconds` ago; anywhere else, what it answers now."""
    kept = _kept.get()
    if kept is None:
        return ask()
    when, answer = kept.get(key, (float("-inf"), None))
    if time.monotonic() - when > seconds:
        when, answer = kept[key] = time.monotonic(), ask()
    return answer


def forget(key: Hashable) -> None:
    """Have `remembered` ask again."""
    (_kept.get() or {}).pop(key, None)


_kept: ContextVar[dict | None] = ContextVar("kept", default=None)


def get_json(client: Client, namespace: str, pod: str, port: int, path: str):
    """GET `path` and parse the answer as JSON; see `get`, and so for one that is none."""
    answer = get(client, namespace, pod, port, path)
    try:
        return json.loads(answer)
    except ValueError as error:
        said = answer.decode(errors="replace").strip()[:200]
        what = f"{namespace}/{pod}:{port}{path} answered what is no JSON: {said or 'nothing'}"
        raise MeshError(what, "See what listens there: the pod's log.") from error


def execute(client: Client, pod: str, container: str, command: list[str], deadline: float = 60.0) -> Done:
    """Run `command` in a container of a pod of the client's namespace.

    Raises
    ------
    MeshError
        The pod or container is gone, has no such command, or printed nothing for `deadline` seconds.
    """
    # The outcome is sent last and looked at first: each look takes in whatever has come, for all channels, so that no output
    # can stay behind an outcome that was seen.
    printed = {ERROR_CHANNEL: b"", STDOUT_CHANNEL: b"", STDERR_CHANNEL: b""}
    params = {"container": container, "command": command, "stdout": "true", "stderr": "true"}
    with _told(f"{pod} ({container})"):
        channels = WSClient(*_address(client, f"namespaces/{client.namespace}/pods/{pod}/exec", params), capture_all=False, binary=True)
        try:
            while not printed[ERROR_CHANNEL]:
                came = _read(channels, printed, deadline)
                if not came:
                    raise MeshError(f"{command[0]} in {pod} broke off.", "See whether the pod still runs: kubectl get pods.")
                for number, content in came.items():
                    printed[number] += content
        finally:
            channels.sock.shutdown()  # without the closing handshake, for which containerd would take a second
    outcome = _status(printed[ERROR_CHANNEL])
    causes = (outcome.get("details") or {}).get("causes") or []
    code = next((int(each["message"]) for each in causes if each.get("reason") == "ExitCode"), None)
    if outcome.get("status") != "Success" and code is None:
        raise MeshError(f"{command[0]} could not be run in {pod}: {outcome.get('message')}", "Look at the pod.")
    return Done(*(printed[each].decode(errors="replace") for each in (STDOUT_CHANNEL, STDERR_CHANNEL)), code or 0)


def _status(told: bytes) -> dict:
    """The Status in an answer; of another text (a kubelet's own, say, or a proxy's in between) one with it as its message."""
    text = told.decode(errors="replace").strip()
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {"message": text}


def _address(client: Client, path: str, params: dict) -> tuple:
    """What both of the official client's classes want: its configuration, the address, and the headers.

    Of the protocols that they offer by themselves the newer one takes a tenth longer, and can do more only for a command that reads.
    """
    configuration = client.configuration
    token = configuration.get_api_key_with_prefix("BearerToken")
    address = ws_client.get_websocket_url(f"{configuration.host}/api/v1/{path}?{urlencode(params, doseq=True)}")
    return configuration, address, {"sec-websocket-protocol": V4_CHANNEL_PROTOCOL, **({"authorization": token} if token else {})}


@contextmanager
def _forwarded(client: Client, namespace: str, pod: str, port: int, where: str) -> Iterator[tuple[HTTPConnection, PortForward]]:
    with _told(where):
        socket = ws_client.create_websocket(*_address(client, f"namespaces/{namespace}/pods/{pod}/portforward", {"ports": port}))
    forward = PortForward(socket, [port])
    connection = HTTPConnection("localhost")
    connection.sock = forward.socket(port)
    connection.sock.settimeout(TIMEOUT)
    try:
        yield connection, forward
    finally:
        forward.close()


def _ask(opened: tuple[HTTPConnection, PortForward], path: str, where: str) -> tuple[int, bytes]:
    connection, forward = opened
    with _told(where, forward):
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()


def _read(channels: WSClient, numbers: Iterable[int], timeout: float) -> dict[int, bytes]:
    """What has come on each of the channels `numbers`, waiting for the first byte of it at most `timeout` seconds."""
    end, numbers = time.monotonic() + timeout, tuple(numbers)
    look = lambda: {number: content for number in numbers if (content := channels.read_channel(number))}  # noqa: E731
    while not (came := look()) and channels.is_open():
        if (left := end - time.monotonic()) < 0:
            raise TimeoutError(f"nothing came for {timeout:g} s")
        channels.update(left)  # returns for an empty message as well
    # Looking at a channel takes in whatever has come: for one that was looked at before it, and the end, if both came in between.
    return came or look()


def _not_allowed(where: str, status: int, reason) -> ClusterError:
    if status == 401:
        return ClusterError("The cluster does not accept the credentials of the kubeconfig.", "They may have expired: connect once more.")
    do = "Ask whoever runs the cluster for that right; book/clusters.md says what a learner's are."
    return ClusterError(f"{where} may not be asked by your account: {reason}", do)


@contextmanager
def _told(where: str, forward: PortForward | None = None) -> Iterator[None]:
    """Turn what goes wrong on the way to `where` into a sentence."""
    try:
        yield
    except websocket.WebSocketBadStatusException as error:
        reason = _status(error.resp_body or b"").get("message") or error.status_code
        if error.status_code in (401, 403):
            raise _not_allowed(where, error.status_code, reason) from error
        raise MeshError(f"{where} cannot be reached: {reason}", "See whether the pod runs: kubectl get pods -A.") from error
    except (websocket.WebSocketException, HTTPException, OSError) as error:
        said = [text for port in forward.local_ports if (text := forward.error(port))] if forward else []  # by the kubelet
        reason = " ".join(said) or str(error).strip() or type(error).__name__
        raise MeshError(f"{where} did not answer ({reason}).", "See whether the pod runs: kubectl get pods -A.") from error
