"""Chapter 12 without a mesh: a state of the sliders is what can be drawn, a replay is complete in itself."""

import json
import re

import pandas as pd
import pytest

from lab_helpers.chapters.c12_traffic_shifting import checks, failures, weights, widget
from lab_helpers.chapters.c12_traffic_shifting.checks import FAULTS, POWER, RATIO, WEIGHTS
from lab_helpers.chapters.c12_traffic_shifting.rules_of_thumb import worth
from lab_helpers.chapters.c12_traffic_shifting.weights import Progress
from lab_helpers.chapters.c12_traffic_shifting.widget import TrafficShifting, _state
from lab_helpers.core.errors import CheckError, MeshError
from lab_helpers.core.statistics import power, required_n
from lab_helpers.kube.apply import Outcome
from lab_helpers.kube.kinds import Kind
from lab_helpers.show.living import output
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


def test_a_state_names_the_intervals_that_miss_their_mark():
    assert state({"v1": 60, "v2": 100, "v3": 240})["missed"] == []
    assert state({"v1": 90, "v2": 90, "v3": 220})["missed"] == ["v1"]


def test_following_remembers_how_low_p_has_been(monkeypatch):
    counts = [{"v1": 0, "v2": 0, "v3": 0}, {"v1": 12, "v2": 12, "v3": 26}, {"v1": 60, "v2": 100, "v3": 240}]
    steps = [Progress(WEIGHTS, EFFECT, each, 0, 400) for each in counts]
    monkeypatch.setattr(widget, "steps", lambda *_, **__: steps)
    told = list(widget.follow(None, "reviews", WEIGHTS))
    assert [each["p"] for each in told][0] is None and told[0]["lowest"] is None
    assert told[2]["lowest"] == told[1]["p"] < told[2]["p"]


# Judged.


def answered(**numbers):
    return pd.DataFrame([(name, 200) for name, number in numbers.items() for _ in range(number)], columns=["version", "status"])


def test_a_check_says_which_fault_so_many_requests_find():
    sentence, more = checks.weights_kept(answered(v1=420, v2=750, v3=1830))
    assert sentence.startswith("3,000 requests, which agree") and "does 20 : 25 : 55 is found by so many requests in 99.8 %" in more
    assert "2.3 % of the requests" in checks.all_to_v1(answered(v1=200))


@pytest.mark.parametrize(("number", "judge", "wanted"), [("12.3", checks.weights_kept, WEIGHTS), ("12.4", checks.ratio_kept, RATIO)])
def test_a_check_takes_no_fewer_requests_than_it_needs_and_keeps_its_promise(number, judge, wanted):
    n = required_n(wanted, FAULTS[number], wanted_power=POWER)
    share = {name: round(n * weight / sum(wanted.values())) for name, weight in wanted.items()}
    short = sum(share.values()) - n
    share["v3"] -= short
    judge(answered(**share))
    share["v3"] -= 1
    with pytest.raises(CheckError, match="too few to tell"):
        judge(answered(**share))
    assert power(n, wanted, wanted) <= 1e-5 and 1 - power(n, wanted, FAULTS[number]) <= 1 / 200


def test_rules_side_by_side_are_compared_at_the_same_numbers():
    table = worth(WEIGHTS, FAULTS["12.3"], sizes=[100, 2734], points=[10, 2.5])
    assert list(table.index) == [(rule, n) for rule in ("χ² test", "± 10 points", "± 2.5 points") for n in (100, 2734)]
    accuses, misses = table["accuses a right mesh"], table["misses 20 : 25 : 55"]
    assert accuses["± 10 points", 100] == pytest.approx(0.043, abs=0.001) and misses["± 10 points", 100] == pytest.approx(0.812, abs=0.001)
    assert misses["χ² test", 100] > 0.99 > misses["± 2.5 points", 2734]


def test_failures_are_counted_among_the_requests_of_their_version(monkeypatch):
    """A request that reached no pod is nobody's, one that was asked wrongly nobody's fault; other services do not count."""
    rows = [
        ("reviews", "v1", "200", 270), ("reviews", "v3", "200", 26), ("reviews", "v3", "500", 2), ("reviews", "v3", "0", 1),
        ("reviews", "v3", "404", 1), ("reviews", "unknown", "503", 30), ("ratings", "v3", "500", 9),
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=["destination_service_name", "destination_version", "response_code", "requests"])
    monkeypatch.setattr(failures.graph, "requests", lambda *_: table)
    told = failures.health(None, None, "v3")
    assert told == {"requests": 30, "failed": 3, "failure rate below (99 % confidence)": "29.8%"}
    assert failures.health(None, None, "v2")["failure rate below (99 % confidence)"] == "100.0%"


def test_a_replay_carries_its_data_and_loads_nothing():
    recorded = [[state({"v1": 0, "v2": 0, "v3": 0}), state({"v1": 60, "v2": 100, "v3": 240})]]
    html = output(TrafficShifting, recorded)
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
