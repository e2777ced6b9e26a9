"""HTTP to a port inside a pod, also one on the pod's loopback only: Envoy's admin port, istiod's debug port.

This is what ``kubectl port-forward`` does, without a process or a local port that could outlive the notebook: the API
server carries the bytes of one connection over a WebSocket.
"""

from __future__ import annotations

import io
import json
import queue
from http.client import HTTPException, HTTPResponse

import httpx2
from httpx2.websockets import HTTPXWSException, WebSocketDisconnect

from lab_helpers.core.errors import MeshError

PROTOCOL = "v4.channel.k8s.io"
# Each message starts with the number of its channel; the first on each goes on with the port's number: nothing new.
DATA, ERROR = 0, 1
TIMEOUT = 10  # seconds without a byte


def get(http: httpx2.Client, namespace: str, pod: str, port: int, path: str) -> bytes:
    """GET `path` from `port` of `pod`.

    Parameters
    ----------
    http : httpx2.Client
        Authenticated at the API server (`Lab.http`).

    Raises
    ------
    MeshError
        The pod is gone, nothing listens there, or the answer was not 200.
    """
    where = f"{namespace}/{pod}:{port}{path}"
    url = f"/api/v1/namespaces/{namespace}/pods/{pod}/portforward"
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: identity\r\n\r\n".encode()
    try:
        with http.websocket(url, params={"ports": port}, subprotocols=[PROTOCOL], max_message_size_bytes=1 << 26) as ws:
            ws.send_bytes(bytes([DATA]) + request)
            response = HTTPResponse(_Received(ws))
            response.begin()
            status, body = response.status, response.read()
    except (httpx2.HTTPError, HTTPXWSException, HTTPException, EOFError, queue.Empty) as error:
        problem = f"{where} did not answer ({str(error) or type(error).__name__})."
        raise MeshError(problem, "See whether the pod runs: kubectl get pods -A.") from error
    if status != 200:
        text = body.decode(errors="replace").strip()[:200]
        raise MeshError(f"{where} answered {status}: {text}", "Look at the pod's log.")
    return body


def get_json(http: httpx2.Client, namespace: str, pod: str, port: int, path: str):
    """GET `path` and parse the answer as JSON; see `get`."""
    return json.loads(get(http, namespace, pod, port, path))


class _Received(io.RawIOBase):
    """The bytes that come out of the tunnel, as the file that `HTTPResponse` reads until the answer is complete.

    Reading to the end of the connection instead would take a second more: so long containerd keeps it open.
    """

    def __init__(self, ws):
        self._ws, self._rest, self._opened = ws, b"", set()

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(self, 1 << 16)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        while not self._rest:
            try:
                message = self._ws.receive_bytes(timeout=TIMEOUT)
            except WebSocketDisconnect:
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
