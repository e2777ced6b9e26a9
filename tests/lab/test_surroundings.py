"""The lab is asked by somebody who is not root, has no name, or goes out by a proxy: it is as well as before, and they are told so."""

from __future__ import annotations

import json
import os
import socket
from contextlib import contextmanager

import pytest

from lab_helpers.node.kubernetes import components
from lab_helpers.node.machine import MACHINE
from tests.live import MESHLAB, meshlab, sh

pytestmark = [pytest.mark.lab, pytest.mark.alone("the whole lab is well")]


def somebody(uid: int) -> tuple[str, ...]:
    """Words that run a command as `uid`: to the kernel the files' owner still, without any of root's rights, and needing no account."""
    return ("unshare", "--user", f"--map-user={uid}", f"--map-group={uid}")


@contextmanager
def proxied():
    """An environment that sends everything but loopback by a proxy; fails if anybody has gone there."""
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        address = f"http://127.0.0.1:{proxy.getsockname()[1]}"
        names = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
        loopback = dict.fromkeys(("NO_PROXY", "no_proxy"), "localhost,127.0.0.1")
        yield {**os.environ, **dict.fromkeys(names, address), **loopback}
        proxy.setblocking(False)
        with pytest.raises(BlockingIOError):
            proxy.accept()


@pytest.mark.parametrize("uid", [65534, 12345], ids=["not root", "without a name"])
def test_whoever_is_not_root_is_told_what_anybody_may_know(uid):
    found = json.loads(sh(*somebody(uid), MESHLAB, "status", "--json", check=False).stdout)
    assert found["running"] and set(found["components"].values()) == {"running"} and found["memory_mib"] is None
    for line in (["status"], ["doctor"], ["logs", "kubelet"], ["logs", "nobody"], ["kubeconfig"], ["up"], ["down"]):
        done = sh(*somebody(uid), MESHLAB, *line, check=False)
        assert done.returncode in (0, 1) and "Traceback" not in done.stderr, done.stderr
        if line[0] in ("up", "down"):
            assert done.returncode == 1 and f"sudo {MESHLAB} {line[0]}" in done.stderr


def test_a_healthy_lab_is_well_under_proxies():
    with proxied() as env:
        found = json.loads(meshlab("status", "--json", env=env).stdout)
    assert found["well"] and set(found["components"].values()) == {"well"} and found["url"]


def test_what_runs_is_left_running_by_an_up_under_proxies():
    before = components.running(MACHINE)
    with proxied() as env:
        meshlab("up", env=env)
    assert components.running(MACHINE) == before
