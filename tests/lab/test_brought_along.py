"""What people bring along: what kubectl has written, a gateway of their own, hosts that lead nowhere. It works here as anywhere else."""

from __future__ import annotations

import time

import pytest

from lab_helpers.lab import checkpoint, connect
from lab_helpers.lab.chapters import CLIENTS
from tests.live import kubectl, kubectl_json

pytestmark = pytest.mark.lab
NAMESPACE = "brought-along"
DETAILS = "04_bookinfo/03-details.yaml"
ROUTE = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: details}
spec: {hosts: [details], http: [{timeout: 5s, route: [{destination: {host: details}}]}]}
"""
GATEWAY = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: own-gateway}
spec:
  selector: {matchLabels: {istio: own-gateway}}
  template:
    metadata:
      annotations: {inject.istio.io/templates: gateway}
      labels: {istio: own-gateway, sidecar.istio.io/inject: "true"}
    spec: {containers: [{name: istio-proxy, image: auto}]}
"""
# A database that somebody has announced and nobody has started, and one on the internet that the lab has not.
NOWHERE = f"""
apiVersion: v1
kind: Service
metadata: {{name: nobody}}
spec: {{clusterIP: None, selector: {{app: nobody}}, ports: [{{name: tcp-store, port: 6379}}]}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: store}}
spec:
  hosts: [store.{NAMESPACE}.svc.cluster.local]
  location: MESH_INTERNAL
  resolution: DNS
  ports: [{{number: 6379, name: tcp-store, protocol: TCP}}]
  endpoints: [{{address: nobody.{NAMESPACE}.svc.cluster.local}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: outside}}
spec:
  hosts: [www.example.com]
  location: MESH_EXTERNAL
  resolution: DNS
  ports: [{{number: 80, name: http, protocol: HTTP}}]
"""


@pytest.fixture(scope="module")
def lab():
    """A namespace with a client and details."""
    found = connect(namespace=NAMESPACE, quiet=True)
    checkpoint.reach(found, "details", [*CLIENTS[:1], DETAILS])
    yield found
    kubectl("delete", "namespace", NAMESPACE, "--wait=false")


@pytest.fixture
def given(lab, tmp_path):
    """A function that has a text as a learner's own manifest."""

    def manifest(text: str) -> str:
        path = tmp_path / "own.yaml"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return manifest


def actions(outcome) -> dict[str, str]:
    return {change.what: change.action for change in outcome.changes}


def test_what_kubectl_has_written_is_applied_again(lab, given):
    lab.apply(given(ROUTE))
    whole = {"Deployment details-v1", "Service details", "VirtualService details"}
    for what in sorted(whole):
        export = lab.run(f"kubectl get {what} -o yaml").stdout
        assert "resourceVersion" in export
        assert actions(lab.apply(given(export))) == {what: "unchanged"}
    several = "kubectl get deployment/details-v1 service/details virtualservice/details -o yaml --show-managed-fields"
    export = lab.run(several).stdout
    assert "kind: List" in export and actions(lab.apply(given(export))) == dict.fromkeys(whole, "unchanged")
    edited = lab.apply(given(export.replace("timeout: 5s", "timeout: 4s")))
    assert actions(edited) == {**dict.fromkeys(whole, "unchanged"), "VirtualService details": "configured"}
    lab.delete(given(export))
    assert actions(lab.apply(given(export))) == dict.fromkeys(whole, "created"), "a backup brings nothing back"
    assert (lab.observe("details", n=5)["status"] == 200).all()


def test_a_gateway_of_ones_own_starts_with_the_image_that_istio_puts_in(lab, given):
    """It names no pull policy, and nothing can be pulled here: that of Kubernetes, Always, left it without its image for ever."""
    lab.apply(given(GATEWAY))
    [pod] = kubectl_json("get", "pods", "--namespace", NAMESPACE, "--selector", "istio=own-gateway")["items"]
    [proxy], [status] = pod["spec"]["containers"], pod["status"]["containerStatuses"]
    assert proxy["image"] != "auto" and proxy["imagePullPolicy"] == "IfNotPresent" and status["ready"]
    assert any(line.startswith("own-gateway-") for line in lab.run("istioctl proxy-status").stdout.splitlines())
    lab.delete(given(GATEWAY))


def test_hosts_that_lead_nowhere_keep_nobody_from_starting(lab, given):
    began = time.monotonic()
    assert set(actions(lab.apply(given(NOWHERE))).values()) == {"created"} and time.monotonic() - began < 10
    before = set(lab.observe("details", n=5)["pod"])
    lab.restart("details-v1")
    lab.restart("client")
    seen = lab.observe("details", n=20)
    assert (seen["status"] == 200).all() and not before & set(seen["pod"])
    lab.delete(given(NOWHERE))
