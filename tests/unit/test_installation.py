"""How an installation can differ from what was asked for: no cluster."""

from types import SimpleNamespace

import pytest

from lab_helpers.istio import installation


def deployment(name="istiod", replicas=1, available=1):
    return SimpleNamespace(
        metadata=SimpleNamespace(name=name),
        spec=SimpleNamespace(replicas=replicas),
        status=SimpleNamespace(availableReplicas=available),
    )


@pytest.mark.parametrize(
    ("found", "wrong"),
    [
        (deployment(), ""),
        (deployment("istio-egressgateway"), "is not part of it"),
        (deployment(replicas=5, available=5), "has 5 replicas"),
        (deployment(available=None), "is not available"),
    ],
)
def test_what_is_wrong_with_a_deployment(found, wrong):
    assert installation._wrong(found, {"istiod": 1}) == wrong


def test_where_an_autoscaler_decides_no_number_is_wrong():
    assert installation._wrong(deployment(replicas=3, available=3), {"istiod": None}) == ""


def test_a_copy_holds_what_a_person_wrote():
    stored = {
        "apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication", "spec": {"mtls": {"mode": "STRICT"}}, "status": {},
        "metadata": {"name": "default", "namespace": "a", "uid": "1", "resourceVersion": "2", "labels": {"x": "y"}, "managedFields": []},
    }  # fmt: skip
    assert installation._copy(stored) == {
        "apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication", "spec": {"mtls": {"mode": "STRICT"}},
        "metadata": {"name": "default", "namespace": "a", "labels": {"x": "y"}},
    }  # fmt: skip
