"""A line that goes on for as long as somebody looks, without a cluster: the program is a script."""

import os
import stat
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

from lab_helpers.core.errors import CommandError, MeshError
from lab_helpers.lab.forward import forwarding

FORWARDING = "Forwarding from 127.0.0.1:{0} -> 80"


class Hello(BaseHTTPRequestHandler):
    def do_GET(self):  # noqa: N802 (the name is the library's)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"you asked for {self.path}".encode())

    def log_message(self, *args):
        pass


@pytest.fixture
def port():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hello)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


@pytest.fixture
def lab(tmp_path):
    context = SimpleNamespace(name="there", variable="/a/kubeconfig")
    return SimpleNamespace(client=SimpleNamespace(tools=tmp_path, context=context, namespace="hers"))


def program(folder, name, script):
    path = folder / name
    path.write_text(f'#!/bin/sh\necho "$@" > {folder}/given\necho $$ > {folder}/pid\n{script}\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.mark.parametrize(
    ("line", "told", "given"),
    [
        (
            "kubectl port-forward svc/a :80",
            "Forwarding from 127.0.0.1:{0} -> 80",
            "port-forward svc/a :80 --context there --namespace hers",
        ),
        ("kubectl port-forward -n b svc/a :80", "Forwarding from 127.0.0.1:{0} -> 80", "port-forward -n b svc/a :80 --context there"),
        (
            "istioctl dashboard kiali",
            "http://localhost:{0}/kiali",
            "dashboard kiali --context there --namespace hers --browser=false --istioNamespace istio-system",
        ),
    ],
)
def test_it_runs_as_long_as_its_block_and_answers_meanwhile(lab, tmp_path, port, line, told, given):
    program(tmp_path, line.split()[0], f"echo 'a word first'\necho '{told.format(port)}'\nexec sleep 60")
    with forwarding(lab, line) as local:
        page = local.page("/x?y=1")
        assert (page.status, page.text) == (200, "you asked for /x?y=1") and page.url == f"http://127.0.0.1:{port}/x?y=1"
        assert str(local) == f"$ {line}\nforwarding from http://127.0.0.1:{port}"
    assert (tmp_path / "given").read_text().strip() == given
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_what_ends_before_it_listens_is_told_in_its_own_words(lab, tmp_path):
    program(tmp_path, "kubectl", "echo 'services \"a\" not found' >&2; exit 1")
    with pytest.raises(CommandError, match='services "a" not found'), forwarding(lab, "kubectl port-forward svc/a :80"):
        pass


@pytest.mark.parametrize("line", ["kubectl get pods", "istioctl proxy-status", "sleep 60", "kubectl"])
def test_other_lines_are_not_run(lab, line):
    with pytest.raises(CommandError, match="does not begin with kubectl port-forward or istioctl dashboard"), forwarding(lab, line):
        pass


def test_an_address_where_nobody_answers_gets_a_sentence(lab, tmp_path):
    program(tmp_path, "kubectl", "echo 'Forwarding from 127.0.0.1:9 -> 80'\nexec sleep 60")
    with forwarding(lab, "kubectl port-forward svc/a :80") as local, pytest.raises(MeshError, match="http://127.0.0.1:9/ did not answer"):
        local.page()
