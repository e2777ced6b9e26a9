"""In effect means in effect: whatever Istio's API accepts, for whom it is meant, and as soon as `apply` has returned."""

from __future__ import annotations

import json
import time
from functools import partial

import pytest
import yaml

from lab_helpers.chapters.c12_traffic_shifting import shift
from lab_helpers.core.errors import MeshError
from lab_helpers.core.wait import wait_until
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
      match: {{context: SIDECAR_OUTBOUND, cluster: {{service: ratings.{1}.svc.cluster.local}}}}
      patch: {{operation: MERGE, value: {{connect_timeout: -5s}}}}
"""


JASON = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews}
spec:
  hosts: [reviews]
  http:
    - match: [{headers: {end-user: {exact: jason}}}]
      route: [{destination: {host: reviews, subset: v2}}]
    - timeout: 2s
      route: [{destination: {host: reviews, subset: v1}}]
"""
TO_ONE = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: reviews}}
spec:
  hosts: [reviews]
  http: [{{route: [{{destination: {{host: reviews, subset: {0}}}}}]}}]
"""
SHUT = """
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: details}
spec: {selector: {matchLabels: {app: details}}}
"""
IMAGE = "docker.io/curlimages/curl:8.16.0"


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
    assert kubectl("get", "serviceentry", "coffee-0", "--namespace", lab.namespace, "--output", "jsonpath={.status.addresses[0].value}"), (
        "istiod has written no address"
    )


NOTHING_TO_PUSH = {
    "a label": """
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: deny-all, labels: {of: nobody}}
spec: {selector: {matchLabels: {app: ratings}}}
""",
    "a WorkloadGroup": """
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: {name: machines}
spec: {template: {serviceAccount: default}}
""",
    "an entry that nobody selects": """
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: machine}
spec: {address: 10.9.9.9, labels: {app: nobody}}
""",
}


def test_a_service_that_was_deleted_is_gone_from_every_proxy(lab, tmp_path):
    """Also one that goes last, after the rules: it comes to istiod by another way than they do."""
    path, ports = tmp_path / "twins.yaml", [{"port": 9080, "name": "http"}]
    names = [f"twin-{number}" for number in range(4)]
    services = [
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"selector": {"app": "ratings"}, "ports": ports}}
        for name in names
    ]
    path.write_text(yaml.safe_dump_all([*services, yaml.safe_load(TO_ONE.format("v1")) | {"metadata": {"name": "twin"}}]))
    lab.apply(path)
    told = lab.delete(path).told  # read as soon as the deletion is said to be in effect
    assert sum("twin" in line for line in told.differences["clusters"]) == len(names), told


def test_after_a_checkpoint_no_connection_lives_by_a_rule_that_has_gone(lab, given):
    """Of the connections that were open when the rule went each one would give an answer by it, for 45 s."""
    ask = "kubectl exec deploy/productpage-v1 -c productpage -- curl -s -o /dev/null -w %{http_code} http://details:9080/details/0"
    for _ in range(4):  # some connections, by which ever new ones do not have to be opened
        assert lab.run(ask).stdout == "200"
    given(SHUT)
    wait_until(lambda: lab.run(ask).stdout == "403", "the rule to be enforced", 30)
    checkpoint.reach(lab, "Bookinfo", [*CLIENTS[:1], *BOOKINFO])
    assert [lab.run(ask).stdout for _ in range(8)] == ["200"] * 8


@pytest.mark.parametrize("what", NOTHING_TO_PUSH)
def test_what_istiod_has_nothing_to_push_for_is_applied_and_deleted(lab, given, what):
    """Half a minute, and then an error, for each of these: istiod takes it up, sees that no proxy needs to know, and pushes nothing."""
    given(DENY)
    began = time.monotonic()
    assert given(NOTHING_TO_PUSH[what]).changes[0].action == ("configured" if what == "a label" else "created")
    given(NOTHING_TO_PUSH[what], lab.delete)
    print(f"{what}, applied and deleted: {time.monotonic() - began:.1f} s")


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
        path.write_text(IMPOSSIBLE.format("learner-three", lab.namespace))
        with pytest.raises(MeshError, match="(?s)client-.*learner-three refused Cluster"):
            other.apply(str(path))
        done = given(DENY)
        assert any("learner-three refused Cluster" in each for each in done.warnings), "nobody says that a proxy lags behind"
        assert set(lab.observe("ratings", n=10)["status"]) == {403}
    finally:
        kubectl("delete", "namespace", "learner-three", "--wait=true", timeout=120)


@pytest.mark.timeout(400)
@pytest.mark.alone("another istiod")
def test_with_two_istiods_it_is_in_effect_on_the_proxies_of_both(lab, given):
    """Each change is measured at once: a proxy of the istiod that was not waited for would still answer by the old rule."""
    lab.run("kubectl scale deployment istiod -n istio-system --replicas=2")
    try:
        lab.run("kubectl rollout status deployment istiod -n istio-system --timeout=90s", deadline=100)
        lab.apply("12_traffic_shifting/01-subsets.yaml")
        stale = []
        for turn in range(12):
            if turn % 4 == 0:
                lab.restart("client")  # its new proxy connects to either of them
            subset = f"v{turn % 3 + 1}"
            given(TO_ONE.format(subset))
            answered = set(lab.observe("reviews", n=10)["version"])
            stale += [] if answered == {subset} else [(turn, subset, answered)]
        assert not stale
    finally:
        lab.run("kubectl scale deployment istiod -n istio-system --replicas=1")
        lab.run("kubectl rollout status deployment istiod -n istio-system --timeout=90s", deadline=100)
        checkpoint.reach(lab, "Bookinfo", [*CLIENTS[:1], *BOOKINFO])


def test_a_manifest_with_namespaces_of_its_own_waits_for_its_own_deployments(lab, given):
    """A Deployment of that name in the lab's namespace is none of its business, be it ever so broken."""
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "legacy"}}
    container = {"name": "old", "image": IMAGE, "command": ["sleep", "infinity"]}
    pods = {"metadata": {"labels": {"app": "old"}}, "spec": {"containers": [container], "terminationGracePeriodSeconds": 0}}
    spec = {"selector": {"matchLabels": {"app": "old"}}, "template": pods}
    theirs = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "old", "namespace": "legacy"}, "spec": spec}
    broken = {**theirs, "metadata": {"name": "old", "namespace": lab.namespace}, "spec": {**spec, "replicas": 1}}
    broken = json.loads(json.dumps(broken).replace(IMAGE, "example.invalid/nothing:1"))
    kubectl("apply", "--namespace", lab.namespace, "--filename", "-", stdin=json.dumps(broken))
    try:
        began = time.monotonic()
        done = given(yaml.safe_dump_all([namespace, theirs]))
        assert [each.action for each in done.changes] == ["created", "created"] and time.monotonic() - began < 60
    finally:
        kubectl("delete", "deployment", "old", "--namespace", lab.namespace)
        kubectl("delete", "namespace", "legacy", timeout=120)


def test_a_namespace_on_its_way_out_is_made_anew():
    mine = connect(namespace="again", quiet=True)
    try:
        mine.checkpoint("04_bookinfo")
        kubectl("delete", "namespace", "again", "--wait=false")
        assert ("Namespace again", "created") in [(each.what, each.action) for each in mine.checkpoint("04_bookinfo").changes]
        assert mine.run("kubectl get pods").stdout.count("Running") == 2
    finally:
        kubectl("delete", "namespace", "again", timeout=120)


def test_weights_do_not_take_the_place_of_somebodys_rule(lab, given):
    lab.apply("12_traffic_shifting/01-subsets.yaml")
    given(JASON)
    before = lab.run("kubectl get virtualservice reviews -o yaml").stdout
    with pytest.raises(MeshError, match=r"VirtualService reviews does more .* \(2 rules, match, timeout\)"):
        shift(lab, "reviews", {"v1": 50, "v3": 50})
    assert lab.run("kubectl get virtualservice reviews -o yaml").stdout == before


@pytest.mark.parametrize("how", [(), ("--server-side",)], ids=["client-side", "server-side"])
def test_what_kubectl_had_applied_and_the_file_no_longer_has_goes(lab, given, how):
    """`exportTo` stayed, and `apply` said "configured": it was not the course's own. What somebody edits by hand stays."""
    here = partial(kubectl, "--namespace", lab.namespace)
    more = f"{JASON.rstrip()}\n  exportTo: ['.']\n"
    here("apply", *how, "--filename", "-", stdin=more)
    here("annotate", "virtualservice", "reviews", "by=hand")
    without = TO_ONE.format("v1")
    assert any("kubectl apply has put into VirtualService reviews" in each for each in given(without, lab.diff).warnings)
    given(without)
    now = json.loads(here("get", "virtualservice", "reviews", "--output", "json"))
    assert now["spec"] == {"hosts": ["reviews"], "http": [{"route": [{"destination": {"host": "reviews", "subset": "v1"}}]}]}
    assert now["metadata"]["annotations"] == {"by": "hand"}
    assert given(without).changes[0].action == "unchanged" and not given(without, lab.diff).warnings
    here("apply", *how, "--filename", "-", "--force-conflicts" if how else "--overwrite", stdin=more)
    given(without)
    assert "exportTo" not in here("get", "virtualservice", "reviews", "--output", "yaml")
