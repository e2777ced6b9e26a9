"""HTTP to a port inside a pod, also one that listens on the pod's loopback only: Envoy's admin port, istiod's debug port.

This is what ``kubectl port-forward`` does, without a process or a local port that could outlive the notebook: the API
server carries the bytes of one connection over a WebSocket (subprotocol ``v4.channel.k8s.io``).
"""

from __future__ import annotations

import io
import json
import queue
from http.client import HTTPException, HTTPResponse

import httpx2
from httpx2.websockets import HTTPXWSException, WebSocketDisconnect

from lab_helpers.core.errors import MeshError

# Each binary message starts with the number of its channel; the first on each is the port's number, which says nothing new.
DATA, ERROR = 0, 1


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
    request = (
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: identity\r\nConnection: close\r\n\r\n".encode()
    )
    try:
        answer = _exchange(http, f"/api/v1/namespaces/{namespace}/pods/{pod}/portforward", port, request)
        response = HTTPResponse(_Received(answer))
        response.begin()
        body = response.read()
    except (httpx2.HTTPError, HTTPXWSException, HTTPException, EOFError, queue.Empty) as error:
        raise MeshError(
            f"{where} did not answer ({error or type(error).__name__}).",
            "See whether the pod runs: kubectl get pods -A.",
        ) from error
    if response.status != 200:
        raise MeshError(
            f"{where} answered {response.status}: {body.decode(errors='replace').strip()[:200]}",
            "Look at the pod's log.",
        )
    return body


def get_json(http: httpx2.Client, namespace: str, pod: str, port: int, path: str):
    """GET `path` and parse the answer as JSON; see `get`."""
    return json.loads(get(http, namespace, pod, port, path))


def _exchange(http: httpx2.Client, url: str, port: int, request: bytes) -> bytes:
    received, opened = bytearray(), set()
    with http.websocket(
        url, params={"ports": port}, subprotocols=["v4.channel.k8s.io"], max_message_size_bytes=1 << 26
    ) as socket:
        socket.send_bytes(bytes([DATA]) + request)
        while True:
            try:
                message = socket.receive_bytes(timeout=10)
            except WebSocketDisconnect:
                return bytes(received)
            channel, content = message[0], message[1:]
            if channel not in opened:
                opened.add(channel)
                content = content[2:]
            if channel == ERROR and content:
                raise EOFError(content.decode(errors="replace"))
            if channel == DATA:
                received += content


class _Received:
    """What `HTTPResponse` takes for a socket: bytes that have all arrived."""

    def __init__(self, content: bytes):
        self._content = content

    def makefile(self, mode: str) -> io.BytesIO:
        return io.BytesIO(self._content)
