"""Chapter 09 without a mesh: what is read from a proxy and from a log, and its checks on right and wrong answers."""

import json
from contextlib import contextmanager
from types import SimpleNamespace

import pandas as pd
import pytest

from lab_helpers.chapters.c09_virtual_service import check, checks, routing
from lab_helpers.chapters.c09_virtual_service.asking import Reply, read
from lab_helpers.chapters.c09_virtual_service.checks import ENOUGH, HALF, MOST, TOOK
from lab_helpers.chapters.c09_virtual_service.heard import Heard, answered
from tests.wrong_answers import fails

LAB = SimpleNamespace(client=None, namespace="default")


# What is read.


def test_a_reply_has_its_status_its_headers_and_its_body():
    text = "HTTP/1.1 200 OK\r\nServer: envoy\r\nX-Envoy-Upstream-Service-Time: 3\r\n\r\n{}\n"
    assert read(text) == Reply(200, {"server": "envoy", TOOK: "3"}, "{}\n")
    assert read("") == Reply(0, {})


def line(path, method="GET", status=200):
    return json.dumps({"msg": "…", "status": status, "method": method, "uri": path})


def test_what_lies_between_two_marks_of_a_log_is_what_was_heard():
    log = [line("/before"), line("/status/200?mark=a"), line("/one"), "a line of something else", line("/two", "POST", 503)]
    told = answered("\n".join([*log, line("/delay/0.2?mark=b"), line("/after")]), "mark=a", "mark=b")
    assert told.values.tolist() == [["GET", "/one", 200], ["POST", "/two", 503]]
    heard = Heard(told)
    assert heard.times == 2 and heard.paths == ["/one", "/two"] and "1 × POST /two, answered 503" in repr(heard)
    assert repr(Heard()) == "httpbin has heard: nothing" and "nothing" in Heard()._repr_html_()


def test_routes_are_told_in_their_order_with_what_they_do():
    config = "/apis/networking.istio.io/v1/namespaces/default/virtual-service/shop"
    policy = {"num_retries": 3, "retry_on": "retriable-status-codes", "retriable_status_codes": [503]}
    to = "outbound|8000||httpbin.default.svc.cluster.local"
    noted = {"filter_metadata": {"istio": {"config": config}}}
    table = routing.table(
        [
            {"match": {"prefix": "/old"}, "redirect": {"path_redirect": "/shop/get"}, "metadata": noted},
            {"match": {"prefix": "/shop/"}, "route": {"cluster": to, "timeout": "0.500s", "prefix_rewrite": "/", "retry_policy": policy}},
            {"match": {"safe_regex": {"regex": ".*"}, "headers": [{"name": "end-user"}]}, "route": {"cluster": to.replace("||", "|v1|")}},
            {"match": {"prefix": "/"}, "route": {"cluster": to, "timeout": "0s", "retry_policy": {"num_retries": 2, "retry_on": "a,b"}}},
        ]
    )
    assert table.values.tolist() == [
        ["prefix /old", "redirect to /shop/get", "", 0, "", "shop"],
        ["prefix /shop/", "httpbin, rewritten to /", "0.500s", 3, "503", ""],
        ["regex .*, header end-user", "httpbin (v1)", "", 0, "", ""],
        ["any path", "httpbin", "none", 2, "a, b", ""],
    ]


# Judged.


def table(retries=2, origin="details-vs", rows=1):
    return pd.DataFrame([("any path", "details", "none", retries, "connect-failure", origin)] * rows, columns=routing.COLUMNS)


def seen(*statuses, ms=500):
    return pd.DataFrame([(None, status, ms, None) for status in statuses], columns=["version", "status", "latency_ms", "pod"])


def of(n, failed):
    return seen(*[503] * failed, *[200] * (n - failed))


def heard(*paths, status=200):
    return Heard(pd.DataFrame([("GET", path, status) for path in paths], columns=["method", "path", "status"]))


@pytest.mark.parametrize(
    ("number", "state"),
    [
        ("09.1", [table(), 3]),
        ("09.4", [of(200, 99), of(200, 0)]),
        ("09.5", [seen(*[503] * 10), heard(*["/status/503"] * 40)]),
        ("09.6", [seen(504, 504, 504), heard(*["/delay/2"] * 6)]),
        ("09.8", [table(origin="httpbin", rows=3), "httpbin"]),
    ],
)
def test_a_check_passes_on_the_right_answer(number, state, capsys):
    check(number, *state)
    assert capsys.readouterr().out.startswith(f"✔ {number} ")


@pytest.mark.parametrize(
    ("number", "state", "sentence"),
    [
        ("09.1", [table(), 2], "2 is not the number of tries"),
        ("09.1", [table(), 1], "1 is not the number of tries"),
        ("09.1", [table(retries=0), 3], "3 is not the number of tries"),
        ("09.1", [table(rows=2), 3], "details has 2 routes"),
        ("09.4", [of(100, 50), of(200, 0)], "100 requests do not say much"),
        ("09.4", [of(200, 0), of(200, 0)], "0 of 200 failed without retries"),
        ("09.4", [of(200, 200), of(200, 0)], "200 of 200 failed without retries"),
        ("09.4", [of(200, 100), of(200, 25)], "25 of 200 failed with retries"),
        ("09.5", [seen(503, 200), heard(*["/status/503"] * 8)], "1 of 2 requests were not answered 503"),
        ("09.5", [seen(), heard()], "0 of 0 requests"),
        ("09.5", [seen(503, 503), heard(*["/status/503"] * 2)], "heard 1 calls a request"),
        ("09.5", [seen(503, 503), heard(*["/status/503"] * 6)], "heard 3 calls a request"),
        ("09.6", [seen(200, 504), heard(*["/delay/2"] * 4)], "1 of 2 requests were not answered 504"),
        ("09.6", [seen(504, 504, ms=300), heard(*["/delay/2"] * 2)], "quickest answer took 300 ms"),
        ("09.6", [seen(504, 504, ms=930), heard(*["/delay/2"] * 6)], "quickest answer took 930 ms"),
        ("09.6", [seen(504, 504), heard(*["/delay/2"] * 2)], "heard 1 calls a request"),
        ("09.8", [table(origin="httpbin"), "httpbin-header"], "no route comes from httpbin-header"),
        ("09.8", [table(origin="httpbin"), "details-vs"], "no route comes from details-vs"),
        ("09.8", [table(origin=""), "httpbin"], "no routes of a VirtualService"),
        ("09.8", [pd.concat([table(origin="a"), table(origin="b")]), "a"], "or of several"),
    ],
)
def test_a_check_fails_on_a_wrong_answer_and_says_why(number, state, sentence):
    fails(number, *state, sentence=sentence)


def test_chance_hardly_ever_fails_the_check_of_second_tries():
    from scipy.stats import binom

    low, high = HALF
    outside = binom.cdf(low * ENOUGH - 1, ENOUGH, 0.5) + binom.sf(high * ENOUGH, ENOUGH, 0.5)
    assert outside < 1e-7
    # One pod of two is deaf: the first try meets it, and so do the next two only if six draws in a row each find no other.
    assert binom.sf(MOST, ENOUGH, 1 / 2 * (1 / 2**5) ** 2) < 1e-7


# Those that ask the mesh, on a mesh that answers as it is told to.


class Mesh:
    """Replies by caller and path; what httpbin hears of them."""

    def __init__(self, monkeypatch, replies, hears=None, slow=(504, 1000)):
        self.replies, self.hears, self.log = replies, hears or {}, None
        monkeypatch.setattr(checks, "ask", self.ask)
        monkeypatch.setattr(checks, "listening", self.listening)
        monkeypatch.setattr(checks.observe, "observe", lambda *_, **__: seen(slow[0], ms=slow[1]))

    def ask(self, lab, url, caller="client", *options):
        path = "/" + url.split("/", 3)[3]
        if self.log is not None:
            self.log += self.hears.get(path, [])
        return self.replies.get((caller, path), Reply(404, {}))

    @contextmanager
    def listening(self, lab):
        told, self.log = Heard(), []
        yield told
        told.requests, self.log = heard(*self.log).requests, None


OK, TIMED, GONE, HIS = Reply(200, {}), Reply(200, {TOOK: "3"}), Reply(404, {}), Reply(404, {TOOK: "1"})
CLOSED = {("client", "/productpage"): TIMED, ("client", "/"): GONE, ("plain-client", "/"): TIMED}
MENDED = {("client", "/shop/get"): OK, ("client", "/get"): OK, ("client", "/shop-old"): Reply(308, {"location": "http://httpbin/shop/get"})}
SHOP = {"/shop/get": ["/get"], "/shopping": ["/shopping"], "/get": ["/get"]}
PAID = {("client", "/pay/503"): Reply(503, {}), ("client", "/status/503"): Reply(503, {}), ("client", "/get"): OK}
HEARD = {"/pay/503": ["/status/503"], "/payday": ["/payday"], "/status/503": ["/status/503"] * 2, "/get": ["/get"]}


@pytest.mark.parametrize(
    ("number", "replies", "hears"),
    [
        ("09.2", CLOSED, {}),
        ("09.3", {**CLOSED, ("client", "/productpage"): OK}, {}),
        ("09.7", MENDED, SHOP),
        ("09.9", PAID, HEARD),
    ],
)
def test_a_check_that_asks_passes_on_a_right_mesh(number, replies, hears, monkeypatch, capsys):
    Mesh(monkeypatch, replies, hears)
    check(number, LAB)
    assert capsys.readouterr().out.startswith(f"✔ {number} ")


@pytest.mark.parametrize(
    ("number", "replies", "sentence"),
    [
        ("09.2", {**CLOSED, ("client", "/"): TIMED}, "/ is answered 200 for client"),
        ("09.2", {**CLOSED, ("client", "/productpage"): GONE}, "/productpage is answered 404"),
        ("09.2", {**CLOSED, ("client", "/"): HIS}, "was answered by productpage"),
        ("09.2", {**CLOSED, ("plain-client", "/"): Reply(503, {})}, "plain-client is answered 503"),
        ("09.3", CLOSED, "still has x-envoy-upstream-service-time: 3"),
        ("09.3", {**CLOSED, ("client", "/productpage"): GONE}, "/productpage is answered 404"),
        ("09.3", {**CLOSED, ("client", "/productpage"): OK, ("client", "/"): OK}, "/ is answered 200 for client"),
    ],
)
def test_a_check_of_the_page_fails_on_a_wrong_mesh(number, replies, sentence, monkeypatch):
    Mesh(monkeypatch, replies)
    fails(number, LAB, sentence=sentence)


@pytest.mark.parametrize(
    ("replies", "hears", "sentence"),
    [
        ({("client", "/shop/get"): Reply(301, {})}, {"/shop/get": ["//get"]}, "answered 301, and httpbin heard //get"),
        ({("client", "/shop-old"): HIS}, {}, "/shop-old is answered 404"),
        ({("client", "/get"): GONE}, {}, "/get is answered 404"),
        ({}, {"/shopping": ["/ping"]}, "/shopping is taken for a path of the shop"),
    ],
)
def test_the_shop_fails_as_long_as_something_is_wrong(replies, hears, sentence, monkeypatch):
    Mesh(monkeypatch, {**MENDED, **replies}, {**SHOP, **hears})
    fails("09.7", LAB, sentence=sentence)


@pytest.mark.parametrize(
    ("replies", "hears", "slow", "sentence"),
    [
        ({}, {"/pay/503": ["/pay/503"]}, (504, 1000), "of /pay/503 httpbin heard /pay/503"),
        ({}, {"/pay/503": []}, (504, 1000), "of /pay/503 httpbin heard nothing"),
        ({}, {"/pay/503": ["/status/503"] * 2}, (504, 1000), "one payment came to httpbin 2 times"),
        ({}, {"/payday": ["/status/day"]}, (504, 1000), "httpbin heard /status/503, /status/day"),
        ({}, {"/payday": []}, (504, 1000), "/payday does not come through"),
        ({}, {"/status/503": ["/status/503"]}, (504, 1000), "comes to httpbin 1 times, not twice"),
        ({}, {"/status/503": ["/status/503"] * 3}, (504, 1000), "comes to httpbin 3 times, not twice"),
        ({}, {}, (200, 2010), r"/delay/2 ends after 2.0 s with 200"),
        ({}, {}, (504, 2010), r"/delay/2 ends after 2.0 s with 504"),
        ({("client", "/get"): TIMED}, {}, (504, 1000), "an answer still has"),
        ({("client", "/pay/503"): Reply(503, {TOOK: "1"})}, {}, (504, 1000), "an answer still has"),
    ],
)
def test_the_exercise_fails_as_long_as_something_is_wrong(replies, hears, slow, sentence, monkeypatch):
    Mesh(monkeypatch, {**PAID, **replies}, {**HEARD, **hears}, slow)
    fails("09.9", LAB, sentence=sentence)
