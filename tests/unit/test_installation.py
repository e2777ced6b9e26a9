"""How an installation can differ from what was asked for, and what is kept of the configuration: no cluster."""

import json

import pytest

from lab_helpers.core.errors import ClusterError
from lab_helpers.istio import configuration, installation
from lab_helpers.kube.kinds import Kind
from tests.objects import Cluster


def deployment(name="istiod", replicas=1, available=1, image="pilot:1.31.0"):
    spec = {"template": {"spec": {"containers": [{"name": "discovery", "image": image}]}}}
    return {
        "metadata": {"name": name},
        "spec": spec | ({} if replicas is None else {"replicas": replicas}),
        "status": {} if available is None else {"availableReplicas": available},
    }


@pytest.mark.parametrize(
    ("found", "wanted", "wrong"),
    [
        (deployment(), deployment(), ""),
        (deployment("istio-egressgateway"), None, "is not part of it"),
        (deployment(replicas=5, available=5), deployment(), "has 5 replicas"),
        (deployment(image="pilot:1.30.1"), deployment(), "is of another version (pilot:1.30.1)"),
        (deployment(available=None), deployment(), "is not available"),
    ],
)
def test_what_is_wrong_with_a_deployment(found, wanted, wrong):
    assert installation._wrong(found, wanted) == wrong


def test_where_an_autoscaler_decides_no_number_is_wrong():
    assert installation._wrong(deployment(replicas=3, available=3), deployment(replicas=None)) == ""


def test_a_copy_holds_what_a_person_wrote():
    stored = {
        "apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication", "spec": {"mtls": {"mode": "STRICT"}}, "status": {},
        "metadata": {"name": "default", "namespace": "a", "uid": "1", "resourceVersion": "2", "labels": {"x": "y"}, "managedFields": []},
    }  # fmt: skip
    assert configuration._copy(stored) == {
        "apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication", "spec": {"mtls": {"mode": "STRICT"}},
        "metadata": {"name": "default", "namespace": "a", "labels": {"x": "y"}},
    }  # fmt: skip


POLICY = Kind("security.istio.io/v1", "PeerAuthentication")


@pytest.fixture
def mesh():
    """A function that makes a cluster with so many policies of another team; what is written there is in `written`."""

    def of(count: int) -> Cluster:
        policies = [{**POLICY._asdict(), "metadata": {"name": f"p{number}", "namespace": "team"}, "spec": {}} for number in range(count)]
        cluster = Cluster({POLICY: policies})
        cluster.written = []
        cluster.kinds = lambda wanted: [POLICY]
        cluster.apply = lambda document, **_: cluster.written.append(document) or document
        return cluster

    return of


def test_the_copy_is_not_in_the_namespace_that_goes_with_istio(mesh):
    """Istio's own page on uninstalling ends with `kubectl delete namespace istio-system`."""
    lab = mesh(3)
    configuration.keep(lab)
    [written] = lab.written
    assert written["metadata"]["namespace"] == "kube-public"
    assert [each["metadata"]["name"] for each in json.loads(written["data"]["objects"])] == ["p0", "p1", "p2"]


def test_more_than_a_configmap_holds_is_refused_before_anything_is_uninstalled(mesh):
    lab = mesh(10_000)
    with pytest.raises(ClusterError, match="(?s)KiB in 10,000 objects, too much.*lost with Istio.*Leave Istio as it is"):
        configuration.keep(lab)
    assert lab.written == []
