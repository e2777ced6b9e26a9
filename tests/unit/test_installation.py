"""How an installation can differ from what was asked for, and what is kept of the configuration: no cluster."""

import pytest

from lab_helpers.istio import configuration, installation


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
