"""Chapter 08: its checks on right and wrong answers."""

from pathlib import Path

import pandas as pd
import pytest

from lab_helpers.chapters.c08_metrics import check
from lab_helpers.chapters.c08_metrics.answers import Panel
from lab_helpers.chapters.c08_metrics.dashboards import Dashboard
from tests.wrong_answers import before, fails

STEM = "08_metrics"
ROOT = Path(__file__).parents[2]


@before('check("08.6"')
def other_queries(lab, ask, my_query, my_window):
    failed, every = 'istio_requests_total{$mine, response_code=~"5.."}', "istio_requests_total{$mine}"
    with lab.window() as nothing:
        lab.observe("details", n=1)
    fails("08.6", ask, "vector(0)", nothing, sentence="no call of client to reviews has failed")
    fails("08.6", ask, f"rate({every}[$__range])", my_window, sentence="the query gives .* series")
    fails("08.6", ask, "sum(rate(istio_request_total{$mine}[$__range]))", my_window, sentence="the query gives 0 series")
    fails("08.6", ask, f"sum(rate({failed}[$__range]))", my_window, sentence="of 200 calls failed")
    fails("08.6", ask, f"sum(rate({every}[$__range])) / sum(rate({failed}[$__range]))", my_window, sentence="of 200 calls failed")
    fails("08.6", ask, f"sum(rate({failed}[$__range])) / 2 / sum(rate({every}[$__range]))", my_window, sentence="of 200 calls failed")
    right = every.replace("}", ', response_code="200"}')
    check("08.6", ask, f"1 - sum(rate({right}[$__range])) / sum(rate({every}[$__range]))", my_window)  # other ways to say it
    added = "(sum({0} @ $after) - sum({0} @ $before))"
    check("08.6", ask, f"{added.format(failed)} / {added.format(every)}", my_window)


# The other checks on counts at hand: right ones, and every way in which one can be wrong.


def seen(**parts):
    rows = [(version if version != "none" else None, status) for version, statuses in parts.items() for status in statuses]
    return pd.DataFrame(rows, columns=["version", "status"]).assign(latency_ms=20.0)


def counted(*rows):
    return pd.DataFrame(rows, columns=["destination_version", "response_code", "requests"])


def total(*numbers):
    return pd.DataFrame({"requests": list(numbers)})


SEEN = seen(v1=[200] * 3, v2=[200] * 2, none=[503] * 4)
COUNTED = [("v1", "200", 3), ("v2", "200", 2), ("unknown", "503", 4)]
BUCKETS = [1, 5, 10, 25, 50, 100]


def board(*rates, title="Incoming Requests By Destination Workload And Response Code"):
    data = pd.DataFrame({"time": pd.to_datetime(range(len(rates)), unit="s"), "value": list(rates), "series": "v1"})
    return Dashboard("Istio Service Dashboard", {}, {}, [Panel(title, "timeseries", data=data)], 0, 5)


@pytest.mark.parametrize(
    ("number", "state", "answers"),
    [
        ("08.1", [counted(*COUNTED), SEEN], {}),
        ("08.2", [22.0, SEEN, BUCKETS], {}),
        ("08.3", [total(40), total(40, 40)], {"answer": 2}),
        ("08.4", [total(40), total(120)], {"answer": 3}),
        ("08.5", [board(0, 20, 0, 0, 30)], {"sent": 50}),
    ],
)
def test_a_check_passes_on_the_right_answer(number, state, answers, capsys):
    check(number, *state, **answers)
    assert capsys.readouterr().out.startswith(f"✔ {number} ")


@pytest.mark.parametrize(
    ("number", "state", "answers", "sentence"),
    [
        ("08.1", [counted(*COUNTED[:2]), SEEN], {}, "version unknown with code 503, 4 were sent and 0 counted"),
        ("08.1", [counted(*COUNTED[1:], ("v1", "200", 4)), SEEN], {}, "version v1 with code 200, 3 were sent and 4 counted"),
        ("08.2", [90.0, SEEN, BUCKETS], {}, "the query says 90 ms, and the client measured 20 ms"),
        ("08.2", [float("nan"), SEEN, BUCKETS], {}, "the query says nan"),
        ("08.3", [total(), total()], {"answer": 2}, "the source has counted nothing"),
        ("08.3", [total(40), total(40)], {"answer": 1}, "both have counted the same"),
        ("08.3", [total(40), total(80)], {"answer": 3}, "the destinations have counted 80, the source 40"),
        ("08.4", [total(40), total(40)], {"answer": 1}, "nothing was tried again"),
        ("08.4", [total(40), total(120)], {"answer": 2}, "40 requests were tried 120 times"),
        ("08.5", [board(0, 20, 0)], {"sent": 50}, "its lines come to 20 requests, and 50 were sent"),
        ("08.5", [board(90, 20, 0)], {"sent": 50}, "its lines come to 110 requests"),
        ("08.5", [board(50)], {"sent": 50}, "its lines come to 0 requests"),
        ("08.5", [board()], {"sent": 50}, "shows no incoming requests"),
        ("08.5", [board(10, title="Another")], {"sent": 50}, "shows no incoming requests"),
    ],
)
def test_a_check_fails_on_a_wrong_answer_and_says_why(number, state, answers, sentence):
    fails(number, *state, sentence=sentence, **answers)
