"""What ``kubectl exec`` and ``kubectl port-forward`` speak: the channels of one WebSocket, carried by the API server.

Both stand on the official client's `WSClient`, but not on its `stream`, which exchanges a method of the client while it works and so
serves one thread at a time; nor on its `PortForward`, which carries each byte through one more thread and a pair of sockets.
Without the two commands there is no process and no local port that could outlive the notebook.
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from http.client import HTTPException, HTTPResponse
from typing import NamedTuple
from urllib.parse import urlencode

import websocket
from kubernetes.stream.ws_client import ERROR_CHANNEL, STDERR_CHANNEL, STDOUT_CHANNEL, WSClient, get_websocket_url

from lab_helpers.core.errors import MeshError
from lab_helpers.kube.client import Client

# Of a forwarded port: the first message on each channel only repeats the port's number.
DATA, ERROR = 0, 1
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
    connection = _connection(client, f"namespaces/{namespace}/pods/{pod}/portforward", [("ports", port)], where)
    kept, key = _kept.get(), (client.context.name, namespace, pod, port)
    if kept is None:
        with connection as channels, _told(where):
            status, body = _ask(channels, set(), path)
    elif key in kept:
        try:
            with _told(where):
                status, body = _ask(*kept[key], path)
        except MeshError:  # whoever listened may have been restarted since: ask over a new one
            del kept[key]
            return get(client, namespace, pod, port, path)
    else:
        kept[key] = kept["stack"].enter_context(connection), set()
        with _told(where):
            status, body = _ask(*kept[key], path)
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


_kept: ContextVar[dict | None] = ContextVar("kept", default=None)


def get_json(client: Client, namespace: str, pod: str, port: int, path: str):
    """GET `path` and parse the answer as JSON; see `get`."""
    return json.loads(get(client, namespace, pod, port, path))


def execute(client: Client, pod: str, container: str, command: list[str], deadline: float = 60.0) -> Done:
    """Run `command` in a container of a pod of the client's namespace.

    Raises
    ------
    MeshError
        The pod or container is gone, has no such command, or printed nothing for `deadline` seconds.
    """
    printed = {STDOUT_CHANNEL: b"", STDERR_CHANNEL: b"", ERROR_CHANNEL: b""}
    params = [("container", container), ("command", command), ("stdout", True), ("stderr", True)]
    where = f"{pod} ({container})"
    with _connection(client, f"namespaces/{client.namespace}/pods/{pod}/exec", params, where) as channels, _told(where):
        while not printed[ERROR_CHANNEL]:
            came = _read(channels, printed, deadline)
            if not came:
                raise MeshError(f"{command[0]} in {pod} broke off.", "See whether the pod still runs: kubectl get pods.")
            for number, content in came.items():
                printed[number] += content
    outcome = json.loads(printed[ERROR_CHANNEL])
    causes = outcome.get("details", {}).get("causes", [])
    code = next((int(each["message"]) for each in causes if each.get("reason") == "ExitCode"), None)
    if outcome["status"] != "Success" and code is None:
        raise MeshError(f"{command[0]} could not be run in {pod}: {outcome.get('message')}", "Look at the pod.")
    return Done(printed[STDOUT_CHANNEL].decode(), printed[STDERR_CHANNEL].decode(), code or 0)


@contextmanager
def _connection(client: Client, path: str, params: list[tuple], where: str) -> Iterator[WSClient]:
    configuration = client.configuration
    token = configuration.get_api_key_with_prefix("BearerToken")
    query = urlencode([(name, str(value).lower() if isinstance(value, bool) else value) for name, value in params], doseq=True)
    address = get_websocket_url(f"{configuration.host}/api/v1/{path}?{query}")
    with _told(where):
        channels = WSClient(configuration, address, {"authorization": token} if token else {}, capture_all=False, binary=True)
    try:
        yield channels
    finally:
        channels.sock.shutdown()  # without the closing handshake, for which containerd would take a second


def _read(channels: WSClient, numbers: Iterable[int], timeout: float) -> dict[int, bytes]:
    """What has come on each of the channels `numbers`, waiting for the first byte of it at most `timeout` seconds."""
    end = time.monotonic() + timeout
    while not (came := {number: content for number in numbers if (content := channels.read_channel(number))}) and channels.is_open():
        if (left := end - time.monotonic()) < 0:
            raise TimeoutError(f"nothing came for {timeout:g} s")
        channels.update(left)  # returns for an empty message as well
    return came


@contextmanager
def _told(where: str) -> Iterator[None]:
    """Turn what goes wrong on the way to `where` into a sentence."""
    try:
        yield
    except websocket.WebSocketBadStatusException as error:
        body = (error.resp_body or b"").decode(errors="replace")  # a Status of the API server, or a kubelet's text
        reason = json.loads(body).get("message") if body.startswith("{") else body.strip()
        raise MeshError(f"{where} cannot be reached: {reason or error.status_code}", "See whether the pod runs: kubectl get pods -A.") from error
    except (websocket.WebSocketException, HTTPException, EOFError, OSError) as error:
        reason = str(error).strip() or type(error).__name__
        raise MeshError(f"{where} did not answer ({reason}).", "See whether the pod runs: kubectl get pods -A.") from error


def _ask(channels: WSClient, opened: set[int], path: str) -> tuple[int, bytes]:
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: identity\r\n\r\n"
    channels.write_channel(DATA, request.encode())
    response = HTTPResponse(_Received(channels, opened))
    response.begin()
    return response.status, response.read()


class _Received(io.RawIOBase):
    """What comes out of a forwarded port, as the file that `HTTPResponse` reads until the answer is complete."""

    def __init__(self, channels: WSClient, opened: set[int]):
        self._channels, self._rest, self._opened = channels, b"", opened

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(self, 1 << 16)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        while not self._rest and self._channels.is_open():
            came = _read(self._channels, (ERROR, DATA), TIMEOUT)
            for number in set(came) - self._opened:
                came[number] = came[number][2:]
            self._opened |= set(came)
            if came.get(ERROR):
                raise EOFError(came[ERROR].decode(errors="replace"))
            self._rest = came.get(DATA, b"")
        size = min(len(buffer), len(self._rest))
        buffer[:size], self._rest = self._rest[:size], self._rest[size:]
        return size
