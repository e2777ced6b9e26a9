"""In effect means in effect: whatever Istio's API accepts, for whom it is meant, and as soon as `apply` has returned."""

from __future__ import annotations

import time

import pytest

from lab_helpers.core.errors import MeshError
from lab_helpers.istio import apply, configuration
from lab_helpers.lab import checkpoint, connect
from lab_helpers.lab.chapters import BOOKINFO, CLIENTS
from tests.live import kubectl

pytestmark = pytest.mark.lab
ENTRY = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: coffee-{0}}}
spec:
  hosts: [coffee-{0}.example]
  ports: [{{number: 443, name: tls, protocol: TLS}}]
  resolution: DNS
"""
PROMETHEUS = """
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {name: metrics}
spec: {metrics: [{providers: [{name: prometheus}]}]}
"""
DENY = """
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: deny-all}
spec: {selector: {matchLabels: {app: ratings}}}
"""
IMPOSSIBLE = """
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {{name: impossible, namespace: {0}}}
spec:
  configPatches:
    - applyTo: CLUSTER
      match: {{context: SIDECAR_OUTBOUND, cluster: {{service: ratings.default.svc.cluster.local}}}}
      patch: {{operation: MERGE, value: {{connect_timeout: -5s}}}}
"""


@pytest.fixture(scope="module")
def lab():
    found = connect(quiet=True)
    checkpoint.reach(found, "Bookinfo", [*CLIENTS[:1], *BOOKINFO])
    return found


@pytest.fixture
def given(lab, tmp_path):
    """A function that applies a text as the learner's own manifest; all of it is gone after the test."""

    def manifest(text: str, how=None):
        path = tmp_path / f"{abs(hash(text))}.yaml"
        path.write_text(text)
        return (how or lab.apply)(str(path))

    yield manifest
    documents = [each for kind in configuration.kinds(lab) for each in lab.client.list(kind)]
    apply.erase(lab, [each for each in documents if each["metadata"]["name"] not in ("bookinfo", "bookinfo-gateway")])


def test_an_object_whose_status_istiod_writes_is_in_effect_at_once(lab, given):
    """istiod assigns each ServiceEntry an address and writes it down there: the version that was written is soon not the last one."""
    seconds = []
    for number in range(10):
        began = time.monotonic()
        given(ENTRY.format(number))
        seconds.append(time.monotonic() - began)
    print("a ServiceEntry, applied:", ", ".join(f"{each:.2f}" for each in seconds), "s")
    assert kubectl("get", "serviceentry", "coffee-0", "--output", "jsonpath={.status.addresses[0].value}"), "istiod has written no address"


def test_a_policy_is_enforced_beside_istios_own_metrics_provider(lab, given):
    """Stock Envoy refused all listeners with the filter that this asks for, and no policy that came after it had any effect."""
    given(PROMETHEUS)
    given(DENY)
    assert set(lab.observe("ratings", n=30)["status"]) == {403}


def test_what_anothers_proxy_refuses_is_told_and_stops_nobody(lab, given, tmp_path):
    other = connect(namespace="learner-three", quiet=True)
    try:
        checkpoint.reach(other, "a client", CLIENTS[:1])
        path = tmp_path / "impossible.yaml"
        path.write_text(IMPOSSIBLE.format("learner-three"))
        with pytest.raises(MeshError, match="(?s)client-.*learner-three refused Cluster"):
            other.apply(str(path))
        done = given(DENY)
        assert any("learner-three refused Cluster" in each for each in done.warnings), "nobody says that a proxy lags behind"
        assert set(lab.observe("ratings", n=10)["status"]) == {403}
    finally:
        kubectl("delete", "namespace", "learner-three", "--wait=true", timeout=120)


@pytest.mark.timeout(400)
def test_with_two_istiods_it_is_in_effect_on_the_proxies_of_both(lab, given):
    """Each change is measured at once: a proxy of the istiod that was not waited for would still answer by the old rule."""
    lab.run("kubectl scale deployment istiod -n istio-system --replicas=2")
    try:
        lab.run("kubectl rollout status deployment istiod -n istio-system --timeout=90s", deadline=100)
        lab.restart("client", "details-v1", "ratings-v1", "productpage-v1")  # they spread over both
        wrong = []
        for turn in range(10):
            given(DENY) if turn % 2 == 0 else given(DENY, lab.delete)
            wrong += [] if set(lab.observe("ratings", n=10)["status"]) == {403 if turn % 2 == 0 else 200} else [turn]
        assert not wrong
    finally:
        lab.run("kubectl scale deployment istiod -n istio-system --replicas=1")
        lab.run("kubectl rollout status deployment istiod -n istio-system --timeout=90s", deadline=100)
        checkpoint.reach(lab, "Bookinfo", [*CLIENTS[:1], *BOOKINFO])
