"""The lab under harm: `up` killed at five moments, and each vital part killed while the lab is up."""

from __future__ import annotations

import json
import os
import signal
import subprocess

import psutil
import pytest

from lab_helpers.core import paths
from lab_helpers.core.wait import wait_until
from lab_helpers.istio.gateway import fetch
from lab_helpers.node import machine
from lab_helpers.node.build.store import PARTS, UNFINISHED
from lab_helpers.node.kubernetes import components
from lab_helpers.node.machine import MACHINE
from tests.live import KUBECTL, MESHLAB, kubectl, meshlab, sh

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]


def answers() -> bool:
    url = json.loads(meshlab("status", "--json", check=False).stdout)["url"]
    return fetch(url, timeout=10).status == 200


def istiod_exists() -> bool:
    return sh(*KUBECTL, "get", "deployment", "istiod", "--namespace", "istio-system", check=False).returncode == 0


# moment: (options of `up`, the step at whose start to look, what to wait for before killing)
MOMENTS = {
    "download": (("--rebuild", "envoy"), "… build envoy", lambda: any(UNFINISHED.glob("envoy.*"))),
    "build": (("--rebuild", "kubernetes"), "… build kubernetes", lambda: any(p.name() in ("go", "link", "compile") for p in builders())),
    "image": (("--rebuild", "images"), "… build images", lambda: any(p.name() == "buildah" for p in builders())),
    "node start": ((), "… start etcd", lambda: "etcd" in components.running(MACHINE)),
    "Istio install": ((), "… install Istio", istiod_exists),
}


def builders() -> list[psutil.Process]:
    """Processes that build for the lab: in namespaces of their own, with a file of the caches on their command line or open."""
    found = []
    for process in psutil.process_iter():
        try:
            if str(paths.CACHE) in " ".join(process.cmdline() + list(process.environ().values())) and process.name() != "meshlab":
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return [process for process in found if process.pid != os.getpid()]


@pytest.mark.parametrize("moment", MOMENTS)
def test_up_killed(moment):
    options, step, reached = MOMENTS[moment]
    meshlab("down")
    whole = {part.name for part in PARTS.iterdir()}
    up = subprocess.Popen([MESHLAB, "up", *options], stderr=subprocess.PIPE, text=True)
    for line in up.stderr:
        if step in line:
            break
    else:
        pytest.fail(f"`up` ended without {step!r}")
    wait_until(reached, f"the moment of {moment}", seconds=60, every=0.01)
    assert up.poll() is None, "`up` had ended before it was killed"
    up.send_signal(signal.SIGKILL)
    up.wait(10)
    wait_until(lambda: not [p for p in builders() if "unfinished" in " ".join(p.cmdline())], "the end of what `up` had started", seconds=10)
    assert {part.name for part in PARTS.iterdir()} <= whole, "something half-made stands among the finished parts"
    meshlab("up")
    assert answers()
    assert not UNFINISHED.exists() or not any(UNFINISHED.iterdir())
    assert {part.name for part in PARTS.iterdir()} == whole


def kill_component(name: str) -> None:
    os.kill(components.running(MACHINE)[name], signal.SIGKILL)


def kill_istiod() -> None:
    for pid in machine.processes(MACHINE):
        if psutil.Process(pid).name() == "pilot-discovery":
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def keepsake():
    """Something stored in the API; the function tells whether it is still there."""
    meshlab("up")
    kubectl("delete", "configmap", "keepsake", "--ignore-not-found")
    kubectl("create", "configmap", "keepsake", "--from-literal", "of=value")
    yield lambda: kubectl("get", "configmap", "keepsake", "--output", "jsonpath={.data.of}") == "value"
    kubectl("delete", "configmap", "keepsake")


@pytest.mark.parametrize("victim", ["istiod", "kubelet", "containerd", "etcd", "kube-apiserver"])
def test_killed_while_up(victim, keepsake):
    kill_istiod() if victim == "istiod" else kill_component(victim)

    def told() -> bool:
        state = json.loads(meshlab("status", "--json", check=False).stdout)
        return not state["well"] and any(victim in problem for problem in state["problems"])

    wait_until(told, f"status to name {victim}", seconds=20)
    meshlab("up")
    assert json.loads(meshlab("status", "--json").stdout)["well"]
    assert answers() and keepsake()


def test_the_whole_node_killed(keepsake):
    """As if the machine had lost power: all processes gone at once, the state on disk."""
    held = machine.processes(MACHINE)
    assert len(held) > 50
    os.kill(int(MACHINE.pid_file.read_text().split()[0]), signal.SIGKILL)
    wait_until(lambda: not any(psutil.pid_exists(pid) for pid in held), "the end of the node's processes", seconds=20)
    assert meshlab("status", check=False).returncode == 1
    meshlab("up")
    assert answers() and keepsake()


def test_a_second_up_at_the_same_time():
    first = subprocess.Popen([MESHLAB, "up"], stderr=subprocess.PIPE, text=True)
    first.stderr.readline()
    second = meshlab("up", check=False)
    assert second.returncode == 1 and f"process {first.pid}" in second.stderr and "Traceback" not in second.stderr
    first.communicate(timeout=300)
    assert first.returncode == 0
