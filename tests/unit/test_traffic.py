"""What is asked of Prometheus, Zipkin and Jaeger, from answers at hand: no cluster."""

import pandas as pd
import pytest

from lab_helpers.core.errors import QueryError
from lab_helpers.traffic import graph, prometheus, traces
from lab_helpers.traffic.trace_stores import _of_jaeger, _zipkin


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("5m", 300), ("1h30m", 5400), ("250ms", 0.25), ("1d", 86400)])
def test_a_duration_is_read_as_prometheus_writes_it(text, seconds):
    assert prometheus.duration(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "m", "5 minutes", "-5m", None])
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
