"""A web server that says what a test wants, for tests without a cluster."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple


class Request(NamedTuple):
    """What somebody asked: a path without its query, which is apart."""

    method: str
    path: str
    query: str
    headers: dict  # by their names in lower case
    body: bytes


Answer = tuple[int, object]  # a status, and bytes as they are, or anything else as JSON


@contextmanager
def serving(answer: Callable[[Request], Answer] = lambda request: (200, b"")) -> Iterator[tuple[str, list[Request]]]:
    """A server that gives each request its `answer`, at an address of loopback: the address, and the requests as they come."""
    asked: list[Request] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            path, _, query = self.path.partition("?")
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            asked.append(Request(self.command, path, query, {name.lower(): value for name, value in self.headers.items()}, body))
            status, content = answer(asked[-1])
            content = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_PATCH = do_GET  # noqa: N815

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()


def known(pages: Mapping[str, object]) -> Callable[[Request], Answer]:
    """Answers by path, as an API server gives them: what it does not know is a Status of 404."""
    return lambda request: (200, pages[request.path]) if request.path in pages else (404, {"kind": "Status", "message": "not found"})
