"""Chapter 14 without a mesh: both ends of a call, what a client's Envoy has sent, access logs; each check on every wrong answer."""

import pandas as pd
import pytest

from lab_helpers.chapters.c14_mirroring import access, both_ends, check, checks, ends, given_up, heard, sent_by_client
from lab_helpers.core.errors import MeshError, TrafficError
from lab_helpers.core.statistics import power, required_n
from lab_helpers.kube.client import Answer
from lab_helpers.kube.kinds import POD
from tests.objects import Cluster, pod
from tests.wrong_answers import fails


def counted(*rows):
    return pd.DataFrame(rows, columns=["destination_service_name", "destination_workload", "requests"])


def test_both_ends_stand_side_by_side_and_nobody_who_was_not_asked(monkeypatch):
    told = {
        "source": counted(("reviews", "reviews-v2", 60), ("ratings", "ratings-v1", 120), ("reviews", "reviews-v1", 0)),
        "destination": counted(("reviews", "reviews-v2", 60), ("reviews", "reviews-v3", 60), ("details", "details-v1", 9)),
    }
    monkeypatch.setattr(ends.graph, "requests", lambda lab, window, *labels, reporter: told[reporter])
    table = both_ends(None, None)
    assert table.index.tolist() == ["reviews-v3", "reviews-v2", "ratings-v1"]
    assert table["counted by callers"].tolist() == [0, 60, 120] and table["counted on arrival"].tolist() == [60, 60, 0]


def host(address, **counters):
    stats = [{"name": name, "value": str(value)} for name, value in counters.items()]
    return {"address": {"socket_address": {"address": address}}, "stats": stats}


def test_what_the_client_has_sent_is_summed_over_the_clusters_of_a_version(monkeypatch):
    versions = {"192.0.2.2": "v2", "192.0.2.5": "v5"}
    there = [pod(f"reviews-{name}", app="reviews", version=name, status={"podIP": at}) for at, name in versions.items()]
    lab = Cluster({POD: [pod("client-1", app="client"), *there]})
    service = "reviews.default.svc.cluster.local"
    elsewhere = host("192.0.2.9", rq_total=3)
    clusters = [
        {"name": f"outbound|9080||{service}", "host_statuses": [host("192.0.2.2", rq_total=1), host("192.0.2.5")]},
        {"name": f"outbound|9080|v2|{service}", "host_statuses": [host("192.0.2.2", rq_total=40, rq_error=2)]},
        {"name": f"outbound|9080|v5|{service}", "host_statuses": [host("192.0.2.5", rq_total=40, rq_active=40), elsewhere]},
        {"name": "outbound|9080||ratings.default.svc.cluster.local", "host_statuses": [host("192.0.2.2", rq_total=7)]},
    ]  # fmt: skip
    monkeypatch.setattr(ends.envoy, "clusters", lambda lab, name: clusters)
    assert sent_by_client(lab).to_dict("index") == {
        "v2": {"requests": 41, "open": 0, "failed": 2}, "v5": {"requests": 40, "open": 40, "failed": 0},
    }  # fmt: skip
    with pytest.raises(TrafficError, match="no ready pod 'client'"):
        sent_by_client(Cluster({POD: there}))


def test_what_was_given_up_is_waited_for(monkeypatch):
    looks = iter([0, 12, 49, 50, 50])
    monkeypatch.setattr(ends, "sent_by_client", lambda lab, service: sent(v5=(50, 0, next(looks))))
    assert given_up(None, "v5", 50)["failed"]["v5"] == 50
    monkeypatch.setattr(ends, "GIVEN_UP", 0.01)
    monkeypatch.setattr(ends, "sent_by_client", lambda lab, service: sent(v4=(50, 0, 50)))
    with pytest.raises(MeshError, match=r"50 failed requests to v5: there are 0\.(.|\n)*timeout"):
        given_up(None, "v5", 50)


LOG = """2026-11-27T12:00:00Z info Envoy proxy is ready
[2026-11-27T12:00:01.000Z] "GET /reviews/0 HTTP/1.1" 200 - via_upstream - "-" 0 377 5 4 "10.0.0.7" "look" "8a-1" "reviews:9080" "10.0.0.9:9080" inbound|9080|| 127.0.0.6:1 10.0.0.9:9080 10.0.0.7:0 outbound_.9080_.v3_.reviews default
[2026-11-27T12:00:02.000Z] "GET /reviews/0 HTTP/1.1" 200 - via_upstream - "-" 0 377 5 4 "-" "other" "8a-2" "reviews:9080" "10.0.0.9:9080" inbound|9080|| 127.0.0.6:1 10.0.0.9:9080 10.0.0.7:0 - default
[2026-11-27T12:00:02.000Z] "GET /ratings/0 HTTP/1.1" 200 - via_upstream - "-" 0 48 5 4 "-" "look" "8a-1" "ratings:9080" "10.0.0.8:9080" outbound|9080||ratings.default.svc.cluster.local 10.0.0.9:1 10.0.0.3:9080 10.0.0.9:2 - default
"""  # noqa: E501


def test_a_request_is_found_in_the_logs_by_its_agent(monkeypatch):
    def raw(path, params):
        return Answer(200, {}, LOG.encode() if path.endswith("/pods/reviews-v3/log") else b"")

    lab = Cluster({POD: [pod(f"reviews-{each}", app="reviews", version=each) for each in ("v2", "v3")]}, raw=raw)
    table = heard(lab, "look", versions=("v3",))
    assert table.values.tolist() == [["v3", "GET /reviews/0 HTTP/1.1", "reviews:9080", "8a-1", "10.0.0.7", 200]]
    monkeypatch.setattr(access, "WRITTEN", 0.01)
    with pytest.raises(MeshError, match=r"'look' to be in the access logs of v2 and v3: It is in that of v3\.(.|\n)*accessLogFile"):
        heard(lab, "look")


def test_what_was_written_is_counted_once_copies_are_done(monkeypatch):
    looks = iter([1, 0])
    monkeypatch.setattr(access, "sent_by_client", lambda lab, service: sent(v1=(2, next(looks), 0)))
    log = b"GET /ratings/14\nPOST /ratings/14\nPOST /ratings/140\nPOST /ratings/14\n"
    lab = Cluster({POD: [pod("ratings-1", app="ratings"), pod("other", app="other")]}, raw=lambda path, params: Answer(200, {}, log))
    assert access.written(lab, "/ratings/14") == 2
    assert access.unused("look") != access.unused("look")


# Judged.


def seen(*versions, n=200, status=200, ms=5.0):
    return pd.DataFrame([(each, status, ms) for each in versions for _ in range(n)], columns=["version", "status", "latency_ms"])


def ended(**workloads):
    rows = {name.replace("_", "-"): numbers for name, numbers in workloads.items()}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["counted by callers", "counted on arrival"])


def copies(*rows):
    return pd.DataFrame(rows, columns=["version", "host", "request id"]).assign(status=200)


def sent(**versions):
    return pd.DataFrame.from_dict(versions, orient="index", columns=["requests", "open", "failed"])


BEFORE = ended(reviews_v2=(200, 200), ratings_v1=(200, 200))
AFTER = ended(reviews_v3=(0, 200), reviews_v2=(200, 200), ratings_v1=(400, 400))
PAIR = copies(("v2", "reviews:9080", "8a"), ("v3", "reviews:9080", "8a"))
SPANS = pd.DataFrame({"spans": [4] * 50})
SENT = sent(v2=(200, 0, 0), v4=(200, 0, 200), v5=(200, 200, 0))


def share(copied, n=1001):
    return ended(reviews_v3=(0, copied), reviews_v2=(n, n))


@pytest.mark.parametrize(
    ("number", "state"),
    [
        ("14.1", [seen("v2"), AFTER]),
        ("14.2", [BEFORE, AFTER, 2]),
        ("14.3", [PAIR, "request id"]),
        ("14.4", [SPANS, AFTER, "destination"]),
        ("14.5", [share(250)]),
        ("14.6", [seen("v2"), seen("v2", ms=7.0), SENT]),
    ],
)
def test_a_check_passes_on_the_right_answer(number, state, capsys):
    check(number, *state)
    assert capsys.readouterr().out.startswith(f"✔ {number} ")


@pytest.mark.parametrize(
    ("number", "state", "sentence"),
    [
        ("14.1", [seen("v2", "v3", n=100), AFTER], "v3 answered"),
        ("14.1", [seen("v2", n=20), AFTER], "20 requests do not say much"),
        ("14.1", [seen("v2", status=503), AFTER], "200 of 200 requests failed, the first with status 503"),
        ("14.1", [seen("v2"), BEFORE], "v2 got 200 and v3 got 0"),
        ("14.1", [seen("v2"), ended(reviews_v3=(200, 200), reviews_v2=(200, 200))], "callers have counted 200 requests to v3"),
        ("14.1", [seen("v2"), ended(reviews_v3=(0, 50), reviews_v2=(50, 50))], "200 were answered, and 50 have arrived at v2"),
        ("14.1", [seen(), AFTER], "nobody answered"),
        ("14.2", [BEFORE, AFTER, 1], "1 for each of v2's before and 2 after"),
        ("14.2", [BEFORE, AFTER, 200], "1 for each of v2's before and 2 after"),
        ("14.2", [AFTER, AFTER, 2], "as often in both"),
        ("14.2", [ended(), AFTER, 2], "nothing has arrived without the mirror"),
        ("14.3", [PAIR, "host"], "host is the same in both, and in many other"),
        ("14.3", [PAIR, "version"], "the two differ in their version"),
        ("14.3", [PAIR, "name"], "there is no column 'name'"),
        ("14.3", [PAIR.iloc[:1], "request id"], "the logs hold v2: 1"),
        ("14.3", [PAIR.assign(**{"request id": ["8a", "8b"]}), "request id"], "the two differ in their request id"),
        ("14.4", [SPANS, AFTER, "traces"], "the traces have 4 spans at most"),
        ("14.4", [SPANS, AFTER, "source"], "callers have counted 0 requests to v3"),
        ("14.4", [SPANS, AFTER, "logs"], "'logs' is none of the three"),
        ("14.4", [SPANS.iloc[:0], AFTER, "destination"], "there are no traces"),
        ("14.4", [SPANS, BEFORE, "destination"], "nothing has arrived at v3"),
        ("14.5", [share(350)], r"350 of 1001 were copied, 35\.0 %"),
        ("14.5", [share(1001)], r"1001 of 1001 were copied, 100\.0 %"),
        ("14.5", [share(0)], "0 of 1001 were copied"),
        ("14.5", [share(25, n=100)], "100 requests are too few"),
        ("14.5", [share(1200)], "1200 copies of 1001"),
        ("14.6", [seen("v2"), seen("v2", "v4", n=100), SENT], "v4 answered"),
        ("14.6", [seen("v2"), seen("v2", status=504), SENT], "the first with status 504"),
        ("14.6", [seen("v2"), seen("v2", ms=2000.0), SENT], "one in twenty took over 2000 ms"),
        ("14.6", [seen("v2"), seen("v2"), SENT.drop("v4")], "0 copies have failed at v4"),
        ("14.6", [seen("v2"), seen("v2"), sent(v4=(200, 0, 200), v5=(200, 0, 200))], "0 copies are open at v5"),
        ("14.6", [seen("v2"), seen("v2", n=10), SENT], "10 requests do not say much"),
    ],
)
def test_a_check_fails_on_a_wrong_answer_and_says_why(number, state, sentence):
    fails(number, *state, sentence=sentence)


@pytest.mark.parametrize(
    ("versions", "v3", "v1", "sentence"),
    [
        (("v2",), 295, 150, ""),
        (("v2",), 295, 295, "295 of 295 were copied, 100"),
        (("v2",), 295, 0, "0 of 295 were copied"),
        (("v2",), 150, 150, "of 295 requests, 150 were copied to v3"),
        (("v2",), 0, 0, "of 295 requests, 0 were copied to v3"),
        (("v3",), 295, 150, "v3 answered"),
    ],
)
def test_the_exercise_is_judged_by_what_arrives(monkeypatch, capsys, versions, v3, v1, sentence):
    monkeypatch.setattr(checks.prometheus, "window", lambda lab: pytest.MonkeyPatch.context())
    monkeypatch.setattr(checks.observe, "observe", lambda lab, service, n, parallel: seen(*versions, n=n))
    monkeypatch.setattr(checks, "both_ends", lambda lab, window: ended(reviews_v3=(0, v3), reviews_v2=(295, 295), reviews_v1=(0, v1)))
    lab = type("Lab", (), {"client": None, "namespace": "default"})
    if sentence:
        fails("14.7", lab, sentence=sentence)
    else:
        check("14.7", lab)
        assert capsys.readouterr().out.startswith("✔ 14.7 ")


@pytest.mark.parametrize(("number", "wanted"), [("14.5", checks.QUARTER), ("14.7", checks.HALF)])
def test_a_share_is_judged_as_promised(number, wanted):
    n = required_n(wanted, checks.FAULTS[number], wanted_power=checks.POWER)
    assert power(n, wanted, wanted) <= 1e-5 and 1 - power(n, wanted, checks.FAULTS[number]) <= 1 / 200
