"""`meshlab status` with an API server that is gone, that stalls, and that answers: each within a bounded time."""

import os
import socket
import time
from types import SimpleNamespace

import psutil
import pytest
import yaml
from click.testing import CliRunner

from lab_helpers.cli import main
from lab_helpers.core import paths
from lab_helpers.node import status
from lab_helpers.node.kubernetes import components
from tests.web import known, serving


@pytest.fixture(autouse=True)
def node(monkeypatch):
    """A node whose components are all well."""
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "")  # so that it is as before, after the test
    names = [each.name for each in components.components(status.MACHINE)]
    monkeypatch.setattr(status.machine, "init_pid", lambda machine: 1)
    monkeypatch.setattr(status.machine, "memory_mib", lambda machine: 1000.0)
    monkeypatch.setattr(status.components, "running", lambda machine: dict.fromkeys(names, 2))
    monkeypatch.setattr(status.components, "healthy", lambda machine, component: True)
    return names


@pytest.fixture
def api(monkeypatch, tmp_path):
    """A function that has the lab's kubeconfig name the API server at an address of this machine."""

    def at(address: str) -> None:
        document = {
            "current-context": "meshlab",
            "clusters": [{"name": "c", "cluster": {"server": address}}],
            "users": [{"name": "u", "user": {}}],
            "contexts": [{"name": "meshlab", "context": {"cluster": "c", "user": "u"}}],
        }
        (tmp_path / "meshlab").write_text(yaml.safe_dump(document))
        monkeypatch.setattr(paths, "KUBECONFIG", tmp_path / "meshlab")

    return at


def test_a_node_that_is_not_there(monkeypatch):
    monkeypatch.setattr(status.machine, "init_pid", lambda machine: None)
    found = status.status()
    assert not found["running"] and not found["well"] and "meshlab up" in found["problems"][0]


@pytest.mark.parametrize("name", ["kubelet", "kube-apiserver"])
def test_what_is_not_well_is_named_and_a_dead_api_server_is_not_asked(monkeypatch, node, name):
    monkeypatch.setattr(status.components, "running", lambda machine: dict.fromkeys(set(node) - {name}, 2))
    monkeypatch.setattr(status, "_cluster", lambda: {"workloads": {}} if name == "kubelet" else pytest.fail("was asked"))
    found = status.status()
    assert found["components"][name] == "not running" and found["problems"] == [f"{name} is not running: `meshlab up` repairs it."]
    assert list(found["components"]) == node and found["running"] and not found["well"]


def test_an_api_server_that_is_gone_gets_a_sentence(api):
    with socket.socket() as held:  # bound and not listening: connections are refused
        held.bind(("127.0.0.1", 0))
        api(f"http://127.0.0.1:{held.getsockname()[1]}")
        found = status.status()
    assert not found["well"] and "did not answer" in found["problems"][0] and found["workloads"] == {} and found["url"] is None


def test_an_api_server_that_stalls_is_not_waited_for(api, monkeypatch):
    monkeypatch.setattr(status, "PATIENCE", 0.1)
    with socket.socket() as stalled:
        stalled.bind(("127.0.0.1", 0))
        stalled.listen()
        api(f"http://127.0.0.1:{stalled.getsockname()[1]}")
        began = time.monotonic()
        found = status.status()
    assert time.monotonic() - began < 5
    assert not found["well"] and "did not answer" in found["problems"][0]


GATEWAY = {"name": "istio-ingressgateway", "namespace": "istio-system"}
DEPLOYMENTS = [
    {"metadata": GATEWAY, "spec": {"replicas": 1}, "status": {"availableReplicas": 1}},
    {"metadata": {"name": "istiod", "namespace": "istio-system"}, "spec": {}, "status": {}},
]
SERVICES = [
    {"metadata": GATEWAY, "spec": {"ports": [{"name": "http2", "port": 80, "nodePort": 30080}]}, "status": {}},
    {"metadata": {"name": "zipkin-ui"}, "spec": {"ports": [{"port": 9411, "nodePort": 30411}]}, "status": {}},
]
NODES = [{"status": {"addresses": [{"type": "InternalIP", "address": "192.0.2.7"}]}}]


def resources(version: str, *kinds: tuple[str, str, bool]) -> dict:
    listed = [{"name": name, "kind": kind, "namespaced": namespaced, "verbs": ["get", "list"]} for name, kind, namespaced in kinds]
    return {"kind": "APIResourceList", "groupVersion": version, "resources": listed}


def answers(services: list[dict]) -> dict[str, dict]:
    apps = {"groupVersion": "apps/v1", "version": "v1"}
    return {
        "/version": {"gitVersion": "v1.36.3"},
        "/apis": {"kind": "APIGroupList", "groups": [{"name": "apps", "versions": [apps], "preferredVersion": apps}]},
        "/api/v1": resources("v1", ("services", "Service", True), ("nodes", "Node", False)),
        "/apis/apps/v1": resources("apps/v1", ("deployments", "Deployment", True)),
        "/apis/apps/v1/deployments": {"metadata": {}, "items": DEPLOYMENTS},
        "/api/v1/namespaces/istio-system/services": {"metadata": {}, "items": services},
        "/api/v1/nodes": {"metadata": {}, "items": NODES},
        **{f"/api/v1/namespaces/istio-system/services/{each['metadata']['name']}": each for each in services},
    }


def test_workloads_and_addresses_are_told(api):
    with serving(known(answers(SERVICES))) as (address, _):
        api(address)
        found = status.status()
    assert found["url"] == "http://192.0.2.7:30080/productpage" and found["addons"] == {"zipkin": "http://192.0.2.7:30411"}
    assert found["workloads"] == {"istio-system/istio-ingressgateway": "well", "istio-system/istiod": "0 of 1 replicas available"}
    assert found["problems"] == ["istio-system/istiod has 0 of 1 replicas available."] and found["memory_mib"] == 1000.0


def test_a_gateway_without_an_address_is_a_problem(api):
    with serving(known(answers(SERVICES[1:]))) as (address, _):
        api(address)
        found = status.status()
    assert found["url"] is None and any("ingress gateway has no address" in problem for problem in found["problems"])


@pytest.fixture
def plain(monkeypatch):
    """Somebody who is not root, and so may not ask a component or see its memory."""

    def denied(*anything):
        raise psutil.AccessDenied(2)

    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr(status.components, "healthy", lambda machine, component: pytest.fail("only root can ask"))
    monkeypatch.setattr(status.machine, "memory_mib", MEMORY)
    monkeypatch.setattr(status.machine, "processes", lambda machine: [os.getpid()])
    monkeypatch.setattr(psutil.Process, "memory_full_info", denied)


MEMORY = status.machine.memory_mib


def test_whoever_is_not_root_is_told_what_anybody_may_know(api, plain, node):
    healthy = [each for each in DEPLOYMENTS if each["metadata"]["name"] != "istiod"]
    with serving(known(answers(SERVICES) | {"/apis/apps/v1/deployments": {"metadata": {}, "items": healthy}})) as (address, _):
        api(address)
        found = status.status()
    assert found["well"] and found["components"] == dict.fromkeys(node, "running") and found["memory_mib"] is None
    assert found["url"] == "http://192.0.2.7:30080/productpage"
    shown = CliRunner().invoke(main, ["status"])
    assert "Traceback" not in shown.output and "known to root" in shown.output


def test_the_lab_of_somebody_else_is_one_that_runs(plain, monkeypatch, tmp_path):
    monkeypatch.setattr(paths, "KUBECONFIG", tmp_path / "none")
    found = status.status()
    assert found["running"] and not found["well"] and "with whoever brought it up" in found["problems"][0]
    assert "sudo /" in found["problems"][0]


def test_that_the_node_runs_is_seen_without_looking_into_it(monkeypatch):
    init = SimpleNamespace(pid=7, name=lambda: "tini", is_running=lambda: True, status=lambda: "sleeping")

    def shut(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(status.machine, "_holder", lambda machine: SimpleNamespace(children=lambda: [init]))
    monkeypatch.setattr(status.machine.Path, "exists", shut)
    assert INIT(status.MACHINE) == 7


INIT = status.machine.init_pid
