"""What ``kubectl exec`` and ``kubectl port-forward`` speak: the channels of one WebSocket, carried by the API server.

Without the two commands there is no process and no local port that could outlive the notebook, and a question to
istiod or to an Envoy takes a few hundredths of a second, not half of one. (lightkube's own `exec` reads in a second
thread, which after closing may take bytes from the next connection: seen.)
"""

from __future__ import annotations

import io
import json
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from http.client import HTTPException, HTTPResponse
from typing import NamedTuple

import websocket
from lightkube.config.client_adapter import verify_cluster

from lab_helpers.core.errors import MeshError

PROTOCOL = "v4.channel.k8s.io"
# Each message begins with the number of its channel. For exec these are stdin, stdout, stderr and the outcome; for a
# port, data and error, and the first message on each only repeats the port's number.
STDOUT, STDERR, OUTCOME = 1, 2, 3
DATA, ERROR = 0, 1
TIMEOUT = 10.0  # seconds without a byte


class Done(NamedTuple):
    """What a command in a container printed, and its exit code."""

    stdout: str
    stderr: str
    code: int


def get(lab, namespace: str, pod: str, port: int, path: str) -> bytes:
    """GET `path` from `port` of `pod`, which may listen on the pod's loopback only: Envoy's admin or istiod's debug port.

    Raises
    ------
    MeshError
        The pod is gone, nothing listens there, or the answer was not 200.
    """
    where = f"{namespace}/{pod}:{port}{path}"
    connection = _connection(lab, f"namespaces/{namespace}/pods/{pod}/portforward", {"ports": port}, where)
    kept, key = _kept.get(), (lab.context, namespace, pod, port)
    if kept is None:
        with connection as socket:
            status, body = _ask(socket, set(), path)
    elif key in kept:
        try:
            with _told(where):
                status, body = _ask(*kept[key], path)
        except MeshError:  # whoever listened may have been restarted since: ask over a new one
            del kept[key]
            return get(lab, namespace, pod, port, path)
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


def _ask(socket: websocket.WebSocket, opened: set[int], path: str) -> tuple[int, bytes]:
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: identity\r\n\r\n"
    socket.send_binary(bytes([DATA]) + request.encode())
    response = HTTPResponse(_Received(socket, opened))
    response.begin()
    return response.status, response.read()


def get_json(lab, namespace: str, pod: str, port: int, path: str):
    """GET `path` and parse the answer as JSON; see `get`."""
    return json.loads(get(lab, namespace, pod, port, path))


def execute(lab, pod: str, container: str, command: list[str], deadline: float = 60.0) -> Done:
    """Run `command` in a container of a pod of the lab's namespace.

    Raises
    ------
    MeshError
        The pod or container is gone, has no such command, or printed nothing for `deadline` seconds.
    """
    printed = {STDOUT: bytearray(), STDERR: bytearray(), OUTCOME: bytearray()}
    params = {"container": container, "command": command, "stdout": True, "stderr": True}
    with _connection(lab, f"namespaces/{lab.namespace}/pods/{pod}/exec", params, f"{pod} ({container})", deadline) as socket:
        while not printed[OUTCOME]:
            message = socket.recv()
            if not message:
                raise MeshError(f"{command[0]} in {pod} broke off.", "See whether the pod still runs: kubectl get pods.")
            printed[message[0]] += message[1:]
    outcome = json.loads(printed[OUTCOME])
    causes = outcome.get("details", {}).get("causes", [])
    code = next((int(each["message"]) for each in causes if each.get("reason") == "ExitCode"), None)
    if outcome["status"] != "Success" and code is None:
        raise MeshError(f"{command[0]} could not be run in {pod}: {outcome.get('message')}", "Look at the pod.")
    return Done(printed[STDOUT].decode(), printed[STDERR].decode(), code or 0)


@contextmanager
def _connection(lab, path: str, params: dict, where: str, timeout: float = TIMEOUT) -> Iterator[websocket.WebSocket]:
    request = lab.http.build_request("GET", f"/api/v1/{path}", params=params)
    if lab.http.auth:
        next(lab.http.auth.sync_auth_flow(request))
    headers = [f"Authorization: {request.headers['Authorization']}"] if "Authorization" in request.headers else []
    address = str(request.url.copy_with(scheme="wss" if request.url.scheme == "https" else "ws"))
    context = verify_cluster(lab.config.cluster, lab.config.user, lab.config.abs_file, trust_env=False)
    socket = websocket.WebSocket(sslopt={"context": context}, skip_utf8_validation=True)
    try:
        with _told(where):
            socket.connect(address, header=headers, subprotocols=[PROTOCOL], timeout=timeout, http_no_proxy=["*"])
            yield socket
    finally:
        socket.shutdown()  # without the closing handshake, for which containerd would take a second


@contextmanager
def _told(where: str) -> Iterator[None]:
    """Turn what goes wrong on the way to `where` into a sentence."""
    try:
        yield
    except websocket.WebSocketBadStatusException as error:
        reason = json.loads(error.resp_body or b"{}").get("message", error.status_code)
        raise MeshError(f"{where} cannot be reached: {reason}", "See whether the pod runs: kubectl get pods -A.") from error
    except (websocket.WebSocketException, HTTPException, EOFError, OSError, ssl.SSLError) as error:
        reason = str(error).strip() or type(error).__name__
        raise MeshError(f"{where} did not answer ({reason}).", "See whether the pod runs: kubectl get pods -A.") from error


class _Received(io.RawIOBase):
    """What comes out of the connection, as the file that `HTTPResponse` reads until the answer is complete."""

    def __init__(self, socket: websocket.WebSocket, opened: set[int]):
        self._socket, self._rest, self._opened = socket, b"", opened

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(self, 1 << 16)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        while not self._rest:
            message = self._socket.recv()
            if not message:
                return 0
            channel, content = message[0], message[1:]
            if channel not in self._opened:
                self._opened.add(channel)
                content = content[2:]
            if channel == ERROR and content:
                raise EOFError(content.decode(errors="replace"))
            self._rest = content if channel == DATA else b""
        size = min(len(buffer), len(self._rest))
        buffer[:size], self._rest = self._rest[:size], self._rest[size:]
        return size
