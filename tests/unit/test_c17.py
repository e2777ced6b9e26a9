"""Chapter 17 without a cluster: what fortio and Envoy say is read right, its pictures, and its checks on right and wrong answers."""

import json
import math
from types import SimpleNamespace

import pandas as pd
import pytest

from lab_helpers.chapters.c17_circuit_breaker import breaker, checks, curves, fortio, outliers, proxy
from lab_helpers.chapters.c17_circuit_breaker.fortio import Load
from lab_helpers.core.errors import CheckError, LabError, MeshError, TrafficError
from lab_helpers.kube.kinds import POD, SERVICE, Kind
from tests.objects import Cluster, named, pod

SERVICES = {SERVICE: [named(name, spec={"ports": [{"port": 9080}], "selector": {"app": name}}) for name in ("productpage", "reviews")]}
LAB = Cluster({**SERVICES, POD: [pod("fortio-1", app="fortio")]})
JSON = {
    "NumThreads": 4, "ActualDuration": 500_000_000, "RetCodes": {"200": 30, "503": 20},
    "DurationHistogram": {"Count": 50, "Sum": 0.62}, "ErrorsDurationHistogram": {"Count": 20, "Sum": 0.02},
}  # fmt: skip


def run(connections=8, answered=40, refused=60, ms=12.0, seconds=1.0):
    return Load("fortio load", connections, {200: answered, 503: refused}, ms, seconds)


# fortio.


def test_what_fortio_says_is_read_without_the_time_of_errors():
    told = fortio.read(JSON, "fortio load")
    assert (told.connections, told.requests, told.refused, told.seconds) == (4, 50, 20, 0.5)
    assert told.ms == pytest.approx(20.0)
    assert str(told).splitlines() == [
        "$ fortio load", "Code 200 : 30 (60.0 %)", "Code 503 : 20 (40.0 %)", "20.0 ms for a 200 on average, 100 requests a second",
    ]  # fmt: skip
    assert "<pre" in told._repr_html_() and "Code 503 : 20 (40.0 %)" in told._repr_html_()


def test_where_nothing_was_answered_no_time_is_told():
    told = fortio.read({**JSON, "RetCodes": {"503": 20}, "DurationHistogram": JSON["ErrorsDurationHistogram"]})
    assert math.isnan(told.ms) and "on average" not in str(told)


@pytest.mark.parametrize(
    ("connections", "requests", "wrong"),
    [(0, 10, "out of range"), (65, 100, "out of range"), (8, 4, "out of range"), (8, 1001, "out of range")],
)
def test_a_load_is_bounded(connections, requests, wrong):
    with pytest.raises(TrafficError, match=wrong):
        fortio.load(LAB, connections, requests)


def test_a_load_goes_to_a_service_that_is_there_from_a_pod_that_is_there(monkeypatch):
    with pytest.raises(TrafficError, match="no Service 'nobody'"):
        fortio.load(LAB, 1, 1, "nobody")
    with pytest.raises(TrafficError, match="no ready pod 'fortio-threads'"):
        fortio.load(LAB, 1, 1, app="fortio-threads")
    sent = []

    def execute(_, pod, container, command, deadline):
        sent.append((pod, container, command, deadline))
        return SimpleNamespace(stdout=json.dumps(JSON), stderr="")

    monkeypatch.setattr(fortio.channels, "execute", execute)
    told = fortio.load(LAB, 4, 50, "reviews", every=0.5)
    assert told.command == "kubectl exec deploy/fortio -c fortio -- fortio load -qps 8 -c 4 -n 50 http://reviews:9080/reviews/0"
    assert sent[0][:2] == ("fortio-1", "fortio") and "-json" in sent[0][2] and sent[0][3] == 55.0
    monkeypatch.setattr(fortio.channels, "execute", lambda *_, **__: SimpleNamespace(stdout="", stderr="one\nno such host"))
    with pytest.raises(TrafficError, match="fortio sent nothing: no such host"):
        fortio.load(LAB, 4, 50)


def test_what_is_done_at_once_comes_back_in_order():
    assert fortio.at_once(lambda: 1, lambda: "two") == [1, "two"]


# Envoy.


def stats(**values):
    beginning = "cluster.outbound|9080||productpage.default.svc.cluster.local;."
    return {"stats": [{"name": beginning + name, "value": value} for name, value in values.items()] + [{"histograms": {}}]}


def test_counters_are_those_of_one_service(monkeypatch):
    monkeypatch.setattr(proxy.channels, "get_json", lambda *asked: stats(upstream_rq_pending_overflow=7))
    assert proxy.counters(LAB) == {"upstream_rq_pending_overflow": 7}
    monkeypatch.setattr(proxy.channels, "get_json", lambda *asked: {"stats": []})
    with pytest.raises(MeshError, match="keeps no counters of its calls to productpage"):
        proxy.counters(LAB)
    kept = pod("fortio-1", app="fortio")
    kept["metadata"]["annotations"] = {"proxy.istio.io/config": "proxyStatsMatcher: {}"}
    assert proxy.counters(Cluster({**SERVICES, POD: [kept]}))["upstream_rq_pending_overflow"] == 0, "nothing was asked yet"


def test_limits_are_the_thresholds_of_the_cluster(monkeypatch):
    thresholds = [{"max_connections": 1, "max_pending_requests": 2**32 - 1, "track_remaining": True}]
    cluster = {"name": "outbound|9080||productpage.default.svc.cluster.local", "circuit_breakers": {"thresholds": thresholds}}
    monkeypatch.setattr(proxy.channels, "get_json", lambda *asked: {"configs": [{"cluster": cluster}, {"cluster": {"name": "other"}}]})
    assert proxy.limits(LAB) == {"max_connections": 1, "max_pending_requests": 2**32 - 1}
    assert proxy.limits(LAB, "reviews") == {}
    cluster["name"] = "inbound|9080||"
    assert proxy.limits(LAB, app="fortio", inbound=True)["max_connections"] == 1


def test_who_is_left_out_is_told_by_version(monkeypatch):
    def host(address, failed, total, errors):
        counts = [{"name": "rq_total", "value": str(total)}, {"name": "rq_error", "value": str(errors)}]
        health = {"eds_health_status": "HEALTHY", **({"failed_outlier_check": True} if failed else {})}
        return {"address": {"socket_address": {"address": address}}, "health_status": health, "stats": counts}

    hosts = [host("10.0.0.4", True, 9, 5), host("10.0.0.1", False, 20, 0)]
    cluster = {"name": "outbound|9080||reviews.default.svc.cluster.local", "host_statuses": hosts}
    monkeypatch.setattr(outliers.envoy, "clusters", lambda *_: [{"name": "other"}, cluster])
    there = [pod(f"reviews-{each}", app="reviews", version=each, status={"podIP": f"10.0.0.{each[1]}"}) for each in ("v1", "v4")]
    lab = Cluster({**SERVICES, POD: [pod("fortio-1", app="fortio"), *there]})
    table = outliers.endpoints(lab)
    assert table.to_dict("records") == [
        {"version": "v1", "left_out": False, "requests": 20, "failed": 0},
        {"version": "v4", "left_out": True, "requests": 9, "failed": 5},
    ]
    cluster["host_statuses"] = hosts[1:]
    assert outliers.until_back(lab) < 1
    monkeypatch.setattr(outliers.envoy, "clusters", lambda *_: [])
    assert outliers.endpoints(lab).empty


# What is drawn.


def test_a_curve_is_drawn_with_its_intervals():
    points = curves.table([run(1, 100, 0), run(8, 40, 60)])
    assert list(points["share"]) == [0, 0.6] and points["low"].iloc[1] < 0.6 < points["high"].iloc[1] and points["high"].iloc[0] < 0.06
    drawn = curves.plot_curve({"kept open": points, "closed": points})
    assert repr(drawn) == "Share refused, by callers at a time. kept open: 0% at 1, 60% at 8; closed: 0% at 1, 60% at 8."
    assert "<svg" in drawn._repr_html_() and "nan" not in drawn.svg
    for nothing in ({}, {"none": points.iloc[:0]}):
        with pytest.raises(LabError, match="nothing to draw"):
            curves.plot_curve(nothing)


def test_a_run_that_failed_otherwise_counts_as_neither():
    points = curves.table([Load("fortio load", 4, {200: 10, 503: 5, -1: 2}, 1.0, 1.0)])
    assert points[["requests", "refused", "failed"]].values.tolist() == [[17, 5, 2]]


def test_the_knob_tells_what_came_of_a_limit(monkeypatch):
    drawn = breaker.picture([run(), run(refused=0, answered=100, ms=24.0)])
    assert len(drawn.svg) < 4096 and drawn.across <= 672 and "70%" in drawn.svg and "30%" in drawn.svg
    assert "21 ms" in drawn.svg, "the mean of all answers, of 12 ms and of 24"
    said = breaker.sentence([run()], 1)
    assert said.startswith("100 of 192 requests sent, by 8 callers, over 1 connection. 60% refused (99 % interval ")
    assert "over 4 connections" in breaker.sentence([run()], 4)
    monkeypatch.setattr(breaker, "limit", lambda *_: None)
    monkeypatch.setattr(breaker, "load", lambda *_, **__: run(answered=24, refused=40))
    steps = list(breaker.follow(LAB, 2))
    assert [step.done for step in steps] == [64, 128, 192] and steps[0].of == 192
    assert list(breaker.follow(LAB, 2, lambda: True)) == []


@pytest.mark.parametrize("wrong", [0, -1, 1.5, True, "2"])
def test_a_limit_is_a_whole_number(wrong):
    with pytest.raises(LabError, match="no limit"):
        breaker.limit(LAB, wrong)


def test_the_knob_writes_the_chapters_own_rule(monkeypatch):
    written = []
    monkeypatch.setattr(breaker.apply, "write", lambda _, documents, command: written.extend(documents))
    breaker.limit(LAB, 6)
    pool = written[0]["spec"]["trafficPolicy"]["connectionPool"]
    other = {"metadata": {"name": "other"}, "spec": {"host": "productpage.default"}}
    rival = Cluster({Kind("networking.istio.io/v1", "DestinationRule"): [named("productpage", spec={"host": "productpage"}), other]})
    with pytest.raises(MeshError, match="DestinationRule other speaks for productpage"):
        breaker.limit(rival, 6)
    assert pool == {"tcp": {"maxConnections": 6}, "http": {"http1MaxPendingRequests": 1}}


# The checks.


NOW = {"max_connections": 1, "max_pending_requests": 2**32 - 1, "max_requests": 3, "max_retries": 2**32 - 1}


@pytest.mark.parametrize(
    ("now", "answer", "sentence"),
    [
        (NOW, "max_pending_requests", None),
        (NOW, "max_connections", "max_connections is 1, so it has a bound"),
        (NOW, "max_requests", "max_requests is 3"),
        (NOW, "max_retries", "no bound either"),
        (NOW, "http1MaxPendingRequests", "no limit that is called"),
        ({**NOW, "max_connections": 2**32 - 1}, "max_pending_requests", "as many connections"),
    ],
)
def test_where_they_wait(monkeypatch, now, answer, sentence):
    monkeypatch.setattr(checks, "limits", lambda *_: now)
    judged(sentence, checks.where_they_wait, LAB, answer)


def judged(sentence, check, *state):
    """Hold that a check passes, or says why not."""
    if sentence is None:
        assert check(*state)
        return
    with pytest.raises(CheckError, match=sentence) as found:
        check(*state)
    assert found.value.do


def points(**refused):
    """A curve: refused of 200 requests, by callers (c1, c2 …)."""
    return curves.table([run(int(each[1:]), 200 - count, count) for each, count in refused.items()])


@pytest.mark.parametrize(
    ("seen", "sentence"),
    [
        (points(c1=0, c2=0, c4=120, c8=160), None),
        (points(c1=0, c2=0, c4=120, c8=118), None),
        (points(c1=0, c8=160), "no curve"),
        (points(c1=0, c2=0, c3=1, c4=120), "no curve"),
        (points(c1=0, c2=3, c4=120, c8=160), "3 requests were refused with 2 callers"),
        (points(c1=0, c2=0, c4=0, c8=0), "not sure that any are refused"),
        (points(c1=0, c2=0, c4=160, c8=20), "with 8 callers a smaller share"),
        (points(c1=0, c2=0, c4=120, c8=160).assign(failed=[0, 0, 1, 0]), "failed in another way"),
    ],
)
def test_the_curve(seen, sentence):
    judged(sentence, checks.curve_rises, seen)


def told(*rows):
    return pd.DataFrame(rows, columns=["response_code", "response_flags", "requests"])


@pytest.mark.parametrize(
    ("overflow", "flags", "sentence"),
    [
        (60, told(("200", "-", 40), ("503", "UO", 60)), None),
        (59, told(("503", "UO", 60)), "the proxy counted 59, fewer"),
        (61, told(("503", "UO", 60)), "the proxy counted 61, more"),
        (60, told(("200", "-", 40), ("503", "UF", 60)), "0 requests have the flag UO"),
        (60, told(), "0 requests have the flag UO"),
    ],
)
def test_three_that_counted(overflow, flags, sentence):
    judged(sentence, checks.counted_alike, run(), overflow, flags)
    judged("never answered 503", checks.counted_alike, run(refused=0), 0, flags)


@pytest.mark.parametrize(
    ("load", "statuses", "sentence"),
    [
        (run(), [200] * 40, None),
        (run(answered=90, refused=10), [200] * 40, "refused only 10 of 100"),
        (run(), [200] * 5, "5 requests of client do not say much"),
        (run(), [200] * 39 + [503], "1 of client's 40 requests got 503"),
    ],
)
def test_one_callers_limit(load, statuses, sentence):
    judged(sentence, checks.others_untouched, load, pd.DataFrame({"status": statuses}))


def endpoints(**rows):
    """Pods by version: whether it is left out, requests, failures."""
    return pd.DataFrame([(version, *row) for version, row in rows.items()], columns=outliers.COLUMNS)


OUT = endpoints(v1=(False, 40, 0), v2=(False, 40, 0), v4=(True, 12, 5))


@pytest.mark.parametrize(
    ("seen", "answer", "sentence"),
    [
        (OUT, "v4", None),
        (OUT, "v1", "v1 still gets requests"),
        (OUT, "reviews-v4", "no pod has the version 'reviews-v4'"),
        (endpoints(v1=(False, 40, 0), v4=(False, 12, 12)), "v4", "no pod is left out"),
        (endpoints(v1=(True, 40, 5), v4=(True, 12, 5)), "v4", "v1, v4 are left out"),
    ],
)
def test_left_out(seen, answer, sentence):
    judged(sentence, checks.left_out, seen, answer)


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        (OUT, endpoints(v1=(False, 60, 0), v2=(False, 60, 0), v4=(False, 32, 5)), None),
        (OUT, OUT, "v4 is left out"),
        (endpoints(v1=(False, 1, 0)), endpoints(v1=(False, 2, 0)), "nobody had failed before"),
        (OUT, endpoints(v1=(False, 60, 0), v2=(False, 60, 0), v4=(False, 12, 5)), "v4 has got no request since"),
        (OUT, endpoints(v1=(False, 60, 0), v2=(False, 60, 0), v4=(False, 16, 9)), "4 requests to v4 failed again"),
    ],
)
def test_taken_back(before, after, sentence):
    judged(sentence, checks.taken_back, before, after)


@pytest.mark.parametrize(
    ("connections", "few", "many", "sentence"),
    [
        (2, 0, 300, None),
        (2**32 - 1, 0, 0, "no limit on connections"),
        (3, 0, 300, "a limit of 3 on connections"),
        (2, 4, 300, "with 8 callers, 4 of 200 requests were refused"),
        (2, 0, 0, "with 32 callers, none of 800"),
    ],
)
def test_a_breaker_of_your_own(monkeypatch, connections, few, many, sentence):
    monkeypatch.setattr(checks, "limits", lambda *_: {"max_connections": connections})
    monkeypatch.setattr(checks, "load", lambda _, callers, n, service: run(callers, n - (few, many)[callers > 8], (few, many)[callers > 8]))
    judged(sentence, checks.own_breaker, LAB)
