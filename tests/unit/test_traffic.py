"""What is asked of Prometheus, Zipkin and Jaeger, from answers at hand: no cluster."""

import json
from types import SimpleNamespace

import pandas as pd
import pytest

from lab_helpers.core.errors import QueryError
from lab_helpers.kube.client import Answer
from lab_helpers.traffic import addons, graph, prometheus, traces
from lab_helpers.traffic.trace_stores import _of_jaeger, _zipkin


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("5m", 300), ("1h30m", 5400), ("250ms", 0.25), ("1d", 86400)])
def test_a_duration_is_read_as_prometheus_writes_it(text, seconds):
    assert prometheus.duration(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "m", "5 minutes", "-5m", None, 5, 0.5, ["5m"]])
def test_what_is_no_duration_gets_a_sentence(text):
    with pytest.raises(QueryError, match="is not a duration"):
        prometheus.duration(text)


def test_a_window_that_has_not_ended_says_so():
    with pytest.raises(QueryError, match="has not ended"):
        prometheus.Window(1.0).seconds  # noqa: B018


def test_an_answer_becomes_a_table_with_numbers_whatever_prometheus_writes():
    vector = {"resultType": "vector", "result": [{"metric": {"a": "x"}, "value": [1, "NaN"]}, {"metric": {"b": "y"}, "value": [1, "+Inf"]}]}
    table = prometheus._table(vector)
    assert list(table.columns) == ["a", "b", "time", "value"] and table["value"].isna().tolist() == [True, False]
    matrix = {"resultType": "matrix", "result": [{"metric": {}, "values": [[1, "2"], [2, "3"]]}]}
    assert prometheus._table(matrix)["value"].tolist() == [2.0, 3.0]
    assert prometheus._table({"resultType": "scalar", "result": [5, "7"]})["value"].tolist() == [7.0]
    assert prometheus._table({"resultType": "vector", "result": []}).columns.tolist() == ["time", "value"]


def test_a_syntax_error_is_shown_at_its_place():
    error = prometheus._refused('invalid parameter "query": 2:3: parse error: unexpected ")"', "bad_data", "sum\n  )")
    assert "at line 2, column 3" in error.what and error.what.endswith("    )\n    ^")


@pytest.mark.parametrize(
    ("error", "query", "place", "shown"),
    [
        ("2:1: parse error: unexpected end of input", "up{\n", "line 2, column 1", "\n  \n  ^"),
        ("1:15: parse error: unexpected end of input", 'up{job="ż"} +', "line 1, column 14", f'up{{job="ż"}} +\n  {" " * 13}^'),
        ("1:3: parse error: unexpected character", "up\u2028{", "line 1, column 3", "up\u2028{\n    ^"),
        ("1:4: parse error: unexpected character", "up\x0b\x0c", "line 1, column 4", "up\x0b\x0c\n     ^"),
    ],
)
def test_the_place_of_an_error_is_that_of_characters_and_lines_as_prometheus_has_them(error, query, place, shown):
    told = prometheus._refused(f'invalid parameter "query": {error}', "bad_data", query)
    assert f"at {place}: " in told.what and told.what.endswith(shown)


ODD = {"time": "noon", "value": "high", "index": "7", "name": "x", "__name__": "up", "metric": "m", "added": "a", "requests": "r"}


@pytest.mark.parametrize("kind", ["vector", "matrix"])
def test_a_label_called_like_a_column_of_ours_keeps_its_value_beside_it(kind):
    point = {"value": [60, "5"]} if kind == "vector" else {"values": [[60, "5"]]}
    table = prometheus._table({"resultType": kind, "result": [{"metric": ODD, **point}]})
    [row] = table.to_dict("records")
    assert row.pop("time") == pd.Timestamp("1970-01-01 00:01", tz="UTC") and row.pop("value") == 5.0
    renamed = {"exported_time": row.pop("exported_time"), "exported_value": row.pop("exported_value")}
    assert renamed == {"exported_time": "noon", "exported_value": "high"}
    assert row == {name: value for name, value in ODD.items() if name not in ("time", "value")}


def test_a_name_that_is_taken_twice_is_prefixed_twice():
    found = prometheus.beside({"time", "exported_time", "a"}, "time", "value")
    assert len(set(found.values())) == 3 and found["exported_time"] == "exported_time" and found["time"] == "exported_exported_time"


def test_native_histograms_get_a_sentence_and_are_not_left_out():
    histogram = {"count": "2", "sum": "3", "buckets": [[0, "1", "2", "2"]]}
    for kind, point in (("vector", {"histogram": [1, histogram]}), ("matrix", {"histograms": [[1, histogram]]})):
        mixed = [{"metric": {}, "value": [1, "1"], "values": [[1, "1"]]}, {"metric": {"a": "b"}, **point}]
        with pytest.raises(QueryError, match="native histograms") as caught:
            prometheus._table({"resultType": kind, "result": mixed})
        assert "histogram_quantile" in caught.value.do


@pytest.fixture
def asked(monkeypatch):
    """A lab whose Prometheus has one counter with the labels that a test gives it, 10 before the window and 17 in it."""
    labels: dict[str, str] = {}
    questions: list[str] = []

    def ask(_lab, _name, _path, params):
        query = params["query"]
        questions.append(query)
        if query == "time()":
            data = {"resultType": "scalar", "result": [100, "100"]}
        elif not query.startswith("istio_requests_total") or 'source_workload_namespace!="' in query:
            data = {"resultType": "vector", "result": []}
        elif query.endswith("ms]"):
            data = {"resultType": "matrix", "result": [{"metric": labels, "values": [[90, "14"], [95, "17"]]}]}
        else:
            data = {"resultType": "vector", "result": [{"metric": labels, "value": [80, "10"]}]}
        return Answer(200, {}, json.dumps({"status": "success", "data": data}).encode())

    monkeypatch.setattr(addons, "ask", ask)
    return SimpleNamespace(lab=SimpleNamespace(namespace="default"), labels=labels, questions=questions)


WINDOW = prometheus.Window(80.0, 95.0, 96.0)


@pytest.mark.parametrize("odd", ["time", "value", "added", "requests", "index", "level_0", "metric"])
def test_requests_are_counted_whatever_other_labels_are_called(asked, odd):
    asked.labels |= {"response_code": "200", odd: "x"}
    assert graph.requests(asked.lab, WINDOW, "response_code").to_dict("records") == [{"response_code": "200", "requests": 7}]


@pytest.mark.parametrize("label", ["index", "name", "__name__", "metric"])
def test_requests_are_counted_by_labels_called_like_things_of_pandas(asked, label):
    asked.labels |= {label: 'a"b\\c.*'}
    assert graph.requests(asked.lab, WINDOW, label).to_dict("records") == [{label: 'a"b\\c.*', "requests": 7}]


@pytest.mark.parametrize("label", ["requests", "value", "time", "destination_verson", "", 5, ["response_code"]])
def test_what_requests_are_not_counted_by_gets_a_sentence(asked, label):
    asked.labels |= {"response_code": "200"}
    with pytest.raises(QueryError, match=r"(is no label that requests are counted by|No request has a label)") as caught:
        graph.requests(asked.lab, WINDOW, label)
    assert "response_code" in caught.value.do


def test_a_label_of_istios_that_no_request_has_yet_is_unknown(asked):
    asked.labels |= {"response_code": "200"}
    assert graph.requests(asked.lab, WINDOW, "grpc_response_status")["grpc_response_status"].tolist() == ["unknown"]


@pytest.mark.parametrize("at", ["yesterday", float("nan"), float("inf"), 1e20, pd.NaT, [1], True])
def test_what_is_no_moment_gets_a_sentence(asked, at):
    with pytest.raises(QueryError, match="is not a moment"):
        prometheus.promql(asked.lab, "up", at=at)
    with pytest.raises(QueryError, match="is not a moment"):
        prometheus.promql(asked.lab, "up", start=at)
    assert "up" not in asked.questions


@pytest.mark.parametrize(
    ("ask", "sentence"),
    [
        (lambda lab: prometheus.promql(lab, None), "The query is None, which is no text"),
        (lambda lab: prometheus.promql(lab, 5), "The query is 5, which is no text"),
        (lambda lab: prometheus.promql(lab, "up", at=5, last="1m"), "An instant and a range"),
        (lambda lab: prometheus.promql(lab, "up", end=5), "An instant and a range"),
        (lambda lab: prometheus.promql(lab, "up", last=5), "5 is not a duration"),
        (lambda lab: prometheus.promql(lab, "up", last="1m", step=15), "15 is not a duration"),
        (lambda lab: graph.graph(lab, "0s"), "'0s' is no time at all"),
        (lambda lab: graph.graph(lab, 5), "5 is not a duration"),
        (lambda lab: graph.graph(lab, WINDOW, by=["app"]), "There is no graph by"),
        (lambda lab: graph.requests(lab, WINDOW, reporter=["x"]), "No proxy reports as"),
    ],
)
def test_a_question_that_is_none_gets_a_sentence(asked, ask, sentence):
    with pytest.raises(QueryError, match=sentence) as caught:
        ask(asked.lab)
    assert caught.value.do


def test_a_quantile_is_that_of_promql():
    upto = pd.Series([10.0, 60.0, 100.0, 100.0], index=[1.0, 5.0, 10.0, float("inf")])
    assert graph._quantile(upto, 0.5) == pytest.approx(1 + 4 * 40 / 50)
    assert graph._quantile(upto, 0.05) == pytest.approx(0.5)
    assert graph._quantile(pd.Series([1.0, 10.0], index=[5.0, float("inf")]), 0.95) == 5.0
    assert pd.isna(graph._quantile(pd.Series([0.0, 0.0], index=[5.0, float("inf")]), 0.95))


def span(id, parent, service, kind, start, end, cluster="", flags="-"):
    return {
        "traceId": "t", "id": id, "parentId": parent, "localEndpoint": {"serviceName": service}, "kind": kind, "name": f"{service}:9080/*",
        "timestamp": 1_000_000 + 1000 * start, "duration": 1000 * (end - start),
        "tags": {"http.status_code": "200", "response_flags": flags, "upstream_cluster": cluster},
    }  # fmt: skip


TO_B = "outbound|9080||b.default.svc.cluster.local"
CALL = [
    span("1", "", "a.default", "SERVER", 0, 10),
    span("2", "1", "a.default", "CLIENT", 2, 8, TO_B),
    span("3", "2", "b.default", "SERVER", 3, 7),
]


def test_a_trace_is_whole_when_both_ends_of_every_call_have_told():
    assert traces.complete(_zipkin(CALL))
    assert not traces.complete(_zipkin(CALL[:2])), "b has not told of it yet"
    assert not traces.complete(_zipkin(CALL[1:])), "its beginning is missing"
    assert not traces.complete([])
    refused = [CALL[0], span("2", "1", "a.default", "CLIENT", 2, 8, TO_B, "FI")]
    assert traces.complete(_zipkin(refused)), "what nobody got, nobody can tell of"
    begun_elsewhere = [{**CALL[0], "traceId": "f" * 16 + "0" * 16, "parentId": "0" * 16}, *CALL[1:]]
    assert traces.complete(_zipkin(begun_elsewhere)), "whoever sent the first request tells nobody"
    outside = [CALL[0], span("2", "1", "a.default", "CLIENT", 2, 8, "outbound|443||www.example.com")]
    assert traces.complete(_zipkin(outside))


def test_both_ends_of_a_call_may_share_one_id():
    shared = [CALL[0], CALL[1], span("2", "1", "b.default", "SERVER", 3, 7)]
    assert traces.complete(_zipkin(shared))
    assert len(traces._table("t", _zipkin(shared))) == 3


def test_jaegers_spans_are_the_same_as_zipkins():
    jaeger = {
        "processes": {each["localEndpoint"]["serviceName"]: {"serviceName": each["localEndpoint"]["serviceName"]} for each in CALL},
        "spans": [
            {
                "traceID": "t", "spanID": each["id"], "operationName": each["name"], "startTime": each["timestamp"],
                "duration": each["duration"],
                "references": [{"refType": "CHILD_OF", "traceID": "t", "spanID": each["parentId"]}] if each["parentId"] else [],
                "processID": each["localEndpoint"]["serviceName"],
                "tags": [{"key": "span.kind", "value": each["kind"].lower()}, *({"key": k, "value": v} for k, v in each["tags"].items())],
            }
            for each in CALL
        ],
    }  # fmt: skip
    assert _of_jaeger(jaeger) == _zipkin(CALL)


def test_a_trace_is_a_table_with_callers_before_those_whom_they_called():
    table = traces._table("t", _zipkin(CALL[::-1]))
    assert table.attrs == {"trace": "t"} and list(table.columns) == traces.SPAN
    assert table[["span", "parent", "to", "start_ms", "duration_ms"]].values.tolist() == [
        ["1", "", "", 0.0, 10.0],
        ["2", "1", "b", 2.0, 6.0],
        ["3", "2", "", 3.0, 4.0],
    ]


def looks(*rows):
    """Looks at counters: who, when, how much."""
    table = pd.DataFrame(rows, columns=["pod", "time", "value"]).astype({"value": float})
    return table.assign(time=pd.to_datetime(table["time"], unit="s", utc=True))


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ([("a", 0, 5)], [("a", 2, 5), ("a", 4, 8)], {"a": 3}),
        ([], [("a", 2, 5), ("a", 4, 8)], {"a": 8}),  # new: what the first look found was added as well
        ([("a", 0, 83)], [("a", 2, 7), ("a", 4, 35)], {"a": 35}),  # began anew
        ([("a", 0, 5)], [("a", 2, 9), ("a", 4, 1), ("a", 6, 20)], {"a": 24}),  # began anew, and went past where it was
        ([("a", 0, 5), ("b", 0, 1)], [("b", 2, 2), ("a", 2, 5), ("a", 4, 6), ("b", 4, 2)], {"a": 1, "b": 1}),
        ([("a", 0, 5)], [], {"a": 0}),
        ([], [], {}),
    ],
)
def test_what_was_added_to_a_counter(before, after, expected):
    found = graph.added(looks(*before), looks(*after))
    assert dict(zip(found["pod"], found["added"], strict=True)) == expected


def test_counters_are_told_apart_by_labels_that_some_do_not_have():
    more = looks(("a", 2, 5), ("a", 2, 7)).assign(code=["200", None])
    assert graph.added(looks(("a", 0, 1)), more)["added"].sum() == 11  # "a" without a code stood at 1
