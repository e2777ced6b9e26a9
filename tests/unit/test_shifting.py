"""Sliders without a mesh: of many requests the newest counts, a state is what can be drawn, a replay is complete in itself."""

import json
import re
import threading

import pytest

from lab_helpers.core.errors import LabError
from lab_helpers.core.wait import wait_until
from lab_helpers.istio.apply import Outcome
from lab_helpers.chapters.c12_traffic_shifting.weights import Progress
from lab_helpers.show.latest import Latest
from lab_helpers.chapters.c12_traffic_shifting.widget import _state, replay

EFFECT = Outcome("kubectl", [], proxies=8, seconds=0.2)


def ended(latest):
    wait_until(lambda: not latest.busy, "the work to end", 10)


def test_of_many_requests_only_the_newest_is_worked_on_after_the_one_at_hand():
    begun, shown, go = [], [], threading.Event()

    def work(wanted, stopped):
        begun.append(wanted)
        go.wait(10)
        yield from range(3)

    latest = Latest(work, lambda wanted, step: shown.append((wanted, step)), lambda *error: None)
    latest.request(0)
    wait_until(lambda: begun == [0], "the first to begin", 10)
    for wanted in range(1, 51):
        latest.request(wanted)
    go.set()
    ended(latest)
    assert begun == [0, 50] and shown == [(0, 0), (50, 0), (50, 1), (50, 2)]


def test_stop_ends_the_work_and_nothing_waits():
    steps, first = [], threading.Event()

    def work(wanted, stopped):
        while not stopped():
            steps.append(wanted)
            first.set()
            yield

    latest = Latest(work, lambda *step: None, lambda *error: None)
    latest.request("on")
    assert first.wait(10)
    latest.close()
    assert not latest.busy and set(steps) == {"on"}


def test_an_error_is_told_and_the_next_request_works():
    told, shown = [], []

    def work(wanted, stopped):
        if wanted == "bad":
            raise LabError("This is wrong.", "Do that.")
        yield "step"

    latest = Latest(work, lambda wanted, step: shown.append(step), lambda wanted, error: told.append((wanted, error.what)))
    latest.request("bad")
    ended(latest)
    latest.request("good")
    ended(latest)
    assert told == [("bad", "This is wrong.")] and shown == ["step"]


def test_work_that_does_not_end_is_told_of():
    go, begun = threading.Event(), threading.Event()

    def work(wanted, stopped):
        begun.set()
        go.wait(10)
        yield

    latest = Latest(work, lambda *step: None, lambda *error: None)
    latest.request(1)
    assert begun.wait(10)
    with pytest.raises(LabError, match="has not ended"):
        latest.close(deadline=0.05)
    go.set()
    ended(latest)


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
