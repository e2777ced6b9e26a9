"""Chapter 12 without a mesh: a state of the sliders is what can be drawn, a replay is complete in itself."""

import json
import re

import pytest

from lab_helpers.chapters.c12_traffic_shifting import weights
from lab_helpers.chapters.c12_traffic_shifting.weights import Progress
from lab_helpers.chapters.c12_traffic_shifting.widget import _state, replay
from lab_helpers.core.errors import MeshError
from lab_helpers.kube.apply import Outcome
from lab_helpers.kube.kinds import Kind
from tests.objects import Cluster

EFFECT = Outcome("kubectl", [], proxies=8, seconds=0.2)


def state(counts, weights=None, failed=0):
    return _state(Progress(weights or {"v1": 15, "v2": 25, "v3": 60}, EFFECT, counts, failed, 400))


def test_a_state_is_json_with_an_interval_around_each_share():
    drawn = json.loads(json.dumps(state({"v1": 60, "v2": 100, "v3": 240})))
    assert drawn["sent"] == 400 and drawn["p"] == 1 and drawn["seconds"] == 0.2
    for version, share in (("v1", 15), ("v2", 25), ("v3", 60)):
        low, high = drawn["intervals"][version]
        assert low < share < high


def test_a_state_without_requests_has_neither_interval_nor_p():
    drawn = state({"v1": 0, "v2": 0, "v3": 0})
    assert drawn["intervals"] == {} and drawn["p"] is None and drawn["sent"] == 0


def test_failures_count_as_sent_and_a_wrong_mesh_is_contradicted():
    assert state({"v1": 10, "v2": 10, "v3": 10}, failed=20)["sent"] == 50
    drawn = state({"v1": 200, "v2": 100, "v3": 100})
    assert drawn["p"] < drawn["alpha"]


def test_a_replay_carries_its_data_and_loads_nothing():
    recorded = [[state({"v1": 0, "v2": 0, "v3": 0}), state({"v1": 60, "v2": 100, "v3": 240})]]
    html = replay(recorded)
    data = re.search(r'data-recorded="([^"]*)"', html)[1].replace("&quot;", '"')
    assert json.loads(data) == json.loads(json.dumps(recorded))
    assert "<svg" in html, "no picture where scripts do not run"
    assert not re.search(r"(?:src|href)=.(?!#)|import\(|fetch\(|https?://(?!www\.w3\.org)", html)


@pytest.mark.parametrize(
    ("spec", "more"),
    [
        ({}, []),
        ({"http": []}, []),
        ({"http": [{"route": [{"destination": {"host": "reviews", "subset": "v1"}, "weight": 100}]}]}, []),
        ({"hosts": ["reviews", "ratings"]}, ["2 hosts"]),
        ({"http": [{"match": [{}], "route": []}, {"route": []}]}, ["2 rules", "match"]),
        ({"http": [{"route": [], "timeout": "1s", "fault": {}}]}, ["fault", "timeout"]),
        ({"http": [{"route": [{"destination": {"host": "r", "port": {"number": 80}}, "headers": {}}]}]}, ["headers", "destination.port"]),
        ({"gateways": ["mesh", "bookinfo-gateway"], "tcp": []}, ["spec.gateways", "spec.tcp"]),
    ],
)
def test_weights_take_the_place_of_weights_only(spec, more):
    """Somebody's match, timeout or second host was overwritten in silence."""
    spec = {"hosts": ["reviews"], **spec}
    rule = {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": "jason"}, "spec": spec}
    lab = Cluster({Kind(weights.API, "VirtualService"): [rule]})
    if not more:
        assert weights._name(lab, "reviews") == "jason"
    else:
        with pytest.raises(MeshError, match=re.escape(f"jason does more than share out traffic ({', '.join(more)})")):
            weights._name(lab, "reviews")
