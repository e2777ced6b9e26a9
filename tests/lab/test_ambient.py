"""Ambient mode beside sidecars: nobody restarts, all is encrypted, layer 4 and a waypoint have their say; and it goes again."""

from __future__ import annotations

import json
import subprocess
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import pytest

from lab_helpers.core.wait import wait_until
from lab_helpers.istio import installation
from lab_helpers.istio.installation import ambient, gateway_api
from lab_helpers.kube import pods
from lab_helpers.kube.kinds import POD
from lab_helpers.lab import checkpoint, connect
from lab_helpers.lab.chapters import BOOKINFO, CLIENTS
from lab_helpers.node import machine
from lab_helpers.node.machine import MACHINE
from tests import live

pytestmark = [pytest.mark.lab, pytest.mark.alone("it gives the mesh another mode, and takes it away again")]
HBONE = "15008"


@pytest.fixture(scope="module")
def lab():
    """Bookinfo in ambient mode, without sidecars, with a client that is in it and one that is not."""
    lab = connect(quiet=True, namespace=live.NAMESPACE)
    demo = installation.digest(lab)
    try:
        gateway_api.ensure(lab)
        installation.undo_changes(lab, ambient=True)
        checkpoint.reach(lab, "ambient mode", (*CLIENTS, *BOOKINFO), injection=False)
        before = {pod["metadata"]["uid"] for pod in lab.client.list(POD)}
        live.kubectl("label", "pod", "--selector", "app=plain-client", f"{ambient.LABEL}=none", "--namespace", lab.namespace)
        live.kubectl("label", "namespace", lab.namespace, f"{ambient.LABEL}=ambient")
        wait_until(lambda: len(enrolled(lab)) == len(before) - 1, "pods to be enrolled", 30)
        assert {pod["metadata"]["uid"] for pod in lab.client.list(POD)} == before, "a pod was restarted"
        yield lab
    finally:
        done = [str(each.what) for each in lab.checkpoint("06_mesh_graph").changes]
    assert installation.digest(lab) == demo and "Istio (demo profile)" in done
    assert ambient.redirected(lab) == [] and live.kubectl("get", "daemonsets", "--namespace", "istio-system") == ""
    assert installation.problems(lab) == [] and lab.page().status == 200


def enrolled(lab) -> list[dict]:
    return [pod for pod in ambient.redirected(lab, lab.namespace) if pod["metadata"]["annotations"][ambient.REDIRECTION] == "enabled"]


def ask(lab, url: str, by: str = "client", timeout: int = 10) -> str:
    """The status of a request from a pod; 000 where the connection is refused or reset."""
    pod = pods.require_ready(lab.client, by, "")["metadata"]["name"]
    line = ["curl", "--silent", "--max-time", str(timeout), "--output", "/dev/null", "--write-out", "%{http_code}", url]
    return live.sh(*live.KUBECTL, "exec", pod, "--namespace", lab.namespace, "--container", by, "--", *line, check=False).stdout


def of(lab, app: str) -> psutil.Process:
    """A process of a pod."""
    uid = pods.require_ready(lab.client, app, "")["metadata"]["uid"]
    return next(each for each in map(psutil.Process, machine.processes(MACHINE)) if uid in Path(f"/proc/{each.pid}/cgroup").read_text())


def counted(lab) -> set[str]:
    """The codes of the client's requests to ratings, as its waypoint has counted them."""
    caller = f'source_principal="spiffe://cluster.local/ns/{lab.namespace}/sa/client"'
    found = lab.promql(f'istio_requests_total{{reporter="waypoint",destination_service_name="ratings",{caller}}}')
    return set(found["response_code"]) if len(found) else set()


@contextmanager
def policy(lab, spec: str, kind: str = "AuthorizationPolicy"):
    """A policy for as long as it is tried, in effect when it has begun: `apply` waits for ztunnel, too."""
    text = f"apiVersion: security.istio.io/v1\nkind: {kind}\nmetadata: {{name: tried}}\nspec: {spec}\n"
    with TemporaryDirectory() as folder:
        (path := Path(folder, "tried.yaml")).write_text(text, encoding="utf-8")
        try:
            lab.apply(path)
            yield
        finally:
            lab.delete(path)


def test_what_passes_the_link_of_a_pod_is_one_port_and_encrypted(lab):
    listening = ["nsenter", f"--net=/proc/{of(lab, 'details').pid}/ns/net", "tcpdump", "-n", "-l", "-i", "eth0", "-A", "tcp"]
    with subprocess.Popen(listening, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", errors="replace") as heard:
        assert "listening on" in next(line for line in heard.stderr if "listening" in line)
        assert ask(lab, "http://details:9080/details/0") == "200"
        assert ask(lab, "http://details:9080/details/0?the-end", by="plain-client") == "200"  # who is not in it is heard in the clear
        said = ""
        for line in heard.stdout:
            said += line
            if "the-end" in line:
                break
        heard.terminate()
    encrypted, _, plain = said.rpartition(f"{pods.require_ready(lab.client, 'plain-client', '')['status']['podIP']}.")
    client = pods.require_ready(lab.client, "client", "")["status"]["podIP"]
    packets = [line for line in said.splitlines() if f" {client}." in line and " IP " in line]
    assert packets and all(f".{HBONE}" in line for line in packets)
    assert f".{HBONE}:" in encrypted and "GET /details/0 " not in said and "GET /details/0?the-end" in plain


def test_layer_4_knows_who_calls(lab):
    only_productpage = (
        "{selector: {matchLabels: {app: details}}, action: ALLOW, rules: [{from: [{source: {serviceAccounts: [bookinfo-productpage]}}]}]}"
    )
    with policy(lab, only_productpage):
        assert {ask(lab, "http://details:9080/details/0") for _ in range(5)} == {"000"}
        assert "An unknown error" not in lab.page().text and "Book Details" in lab.page().text
    assert ask(lab, "http://details:9080/details/0") == "200"


def test_strict_refuses_who_is_not_in_the_mesh(lab):
    assert ask(lab, "http://details:9080/details/0", by="plain-client") == "200"
    with policy(lab, "{mtls: {mode: STRICT}}", "PeerAuthentication"):
        assert ask(lab, "http://details:9080/details/0", by="plain-client") == "000"
        assert ask(lab, "http://details:9080/details/0") == "200"


def test_a_denial_that_only_layer_7_could_enforce_denies_nothing(lab):
    """So does the real ztunnel, whatever the policy's status says: https://github.com/istio/istio/issues/61126."""
    with policy(lab, "{selector: {matchLabels: {app: ratings}}, action: DENY, rules: [{to: [{operation: {methods: [GET]}}]}]}"):
        assert ask(lab, "http://ratings:9080/ratings/0") == "200"


def test_a_waypoint_enforces_layer_7_and_is_the_caller_for_layer_4(lab):
    live.sh(*live.ISTIOCTL, "waypoint", "apply", "--enroll-namespace", "--wait", "--namespace", lab.namespace)
    try:
        live.kubectl(
            "wait",
            "pod",
            "--selector",
            "gateway.networking.k8s.io/gateway-name=waypoint",
            "--for=condition=Ready",
            "--namespace",
            lab.namespace,
        )
        with policy(
            lab,
            "{targetRefs: [{group: '', kind: Service, name: ratings}], action: DENY, rules: [{to: [{operation: {paths: [/ratings/7]}}]}]}",
        ):
            assert (ask(lab, "http://ratings:9080/ratings/0"), ask(lab, "http://ratings:9080/ratings/7")) == ("200", "403")
            wait_until(lambda: counted(lab) == {"200", "403"}, "Prometheus to have asked the waypoint", 20)
        with policy(
            lab, "{selector: {matchLabels: {app: details}}, action: ALLOW, rules: [{from: [{source: {serviceAccounts: [client]}}]}]}"
        ):
            assert ask(lab, "http://details:9080/details/0") == "503"
        with policy(
            lab, "{selector: {matchLabels: {app: details}}, action: ALLOW, rules: [{from: [{source: {serviceAccounts: [waypoint]}}]}]}"
        ):
            assert ask(lab, "http://details:9080/details/0") == "200"
    finally:
        live.sh(*live.ISTIOCTL, "waypoint", "delete", "waypoint", "--namespace", lab.namespace)
        live.kubectl("label", "namespace", lab.namespace, "istio.io/use-waypoint-")


def test_what_istioctl_reads_of_it(lab):
    read = lambda what: json.loads(live.sh(*live.ISTIOCTL, "ztunnel-config", what, "--output", "json").stdout)  # noqa: E731
    own = [each for each in read("workloads") if each["namespace"] == lab.namespace and each.get("node")]
    assert {each["name"] for each in own if each["protocol"] == "HBONE"} == {pod["metadata"]["name"] for pod in enrolled(lab)}
    assert f"spiffe://cluster.local/ns/{lab.namespace}/sa/bookinfo-details" in json.dumps(read("certificates"))
    assert "reviews" in {each["name"] for each in read("services")}
    status = live.sh(*live.ISTIOCTL, "proxy-status").stdout
    assert any(line.startswith("ztunnel-") and "1.31.0" in line and "WDS" in line for line in status.splitlines())


def test_connections_are_counted_with_istios_labels(lab):
    for _ in range(3):
        ask(lab, "http://details:9080/details/0")
    labels = (
        f'reporter="destination",source_workload="client",destination_workload="details-v1",source_workload_namespace="{lab.namespace}"'
    )

    def policies() -> set[str]:
        counted = lab.promql(f"istio_tcp_connections_opened_total{{{labels}}}")
        return set(counted["connection_security_policy"]) if len(counted) else set()

    wait_until(lambda: policies() == {"mutual_tls"}, "Prometheus to have asked ztunnel", 20)
