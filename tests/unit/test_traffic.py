"""What is asked of Prometheus, Zipkin and Jaeger, from answers at hand: no cluster."""

import json
import re
from types import SimpleNamespace

import pandas as pd
import pytest

from lab_helpers.core.errors import MeshError, QueryError
from lab_helpers.kube.client import Answer
from lab_helpers.kube.kinds import POD
from lab_helpers.traffic import addons, counted, graph, latency, prometheus, trace_stores, traces
from lab_helpers.traffic.trace_stores import _of_jaeger, _zipkin
from tests.objects import Cluster, pod


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
    """A lab whose Prometheus has one counter with the labels that a test gives it, 10 before the window and 17 in it.

    Its look right before the window has failed, and so at that instant there is none.
    """
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
            known = [{"metric": labels, "value": [80, "10"]}] if " or last_over_time(" in query else []
            data = {"resultType": "vector", "result": known}
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
    assert latency.quantile(upto, 0.5) == pytest.approx(1 + 4 * 40 / 50)
    assert latency.quantile(upto, 0.05) == pytest.approx(0.5)
    assert latency.quantile(pd.Series([1.0, 10.0], index=[5.0, float("inf")]), 0.95) == 5.0
    assert pd.isna(latency.quantile(pd.Series([0.0, 0.0], index=[5.0, float("inf")]), 0.95))


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
    gateway = {"serviceName": "istio-ingressgateway.istio-system"}
    begun_elsewhere = [{**CALL[0], "localEndpoint": gateway, "traceId": "f" * 16 + "0" * 16, "parentId": "0" * 16}, *CALL[1:]]
    assert traces.complete(_zipkin(begun_elsewhere)), "whoever sent the first request tells nobody"
    begun_by_a_proxy = [{**CALL[2], "traceId": "f" * 16 + "0" * 16, "parentId": "0" * 16}]
    assert not traces.complete(_zipkin(begun_by_a_proxy)), "a's proxy has called b, and has not told of it yet"
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
    found = counted.added(looks(*before), looks(*after))
    assert dict(zip(found["pod"], found["added"], strict=True)) == expected


def test_counters_are_told_apart_by_labels_that_some_do_not_have():
    more = looks(("a", 2, 5), ("a", 2, 7)).assign(code=["200", None])
    assert counted.added(looks(("a", 0, 1)), more)["added"].sum() == 11  # "a" without a code stood at 1


# Edges of TCP

SPIFFE = "spiffe://cluster.local/ns/default/sa/client"
CLIENT = {
    "reporter": "source", "source_workload": "client", "source_app": "client", "source_version": "v1",
    "source_workload_namespace": "default", "source_principal": SPIFFE, "destination_service_name": "db",
    "destination_service_namespace": "default", "response_flags": "-",
}  # fmt: skip
AT_DB = {"destination_workload": "db-v1", "destination_app": "db", "destination_version": "v1", "destination_workload_namespace": "default"}
# What the proxy at the destination knows of a caller by TCP: his certificate, and not his name.
ARRIVED = {
    **CLIENT, **AT_DB, "reporter": "destination", "source_workload": "unknown", "source_app": "unknown", "source_version": "unknown",
    "connection_security_policy": "mutual_tls",
}  # fmt: skip
STRANGER = {**ARRIVED, "source_principal": "unknown", "source_workload_namespace": "unknown", "connection_security_policy": "none"}
NOBODY = {**CLIENT, "source_principal": "unknown", "response_flags": "UH"}


@pytest.fixture
def counters(monkeypatch):
    """A lab with counters that a test puts there: metric, labels and how much was added in the window."""
    there: list[tuple[str, dict, int]] = []

    def promql(_lab, query, at):
        metric, chosen = query.partition("{")[0], re.findall(r'(\w+)(!?=)"([^"]*)"', query)
        fits = [
            (labels, count)
            for name, labels, count in there
            if name == metric and all((labels.get(label, "") == value) == (how == "=") for label, how, value in chosen)
        ]
        value = [{**labels, "time": pd.Timestamp(at, unit="s"), "value": 5.0 + (count if "ms]" in query else 0)} for labels, count in fits]
        return pd.DataFrame(value, columns=[*sorted({name for labels, _ in fits for name in labels}), "time", "value"]).astype(
            {"value": float}
        )

    monkeypatch.setattr(prometheus, "promql", promql)
    monkeypatch.setattr(prometheus, "clock", lambda _lab: 96.0)
    objects: dict[str, list[dict]] = {"VirtualService": [], "ServiceEntry": []}
    client = SimpleNamespace(list=lambda kind, _namespace: objects[kind.kind])
    return SimpleNamespace(lab=SimpleNamespace(namespace="default", client=client), there=there, objects=objects)


def edges(table):
    return {(each["source"], each["destination"], each.get("protocol", "http")): each for each in table.to_dict("records")}


@pytest.mark.parametrize(
    ("by", "client", "db"),
    [("version", "client-v1", "db-v1"), ("app", "client", "db"), ("workload", "client", "db-v1"), ("service", "client", "db")],
)
def test_a_connection_is_an_edge_whoever_draws_it(counters, by, client, db):
    counters.there += [(graph.CONNECTIONS, {**CLIENT, **AT_DB}, 5), (graph.CONNECTIONS, ARRIVED, 5)]
    [(edge, row)] = edges(graph.graph(counters.lab, WINDOW, by=by)).items()
    assert edge == (client, db, "tcp")
    assert (row["connections"], row["requests"], row["errors"], row["mtls"]) == (5, 0, 0.0, 1.0)
    assert row["rate"] == pytest.approx(5 / 15) and pd.isna(row["p95_ms"])


def test_connections_that_reached_nobody_and_those_of_strangers_are_told_as_such(counters):
    counters.there += [
        (graph.CONNECTIONS, {**CLIENT, **AT_DB}, 3), (graph.CONNECTIONS, ARRIVED, 3),
        (graph.CONNECTIONS, NOBODY, 1), (graph.CONNECTIONS, STRANGER, 2),
        (graph.CONNECTIONS, {**NOBODY, "destination_service_name": "gone", "response_flags": "UF,URX"}, 4),
    ]  # fmt: skip
    found = edges(graph.graph(counters.lab, WINDOW, by="service"))
    assert {edge[:2]: (row["connections"], row["errors"]) for edge, row in found.items()} == {
        ("client", "db"): (4, 0.25), ("client", "gone"): (4, 1.0), ("unknown", "db"): (2, 0.0),
    }  # fmt: skip
    assert found["client", "db", "tcp"]["mtls"] == 1.0, "who reached nobody has come in neither way"
    assert found["unknown", "db", "tcp"]["mtls"] == 0.0 and pd.isna(found["client", "gone", "tcp"]["mtls"])


def test_http_and_tcp_between_the_same_two_are_two_rows(counters):
    counters.there += [(graph.CONNECTIONS, {**CLIENT, **AT_DB}, 5)]
    counters.there += [("istio_requests_total", {**CLIENT, **AT_DB, "response_code": "503"}, 8)]
    counters.there += [(f"{graph.DURATION}_{end}", {**CLIENT, **AT_DB, "le": "+Inf"}, 8) for end in ("count", "bucket")]
    table = graph.graph(counters.lab, WINDOW)
    assert list(table.columns) == [*graph.COLUMNS, "protocol", "connections"]
    assert table[["protocol", "requests", "connections", "errors"]].values.tolist() == [["http", 8, 0, 1.0], ["tcp", 0, 5, 0.0]]


def test_without_tcp_the_columns_are_those_of_requests(counters):
    counters.there += [(graph.CONNECTIONS, {**CLIENT, **AT_DB}, 0)]  # before the window there was some
    assert list(graph.graph(counters.lab, WINDOW).columns) == graph.COLUMNS


# What was denied, copied, or left the mesh


def requests(added, code="200", **labels):
    """Series of so many requests from `client` to `db`, as its sender counts them unless `labels` say otherwise."""
    chosen = {**CLIENT, **AT_DB, "destination_service": "db.default.svc.cluster.local", "response_code": code, **labels}
    timed = [(f"{graph.DURATION}_{end}", {**chosen, "le": "+Inf"}, added) for end in ("count", "bucket")]
    return [("istio_requests_total", chosen, added), *timed]


def received(added, code="200", workload="copy", **labels):
    """The same as `copy`, of which its sender knows nothing, has counted them."""
    at = {"destination_workload": workload, "destination_app": workload, "destination_service_name": workload, "reporter": "destination"}
    return requests(added, code, **at, destination_service=f"{workload}.default.svc.cluster.local", **labels)


def virtual_service(http, *hosts, namespace="default"):
    return {"metadata": {"name": "any", "namespace": namespace}, "spec": {"hosts": list(hosts), "http": [http]}}


@pytest.mark.parametrize(("code", "status"), [("403", ""), ("401", ""), ("200", "7"), ("200", "16")])
def test_who_was_denied_has_neither_failed_nor_is_all_well(counters, code, status):
    counters.there += requests(3, code, **({"grpc_response_status": status} if status else {})) + requests(1)
    [row] = edges(graph.graph(counters.lab, WINDOW)).values()
    assert (row["requests"], row["errors"], row["denied"]) == (4, 0.0, 0.75)


@pytest.mark.parametrize(("code", "status"), [("500", ""), ("0", ""), ("200", "14"), ("200", "2")])
def test_what_failed_is_not_denied(counters, code, status):
    counters.there += requests(3, code, **({"grpc_response_status": status} if status else {})) + requests(3, "404")
    [row] = edges(graph.graph(counters.lab, WINDOW)).values()
    assert (row["errors"], row["denied"]) == (0.5, 0.0)


@pytest.mark.parametrize("by", ["version", "app", "workload", "service"])
def test_a_copy_is_an_edge_of_its_own_kind(counters, by):
    counters.there += requests(6) + requests(6, reporter="destination") + received(4) + received(1, "500")
    table = graph.graph(counters.lab, WINDOW, by=by)
    assert list(table.columns) == [*graph.COLUMNS, "mirrored"] and table["mirrored"].tolist() == [False, True]
    assert table["requests"].tolist() == [6, 5] and table["errors"].tolist() == [0.0, 0.2]
    assert table["destination"][1].startswith("copy") and table["source"][0] == table["source"][1]


def test_an_attempt_that_was_tried_again_is_no_copy(counters):
    counters.there += requests(5) + received(5, "503")
    assert list(graph.graph(counters.lab, WINDOW).columns) == graph.COLUMNS


def test_copies_that_all_fail_are_copies_if_a_virtual_service_sends_them(counters):
    counters.there += requests(5) + received(5, "503")
    for mirror in ({"mirror": {"host": "copy"}}, {"mirrors": [{"destination": {"host": "copy"}}]}):
        counters.objects["VirtualService"] = [virtual_service({"route": [{"destination": {"host": "db"}}], **mirror}, "db")]
        table = graph.graph(counters.lab, WINDOW)
        assert table["mirrored"].tolist() == [True, False] and table["errors"].tolist() == [1.0, 0.0]


def test_what_a_sender_that_is_gone_has_sent_is_no_copy(counters):
    counters.there += received(5)
    assert graph.graph(counters.lab, WINDOW).empty


NOWHERE = {"destination_workload": "unknown", "destination_app": "unknown", "destination_version": "unknown"}


def test_what_leaves_the_mesh_is_named_as_what_it_is(counters):
    for name, host in {"*.b.example": "x.b.example", "PassthroughCluster": "elsewhere.example"}.items():
        counters.there += requests(2, destination_service_name=name, destination_service=host, **NOWHERE)
    endpoint = {**NOWHERE, "destination_workload": "books-0", "destination_app": "books-0"}
    counters.there += requests(2, destination_service_name="a.example", destination_service="a.example", **endpoint)
    counters.there += requests(3, "502", destination_service_name="BlackHoleCluster", destination_service="no.example", **NOWHERE)
    counters.objects["ServiceEntry"] = [{"metadata": {"namespace": "default"}, "spec": {"hosts": ["a.example", "*.b.example"]}}]
    table = graph.graph(counters.lab, WINDOW)
    assert table.attrs["outside"] == {
        "a.example": "service entry", "*.b.example": "service entry", "PassthroughCluster": "passthrough", "BlackHoleCluster": "black hole",
    }  # fmt: skip
    assert edges(table)["client-v1", "BlackHoleCluster", "http"]["errors"] == 1.0 and table["mtls"].isna().all()


@pytest.mark.parametrize(
    ("spec", "routed"),
    [
        (virtual_service({"route": [{"destination": {"host": "db"}}]}, "*"), True),
        (virtual_service({"fault": {}}, "db"), True),
        (virtual_service({}, "db.default.svc.cluster.local", namespace="elsewhere"), True),
        (virtual_service({}, "db", namespace="elsewhere"), False),
        (virtual_service({"route": [{"destination": {"host": "db-2"}}]}, "*"), False),
    ],
)
def test_a_virtual_service_is_noted_at_the_nodes_that_it_names(counters, spec, routed):
    counters.there += requests(2)
    counters.objects["VirtualService"] = [spec]
    assert graph.graph(counters.lab, WINDOW).attrs["routed"] == (["db-v1"] if routed else [])


# Traces whose first span lives elsewhere

ID = "a" * 32
FORMS = ("zipkin", "jaeger")


def jaegers(spans):
    """Spans of Zipkin's as Jaeger has them."""
    names = {each["localEndpoint"]["serviceName"] for each in spans}
    return {
        "processes": {name: {"serviceName": name} for name in names},
        "spans": [
            {
                "traceID": each["traceId"], "spanID": each["id"], "operationName": each["name"], "startTime": each["timestamp"],
                "duration": each["duration"], "processID": each["localEndpoint"]["serviceName"],
                "references": [{"traceID": each["traceId"], "spanID": each["parentId"]}] if each["parentId"] else None,
                "tags": [{"key": "span.kind", "value": each["kind"].lower()}, *({"key": k, "value": v} for k, v in each["tags"].items())],
            }
            for each in spans
        ],
    }  # fmt: skip


def read(form, spans):
    return _zipkin(spans) if form == "zipkin" else _of_jaeger(jaegers(spans))


def tree(table):
    """Each span with how deep it stands, in order."""
    depth, found = {}, []
    for each in table.itertuples():
        depth[each.span] = depth.get(each.parent, -1) + 1
        found.append((each.span, depth[each.span]))
    return found


SECOND = [span("4", "9", "a.default", "CLIENT", 12, 18, TO_B), span("5", "4", "b.default", "SERVER", 13, 17)]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("spans", "shown"),
    [
        (CALL[1:], [("2", 0), ("3", 1)]),  # the first is missing
        ([CALL[0], CALL[2]], [("1", 0), ("3", 0)]),  # one in the middle is
        ([*CALL[1:], *SECOND], [("2", 0), ("3", 1), ("4", 0), ("5", 1)]),  # two calls of somebody who is missing
        ([*CALL, span("7", "8", "c.default", "SERVER", 4, 5)], [("1", 0), ("2", 1), ("3", 2), ("7", 0)]),
        ([span("1", "1", "a.default", "SERVER", 0, 9), CALL[1]], [("1", 0), ("2", 1)]),  # who calls himself
        ([span("1", "2", "a.default", "SERVER", 0, 9), *CALL[1:]], [("1", 0), ("2", 1), ("3", 2)]),  # in a circle
    ],
)
def test_no_span_is_lost_and_each_stands_below_its_caller_if_that_is_there(form, spans, shown):
    table = traces._table(ID, read(form, spans[::-1]))
    assert tree(table) == shown and (table["start_ms"] >= 0).all()
    assert traces._row(read(form, spans))["service"] == table["service"].iloc[0], "the list names whom the tree begins with"


def test_a_chain_of_calls_may_be_longer_than_python_calls_itself():
    chain = [span(f"{n:x}", f"{n - 1:x}" if n > 1 else "", "a.default", "SERVER", n, 9000 - n) for n in range(1, 3000)]
    assert len(traces._table(ID, _zipkin(chain[::-1]))) == 2999


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("ahead", [-5000, -4, 5000])
def test_a_clock_that_differs_does_not_answer_before_it_is_asked(form, ahead):
    skewed = [CALL[0], CALL[1], span("3", "2", "b.default", "SERVER", 3 + ahead, 7 + ahead)]
    skewed += [
        span("4", "3", "b.default", "CLIENT", 4 + ahead, 6 + ahead, TO_B.replace("b.", "c.")),
        span("5", "4", "c.default", "SERVER", 5, 6),
    ]
    table = traces._table(ID, read(form, skewed)).set_index("span")["start_ms"]
    assert table.to_dict() == {"1": 0.0, "2": 2.0, "3": 3.0, "4": 4.0, "5": 5.0 if ahead == 0 else pytest.approx(5.0, abs=0.6)}


@pytest.mark.parametrize("ahead", [-5000, 5000])
def test_a_trace_is_found_by_the_clock_of_whoever_began_it(monkeypatch, ahead):
    skewed = _zipkin([CALL[0], CALL[1], span("3", "2", "b.default", "SERVER", 3 + ahead, 7 + ahead)])
    monkeypatch.setattr(trace_stores, "_zipkin_search", lambda *_: [skewed])
    assert trace_stores.search(SimpleNamespace(namespace="default"), "zipkin", 0.5, 1.5, "a", {}, 10) == [skewed]
    assert traces._row(skewed)["began"] == pd.Timestamp(1, unit="s", tz="UTC")


def test_a_span_without_times_or_services_is_no_span_of_1970():
    bare = {"traceId": ID, "id": "3", "parentId": "2", "localEndpoint": None, "tags": None}
    table = traces._table(ID, _zipkin([CALL[0], CALL[1], bare]))
    assert table["start_ms"].max() < 100 and list(table["span"]) == ["1", "2", "3"]


def test_a_span_of_jaegers_may_lack_tags_and_process():
    bare = {"traceID": ID, "spanID": "3", "operationName": "x", "startTime": 5, "duration": 1, "tags": None, "references": None}
    [found] = _of_jaeger({"spans": [{**bare, "processID": "p1"}], "processes": None})
    assert (found["service"], found["kind"], found["parent"]) == ("", "", "")


@pytest.fixture
def stores(monkeypatch):
    """A lab with two stores, of which a test says what each has; the mesh sends to Jaeger."""
    there: dict[str, list] = {"zipkin": [], "jaeger": []}
    monkeypatch.setattr(traces, "one", lambda _lab, store, _id: list(there[store]))
    monkeypatch.setattr(traces, "search", lambda _lab, store, *_: [list(there[store])] if there[store] else [])
    monkeypatch.setattr(traces, "switch", lambda _lab: "jaeger")
    monkeypatch.setattr(addons, "find", lambda *_: {})
    monkeypatch.setattr(prometheus, "clock", lambda _lab: 1_000.0)
    monkeypatch.setattr(traces, "SETTLED", 0.1)
    monkeypatch.setattr(traces, "ARRIVED", 1.0)
    lab = SimpleNamespace(client=None, namespace="default", addons_namespace="istio-system")
    return SimpleNamespace(lab=lab, there=there)


def test_a_trace_that_is_in_two_stores_is_one(stores):
    stores.there |= {"zipkin": _zipkin(CALL[:2]), "jaeger": _zipkin(CALL[2:])}
    assert tree(traces.trace(stores.lab, ID)) == [("1", 0), ("2", 1), ("3", 2)]
    assert tree(traces.trace(stores.lab, ID, store="jaeger")) == [("3", 0)], "who names a store wants to know what is there"


def test_a_trace_of_another_store_than_the_meshs_own_is_found(stores):
    stores.there["zipkin"] = _zipkin(CALL)
    assert len(traces.trace(stores.lab, ID)) == 3


def test_a_trace_that_nobody_has_gets_a_sentence_with_all_who_were_asked(stores):
    with pytest.raises(QueryError, match=f"Jaeger has no trace {ID}, nor has Zipkin."):
        traces.trace(stores.lab, ID)
    with pytest.raises(QueryError, match=f"Zipkin has no trace {ID}[.]"):
        traces.trace(stores.lab, ID, store="zipkin")


def test_a_trace_that_begins_with_somebody_who_tells_nobody_is_shown_and_listed(stores):
    stores.there["jaeger"] = _zipkin(CALL[1:])
    assert tree(traces.trace(stores.lab, ID)) == [("2", 0), ("3", 1)]
    listed = traces.traces(stores.lab, at_least=1)
    assert listed[["service", "spans"]].values.tolist() == [["a.default", 2]]


def test_a_trace_is_not_listed_before_its_missing_spans_are_late(stores, monkeypatch):
    stores.there["jaeger"] = _zipkin(CALL[1:])
    monkeypatch.setattr(prometheus, "clock", lambda _lab: 1.01)
    assert traces.traces(stores.lab).empty


def test_who_was_called_and_has_not_told_is_waited_for_and_then_named_as_missing(stores):
    stores.there["jaeger"] = _zipkin(CALL[:2])
    with pytest.raises(MeshError, match="still waiting for trace a+ to be complete: 2 spans so far"):
        traces.trace(stores.lab, ID)


@pytest.mark.parametrize("id", [None, 5, b"a" * 16, "", "g" * 16, "ａ" * 16, "a" * 16 + "\n"])
def test_what_is_no_id_gets_a_sentence(stores, id):
    with pytest.raises(QueryError, match="is not the id of a trace"):
        traces.trace(stores.lab, id)


def test_when_a_pod_was_asked_is_told_by_where_it_is_now(monkeypatch):
    """Its node was restarted: at the old address nobody asks any more."""
    looks = pd.DataFrame({"pod": ["a-1", "a-1"], "instance": ["10.0.0.9:15020", "10.0.0.2:15020"], "value": [50.0, 80.0]})
    monkeypatch.setattr(prometheus, "promql", lambda lab, query: looks)
    monkeypatch.setattr(prometheus.proxies, "meshed", lambda lab, namespace: {"a-1.default": {}})
    lab = Cluster({POD: [pod("a-1", status={"podIP": "10.0.0.2"})]})
    prometheus.scraped(lab, 79, deadline=0)
    with pytest.raises(MeshError, match="a-1 was not asked"):
        prometheus.scraped(lab, 81, deadline=0)
