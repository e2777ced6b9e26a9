"""Chapter 07 without a cluster: who was busy in a trace at hand, and its waterfall."""

import json
from types import SimpleNamespace

import pandas as pd
import pytest

from lab_helpers.chapters.c07_tracing import dependencies, own_time, plot_trace
from lab_helpers.core.errors import LabError, QueryError
from lab_helpers.kube.client import Answer
from lab_helpers.traffic import addons
from lab_helpers.traffic.prometheus import Window
from lab_helpers.traffic.traces import SPAN

CALL = pd.DataFrame(
    [
        ("1", "", "a.default", "SERVER", "", "a.default:9080/*", 0.0, 10.0, "200", "-", False),
        ("2", "1", "a.default", "CLIENT", "b", "a.default:9080/*", 2.0, 6.0, "200", "-", False),
        ("3", "2", "b.default", "SERVER", "", "b.default:9080/*", 3.0, 4.0, "200", "-", False),
    ],
    columns=SPAN,
)


def test_own_time_is_what_is_left_without_those_who_were_called():
    own = own_time(CALL).set_index("service")["own_ms"]
    assert own["a.default"] == pytest.approx((10 - 6) + (6 - 4)) and own["b.default"] == pytest.approx(4)


def test_own_time_of_several_traces_is_that_of_an_average_one_and_not_of_those_that_a_service_is_in():
    alone = CALL.head(1)
    own = own_time(trace for trace in (CALL, alone)).set_index("service")["own_ms"]
    assert own["a.default"] == pytest.approx((6 + 10) / 2) and own["b.default"] == pytest.approx(4 / 2)
    assert own_time([]).empty


LINKS = [
    {"parent": "istio-ingressgateway.istio-system", "child": "productpage.mine", "callCount": 7},
    {"parent": "reviews.mine", "child": "ratings.mine", "callCount": 5, "errorCount": 2},
    {"parent": "reviews.yours", "child": "ratings.yours", "callCount": 9},
    {"parent": "client.mine", "child": "details.yours", "callCount": 1},
]


def told(monkeypatch, status, text):
    asked = []
    answer = Answer(status, {}, text.encode())
    monkeypatch.setattr(addons, "ask", lambda lab, name, path, params: asked.append((name, path, params)) or answer)
    return asked


def test_dependencies_are_the_links_of_the_namespace(monkeypatch):
    asked = told(monkeypatch, 200, json.dumps(LINKS))
    found = dependencies(SimpleNamespace(namespace="mine"), Window(100.0, 130.5, 132.0))
    assert found.to_numpy().tolist() == [
        ["istio-ingressgateway", "productpage", 7, 0], ["reviews", "ratings", 5, 2], ["client", "details.yours", 1, 0],
    ]  # fmt: skip
    assert asked == [("zipkin", "/zipkin/api/v2/dependencies", {"endTs": 130501, "lookback": 30502})]


def test_what_zipkin_does_not_answer_gets_a_sentence(monkeypatch):
    told(monkeypatch, 500, "no memory")
    with pytest.raises(QueryError, match="Zipkin answered 500: no memory"):
        dependencies(SimpleNamespace(namespace="mine"), Window(100.0, 130.5, 132.0))
    with pytest.raises(QueryError, match="has not ended"):
        dependencies(SimpleNamespace(namespace="mine"), Window(100.0))


def test_a_waterfall_shows_each_span_once_and_the_whole_in_words():
    picture = plot_trace(CALL)
    html = picture._repr_html_()
    assert html.count("<rect") == 3 and ">a → b<" in html and "currentColor" in html and "<script" not in html
    assert "3 spans over 2 services in 10 ms" in repr(picture)


def test_nothing_to_draw_gets_a_sentence():
    with pytest.raises(LabError, match="nothing to draw"):
        plot_trace(pd.DataFrame(columns=SPAN))
