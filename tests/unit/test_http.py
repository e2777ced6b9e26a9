"""Paths and headers that mean something to curl, to a URL or to HTTP: sent alike from a pod and from here, or refused with a sentence."""

from __future__ import annotations

import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

from lab_helpers.core import http
from lab_helpers.core.errors import TrafficError
from lab_helpers.istio import gateway
from lab_helpers.kube import channels
from lab_helpers.kube.channels import Done
from lab_helpers.traffic import observe


@pytest.fixture
def server():
    """A server on this machine, and what it was asked: the path and the headers of each request, as they came."""
    asked: list[tuple[str, dict]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append((self.path, {name.lower(): value.encode("latin-1").decode() for name, value in self.headers.items()}))
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_):
            pass

    found = ThreadingHTTPServer(("localhost", 0), Handler)
    threading.Thread(target=found.serve_forever, args=(0.01,), daemon=True).start()
    yield SimpleNamespace(port=found.server_address[1], asked=asked)
    found.shutdown()
    found.server_close()


@pytest.fixture
def lab(server, tmp_path, monkeypatch):
    """A lab whose one Service, and whose gateway, is `server`; its pod is this machine, with this machine's curl."""

    def execute(_client, _pod, _container, command, deadline):
        here = [each.replace("/answers", str(tmp_path)) for each in command]
        done = subprocess.run(here, capture_output=True, timeout=deadline)
        return Done(done.stdout.decode(), done.stderr.decode(), done.returncode)

    monkeypatch.setattr(channels, "execute", execute)
    monkeypatch.setattr(observe, "_client_pod", lambda *_: {"metadata": {"name": "here"}})
    service = {"metadata": {"name": "localhost"}, "spec": {"ports": [{"port": server.port}]}}
    client = SimpleNamespace(get=lambda _kind, name: service if name == "localhost" else None, list=lambda *_, **__: [])
    return SimpleNamespace(namespace="default", url=f"http://localhost:{server.port}", client=client)


WAYS = ("mesh", "plain", "gateway")
HEADERS = {
    "quotes": ('say "hi"', 'say "hi"'),
    "an escape": ("a\\nx-evil: 1", "a\\nx-evil: 1"),
    "a backslash at the end": ("C:\\", "C:\\"),
    "a list": ("a, b;q=0.5", "a, b;q=0.5"),
    "a file of curl's": ("@/etc/hostname", "@/etc/hostname"),
    "nothing": ("", ""),
    "blanks": ("  \t", ""),
    "an apostrophe": ("it's $HOME %{json} #1", "it's $HOME %{json} #1"),
    "Polish": ("zażółć", "zażółć"),
    "Latin-1": ("é", "é"),
    "a number": (5, "5"),
}


@pytest.mark.parametrize("via", WAYS)
@pytest.mark.parametrize(("given", "arrives"), HEADERS.values(), ids=HEADERS)
def test_a_header_arrives_as_it_was_given_whichever_way(lab, server, via, given, arrives):
    seen = observe.observe(lab, "localhost", n=2, path="/", via=via, headers={"X-Odd": given, "x-next": "next"})
    assert list(seen["status"]) == [200, 200] and len(server.asked) == 2
    for _, headers in server.asked:
        assert headers.get("x-odd") == arrives and headers["x-next"] == "next" and "x-evil" not in headers


PATHS = {
    "/items/[1-3]": "/items/%5B1-3%5D",
    "/items/{a,b}": "/items/%7Ba,b%7D",
    "/a?ids[]=1&q=x y": "/a?ids%5B%5D=1&q=x%20y",
    '/say/"hi"': "/say/%22hi%22",
    "/it's/$HOME": "/it's/$HOME",
    "/a\\nb": "/a%5Cnb",
    "/100%": "/100%25",
    "/a%2fb": "/a%2Fb",
    "/where?": "/where?",
    "/zażółć": "/za%C5%BC%C3%B3%C5%82%C4%87",
    "/plain/0?a=b": "/plain/0?a=b",
}


@pytest.mark.parametrize("via", WAYS)
@pytest.mark.parametrize(("path", "sent"), PATHS.items())
def test_a_path_is_asked_for_as_it_was_given_whichever_way(lab, server, via, path, sent):
    seen = observe.observe(lab, "localhost", n=3, path=path, via=via)
    assert list(seen["status"]) == [200] * 3
    assert [asked for asked, _ in server.asked] == [sent] * 3


def test_many_requests_at_a_time_ask_for_the_same(lab, server):
    assert len(observe.observe(lab, "localhost", n=30, path="/{x}", parallel=8)) == 30
    assert {path for path, _ in server.asked} == {"/%7Bx%7D"} and len(server.asked) == 30


WRONG_HEADERS = {
    "a line break": ({"x-a": "1\nx-evil: 1"}, "header x-a holds a line break"),
    "a line break of HTTP's": ({"x-a": "1\r\nx-evil: 1"}, "header x-a holds a line break"),
    "a zero byte": ({"x-a": "1\0"}, "header x-a holds a line break or another control character"),
    "half a character": ({"x-a": "\ud83d"}, "header x-a holds a line break or another control character"),
    "None": ({"x-a": None}, "header x-a is None, which is no text"),
    "bytes": ({"x-a": b"1"}, "header x-a is b'1', which is no text"),
    "a file of curl's": ({"@/etc/hostname": ""}, "'@/etc/hostname' cannot be the name of a header"),
    "a name with a blank": ({"x a": "1"}, "'x a' cannot be the name"),
    "a name with a quote": ({'x"': "1"}, "cannot be the name"),
    "a name with its colon": ({"x-a:": "1"}, "cannot be the name"),
    "HTTP/2's own": ({":authority": "a"}, "':authority' cannot be the name"),
    "no name": ({"": "1"}, "'' cannot be the name"),
    "a number for a name": ({5: "1"}, "5 cannot be the name"),
    "one name twice": ({"X-A": "1", "x-a": "2"}, "Header x-a is there twice"),
    "the length of no body": ({"Content-Length": "5"}, "Header Content-Length tells how long a body is"),
    "no dict": (["x-a: 1"], "which is no dict"),
}
WRONG_PATHS = {
    "no slash": ("items/0", "does not begin with a slash"),
    "nothing": ("", "does not begin with a slash"),
    "a whole address": ("http://localhost/0", "does not begin with a slash"),
    "an option of curl's": ('/0"\nheader = "x-evil: 1', "holds a line break"),
    "half a character": ("/\ud83d", "holds a line break or another control character"),
    "what a browser keeps to itself": ("/0#end", "holds a #, and what follows it is never sent"),
    "a number": (5, "The path is 5, which is no text"),
}


@pytest.mark.parametrize("via", [*WAYS, "page"])
@pytest.mark.parametrize(("headers", "sentence"), WRONG_HEADERS.values(), ids=WRONG_HEADERS)
def test_what_is_no_header_gets_a_sentence_whichever_way(lab, server, via, headers, sentence):
    with pytest.raises(TrafficError, match=sentence) as caught:
        gateway.page(lab, "/", headers) if via == "page" else observe.observe(lab, "localhost", 1, "/", via, headers=headers)
    assert caught.value.do and not server.asked


@pytest.mark.parametrize("via", [*WAYS, "page"])
@pytest.mark.parametrize(("path", "sentence"), WRONG_PATHS.values(), ids=WRONG_PATHS)
def test_what_is_no_path_gets_a_sentence_whichever_way(lab, server, via, path, sentence):
    with pytest.raises(TrafficError, match=sentence) as caught:
        gateway.page(lab, path) if via == "page" else observe.observe(lab, "localhost", 1, path, via)
    assert caught.value.do and not server.asked


@pytest.mark.parametrize("name", ["", "..", "a/b", "localhost?x=1", 5, None])
def test_what_is_no_name_of_a_service_is_not_looked_up(lab, name):
    lab.client.get = lambda *_: pytest.fail("another path of the API was asked")
    with pytest.raises(TrafficError, match="has no Service|is not the name of a Service"):
        observe.observe(lab, name, path="/")


def test_a_page_tells_the_command_that_a_shell_takes(lab):
    page = gateway.page(lab, "/a?b=1&c='2'", {"host": "it's.lab"})
    line = str(page).splitlines()[0].removeprefix("$ ")
    asked = subprocess.run(["sh", "-c", f'set -- {line}; printf "%s\\n" "$@"'], capture_output=True, text=True, check=True).stdout
    assert asked.splitlines() == ["curl", "--header", "Host: it's.lab", f"{lab.url}/a?b=1&c='2'"]


def test_whatever_is_sent_once_is_sent_the_same_again():
    for path in PATHS:
        assert http.target(http.target(path)) == http.target(path)
