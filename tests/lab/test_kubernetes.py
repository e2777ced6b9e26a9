"""The embedded Kubernetes does what a learner will ask of it at work."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from pathlib import Path

import pytest

from lab_helpers.core import paths
from lab_helpers.core.wait import wait_until
from lab_helpers.node.build.store import PARTS
from lab_helpers.node.kubernetes import pki
from lab_helpers.node.machine import MACHINE
from tests.live import ISTIOCTL, KUBECTL, kubectl, kubectl_json, meshlab, sh

pytestmark = [pytest.mark.lab, pytest.mark.alone("memory of a fresh lab; refusals by any proxy")]
SAMPLES = next(PARTS.glob("istio-sources-*")) / "samples"
NAMESPACE = "upstream"


@pytest.fixture(scope="module")
def upstream():
    """A namespace with injection that holds upstream's unmodified Bookinfo, sleep and httpbin."""
    kubectl("create", "namespace", NAMESPACE)
    kubectl("label", "namespace", NAMESPACE, "istio-injection=enabled")
    for file in ("bookinfo/platform/kube/bookinfo.yaml", "sleep/sleep.yaml", "httpbin/httpbin.yaml"):
        kubectl("apply", "--namespace", NAMESPACE, "--filename", SAMPLES / file)
    for deployment in kubectl_json("get", "deployments", "--namespace", NAMESPACE)["items"]:
        kubectl(
            "rollout", "status", "--namespace", NAMESPACE, f"deployment/{deployment['metadata']['name']}", "--timeout=180s", timeout=200
        )
    # These have no readiness probes: a pod is ready before what is in it listens.
    for url in ("productpage:9080/productpage", "httpbin:8000/get"):
        answered = f"curl -s -o /dev/null -w %{{http_code}} {url} || true"
        wait_until(lambda answered=answered: execute(answered) == "200", f"{url} to be served", 60)
    yield NAMESPACE
    kubectl("delete", "namespace", NAMESPACE, "--timeout=120s", timeout=130)


def execute(script: str, deployment: str = "deploy/sleep", container: str = "sleep") -> str:
    return kubectl("exec", "--namespace", NAMESPACE, deployment, "--container", container, "--", "sh", "-c", script)


def test_status_says_that_all_is_well_and_how_much_memory_it_takes():
    state = json.loads(meshlab("status", "--json").stdout)
    assert state["well"] and state["running"] and not state["problems"]
    assert set(state["components"].values()) == set(state["workloads"].values()) == {"well"}
    assert 500 < state["memory_mib"] <= 2.5 * 1024


def test_upstream_manifests_run_unmodified(upstream):
    assert "Simple Bookstore App" in execute("curl -s productpage:9080/productpage")
    assert '"url": "http://httpbin:8000/get"' in execute("curl -s httpbin:8000/get")
    pods = kubectl_json("get", "pods", "--namespace", NAMESPACE)["items"]
    assert len(pods) == 8
    for pod in pods:
        names = [c["name"] for c in pod["spec"]["containers"] + pod["spec"].get("initContainers", [])]
        assert "istio-proxy" in names, f"{pod['metadata']['name']} has no sidecar"


def test_analyze_and_proxy_status_are_clean_and_no_proxy_refuses_its_configuration(upstream):
    assert "No validation issues found" in sh(*ISTIOCTL, "analyze", "--namespace", NAMESPACE).stderr
    table = [line for line in sh(*ISTIOCTL, "proxy-status").stdout.splitlines() if f".{NAMESPACE} " in line]
    assert len(table) == 8 and all("4 (CDS,LDS,EDS,RDS)" in line for line in table), table
    # All of it: the tests that have a proxy refuse something come after this file.
    log = kubectl("logs", "--namespace", "istio-system", "deploy/istiod", "--tail=-1")
    assert "NACK" not in log and "ACK ERROR" not in log
    metrics = kubectl("exec", "--namespace", "istio-system", "deploy/istiod", "--", "curl", "-s", "localhost:15014/metrics")
    assert "pilot_xds_pushes" in metrics  # these are istiod's metrics,
    assert "pilot_total_xds_rejects" not in metrics  # and this one appears with the first refusal


def test_logs_and_cp(upstream, tmp_path):
    assert "Listening at" in kubectl("logs", "--namespace", NAMESPACE, "deploy/productpage-v1")
    pod = kubectl_json("get", "pods", "--namespace", NAMESPACE, "--selector", "app=sleep")["items"][0]["metadata"]["name"]
    (tmp_path / "there").write_text("and back again")
    kubectl("cp", tmp_path / "there", f"{NAMESPACE}/{pod}:/tmp/there", "--container", "sleep")
    kubectl("cp", f"{NAMESPACE}/{pod}:/tmp/there", tmp_path / "back", "--container", "sleep")
    assert (tmp_path / "back").read_text() == "and back again"


def test_port_forward(upstream):
    command = [
        paths.BIN / "kubectl",
        "--kubeconfig",
        paths.KUBECONFIG,
        "port-forward",
        "--namespace",
        NAMESPACE,
        "svc/productpage",
        ":9080",
    ]
    forward = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        port = forward.stdout.readline().split("127.0.0.1:")[1].split()[0]
        assert "Simple Bookstore App" in sh("curl", "-s", f"http://127.0.0.1:{port}/productpage").stdout
    finally:
        forward.terminate()
        forward.wait(10)


def test_top(upstream):
    top = lambda what: sh(*KUBECTL, "top", what, "--no-headers", check=False).stdout  # noqa: E731
    wait_until(lambda: "controlplane" in top("nodes"), "kubectl top nodes", seconds=60, every=0.5)
    wait_until(lambda: "reviews-v1" in top("pods"), "kubectl top pods", seconds=60, every=0.5)


def test_an_autoscaler_scales(upstream):
    """One pod that burns CPU, for two minutes at most; the autoscaler asks metrics-server and adds a second."""
    name = ("--namespace", NAMESPACE)
    burn = ["--", "timeout", "120", "sh", "-c", "while :; do :; done"]
    kubectl("create", "deployment", "burner", *name, "--image=docker.io/curlimages/curl:8.16.0", *burn)
    container = {"name": "curl", "resources": {"requests": {"cpu": "10m"}, "limits": {"cpu": "50m"}}}
    template = {"metadata": {"annotations": {"sidecar.istio.io/inject": "false"}}, "spec": {"containers": [container]}}
    limits = json.dumps({"spec": {"template": template}})
    kubectl("patch", "deployment", "burner", *name, "--patch", limits)
    kubectl("autoscale", "deployment", "burner", *name, "--cpu=50%", "--min=1", "--max=2")
    wait_until(
        lambda: kubectl_json("get", "deployment", "burner", *name)["status"].get("replicas") == 2,
        "the autoscaler to add a replica",
        seconds=110,
        every=0.5,
        late=lambda: kubectl("describe", "hpa", "burner", *name)[-800:],
    )


def test_the_kubeconfig_is_its_owners_alone():
    found = os.stat(paths.KUBECONFIG)
    assert stat.S_IMODE(found.st_mode) == 0o600 and found.st_uid == paths.USER.pw_uid


def test_the_api_server_listens_on_the_lab_link_only():
    for address in ("127.0.0.1", MACHINE.host_address):
        assert sh("curl", "-ks", "--max-time", "3", f"https://{address}:6443/livez", check=False).returncode != 0
    assert sh("curl", "-ks", "--max-time", "3", f"https://{MACHINE.address}:6443/livez").stdout == "ok"


def test_no_log_holds_a_credential():
    keys = [file.read_text().splitlines()[1] for file in pki.folder(MACHINE).glob("*.key")]
    assert len(keys) > 5
    read = 0
    # A folder of logs may go with its pod while it is looked through: os.walk goes on, where Path.rglob raises.
    for log in (Path(folder, name) for folder, _, names in os.walk(paths.LOGS) for name in names if name.endswith(".log")):
        try:
            text = log.read_text(errors="replace")
        except FileNotFoundError:
            continue
        read += 1
        assert "PRIVATE KEY" not in text and not any(key in text for key in keys), f"{log.name} holds a key"
    assert read > 20
