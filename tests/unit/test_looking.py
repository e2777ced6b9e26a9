"""What is asked of Prometheus, Zipkin, Jaeger and Grafana's files, from answers at hand: no cluster."""

import pandas as pd
import pytest

from lab_helpers.core.errors import LabError, QueryError
from lab_helpers.chapters.c08_metrics import dashboards, variables
from lab_helpers.traffic import graph, prometheus, traces
from lab_helpers.chapters.c08_metrics.dashboards import Dashboard, Panel
from lab_helpers.chapters.c08_metrics import panels as drawn
from lab_helpers.chapters.c06_mesh_graph.picture import plot_graph
from lab_helpers.show.svg import number
from lab_helpers.chapters.c07_tracing.waterfall import plot_trace


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
    assert traces.complete(traces._zipkin(CALL))
    assert not traces.complete(traces._zipkin(CALL[:2])), "b has not told of it yet"
    assert not traces.complete(traces._zipkin(CALL[1:])), "its beginning is missing"
    assert not traces.complete([])
    refused = [CALL[0], span("2", "1", "a.default", "CLIENT", 2, 8, TO_B, "FI")]
    assert traces.complete(traces._zipkin(refused)), "what nobody got, nobody can tell of"
    begun_elsewhere = [{**CALL[0], "traceId": "f" * 16 + "0" * 16, "parentId": "0" * 16}, *CALL[1:]]
    assert traces.complete(traces._zipkin(begun_elsewhere)), "whoever sent the first request tells nobody"
    outside = [CALL[0], span("2", "1", "a.default", "CLIENT", 2, 8, "outbound|443||www.example.com")]
    assert traces.complete(traces._zipkin(outside))


def test_both_ends_of_a_call_may_share_one_id():
    shared = [CALL[0], CALL[1], span("2", "1", "b.default", "SERVER", 3, 7)]
    assert traces.complete(traces._zipkin(shared))
    assert len(traces._table("t", traces._zipkin(shared))) == 3


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
    assert traces._of_jaeger(jaeger) == traces._zipkin(CALL)


def test_own_time_is_what_is_left_without_those_who_were_called():
    own = traces.own_time(traces._table("t", traces._zipkin(CALL))).set_index("service")["own_ms"]
    assert own["a.default"] == pytest.approx((10 - 6) + (6 - 4)) and own["b.default"] == pytest.approx(4)


def test_a_waterfall_shows_each_span_once_and_the_whole_in_words():
    picture = plot_trace(traces._table("t", traces._zipkin(CALL)))
    html = picture._repr_html_()
    assert html.count("<rect") == 3 and ">a → b<" in html and "currentColor" in html and "<script" not in html
    assert "3 spans over 2 services in 10 ms" in repr(picture)


EDGES = pd.DataFrame(
    [
        ("gw", "a-v1", 60, 10.0, 0.0, 12.0, 1.0),
        ("a-v1", "b-v1", 60, 10.0, 0.5, 3.0, 0.0),
        ("a-v1", "c<1>", 5, 0.8, 0.0, float("nan"), float("nan")),
    ],
    columns=graph.COLUMNS,
)


def test_a_graph_shows_rate_failures_and_lock_and_escapes_names():
    html = plot_graph(EDGES)._repr_html_()
    assert html.count('class="mesh-edge"') == 3 and html.count('class="mesh-node"') == 4
    assert "50% failed" in html and html.count("a2.5,2.5") == 1, "one edge is locked"
    assert "c<1>" not in html and "c&lt;1&gt;" in html and "<script" not in html
    assert "gw → a-v1 (10.0/s)" in repr(plot_graph(EDGES)) or "gw → a-v1 (10/s)" in repr(plot_graph(EDGES))


@pytest.mark.parametrize("plot", [lambda: plot_graph(EDGES.iloc[:0]), lambda: plot_trace(pd.DataFrame(columns=traces.SPAN))])
def test_nothing_to_draw_gets_a_sentence(plot):
    with pytest.raises(LabError, match="nothing to draw"):
        plot()


@pytest.mark.parametrize(("value", "shown"), [(0, "0"), (0.01234, "0.0123"), (1.234, "1.23"), (99.96, "100"), (1234.5, "1,230")])
def test_a_number_has_as_many_digits_as_count(value, shown):
    assert number(value) == shown


@pytest.fixture
def answers(monkeypatch):
    """Prometheus's answers by query."""
    told = {}
    monkeypatch.setattr(prometheus, "promql", lambda lab, query, **when: told[query])
    return told


def labelled(**labels):
    return pd.DataFrame({**labels, "time": 0, "value": 1.0})


MODEL = {
    "title": "One",
    "templating": {
        "list": [
            {"name": "datasource", "type": "datasource", "query": "prometheus"},
            {
                "name": "service", "type": "query", "query": "query_result(sum(x) by (destination_service))", "sort": 0,
                "regex": '/.*destination_service="([^"]*).*/', "current": {"value": "gone"},
            },
            {"name": "rep", "type": "custom", "query": "source,destination", "multi": True, "current": {"value": "destination"}},
            {
                "name": "ns", "type": "query", "query": 'label_values(x{s="$service"}, ns)', "multi": True, "includeAll": True, "sort": 1,
                "current": {"value": "$__all"},
            },
        ]
    },
}  # fmt: skip


def test_variables_are_chosen_by_what_there_is_and_filled_in_one_after_the_other(answers):
    answers["sum(x) by (destination_service)"] = labelled(destination_service=["b.svc", "a.svc"])
    answers['group by (ns) (x{s="b.svc"})'] = labelled(ns=["z", "y"])
    found = variables.Variables(None, MODEL, {}, 0, {"__rate_interval": "60000ms"})
    assert found.chosen == {"service": "b.svc", "rep": "destination", "ns": ["y", "z"]}
    assert found.fill('m{s="$service",r=~"${rep}",n=~"[[ns]]"}[$__rate_interval] $other') == (
        'm{s="b.svc",r=~"destination",n=~"(y|z)"}[60000ms] $other'
    )
    answers['group by (ns) (x{s="a.svc"})'] = labelled(ns=["z.1"])
    assert variables.Variables(None, MODEL, {"service": "a.svc"}, 0, {}).fill('{n=~"$ns"}') == '{n=~"z\\\\.1"}'


@pytest.mark.parametrize(
    ("given", "sentence"), [({"colour": "red"}, "has no variable 'colour'"), ({"service": "c"}, "no service 'c' to choose")]
)
def test_a_wrong_choice_gets_a_sentence_that_names_the_right_ones(answers, given, sentence):
    answers["sum(x) by (destination_service)"] = labelled(destination_service=["b.svc"])
    answers['group by (ns) (x{s="b.svc"})'] = labelled(ns=["z"])
    with pytest.raises(QueryError, match=sentence) as caught:
        variables.Variables(None, MODEL, given, 0, {})
    assert "service" in caught.value.do or "b.svc" in caught.value.do


def test_panels_move_up_as_far_as_their_columns_are_free():
    def panel(kind, x, y, w, h):
        return {"type": kind, "gridPos": {"x": x, "y": y, "w": w, "h": h}}

    model = {"panels": [panel("row", 0, 0, 24, 1), panel("stat", 0, 1, 12, 4), panel("table", 0, 9, 24, 8), panel("row", 0, 2, 24, 1)]}
    assert [place for _, place in dashboards._placed(model)] == [(0, 0, 24, 1), (0, 1, 12, 4), (0, 5, 24, 8), (0, 13, 24, 1)]


def test_what_cannot_be_drawn_is_named_with_the_reason():
    filled = variables.Variables(None, {"title": "x"}, {}, 0, {})
    odd = {"type": "piechart", "title": "Pie", "gridPos": {}}
    assert "type piechart" in dashboards._panel(odd, (0, 0, 1, 1), filled)[0].reason
    changed = {"type": "table", "title": "T", "transformations": [{"id": "groupBy"}], "gridPos": {}}
    assert "transformation groupBy" in dashboards._panel(changed, (0, 0, 1, 1), filled)[0].reason


def points(*values, series="v1"):
    return pd.DataFrame({"time": pd.to_datetime(range(len(values)), unit="s"), "value": list(values), "series": series})


def test_every_kind_of_panel_is_drawn_and_an_empty_one_says_why():
    panels = [
        Panel("Row", "row", place=(0, 0, 24, 1)),
        Panel("", "text", place=(0, 1, 24, 1), text="<b>TEXT</b>"),
        Panel("Lines", "timeseries", "s", (0, 2, 12, 6), data=pd.concat([points(0.1, 0.2), points(1.0, float("nan"), series="v2")])),
        Panel("One", "stat", "percentunit", (12, 2, 6, 6), data=points(0.987654).assign(series="x")),
        Panel("Empty", "timeseries", "ops", (18, 2, 6, 6), reason="no data: nothing here counts x"),
        Panel("Heat", "heatmap", "", (0, 8, 12, 6), data=pd.concat([points(1, 2, series="0.1"), points(1, 3, series="+Inf")])),
        Panel("Rows", "table", "", (0, 14, 24, 16), data=pd.DataFrame({"Workload": ["a"], "P50": [1.5]}), units={"P50": "ms"}),
    ]
    board = Dashboard("Istio X", {"service": "a"}, {}, panels, 0, 60)
    figure = drawn.figure(board)
    assert [each.type for each in figure.data] == ["scatter", "scatter", "heatmap", "table"]
    words = " ".join(each.text for each in figure.layout.annotations)
    for wanted in ("Row", "TEXT", "98.77 %", "nothing here counts x", "Lines"):
        assert wanted in words
    assert list(figure.data[3].cells.values[1]) == ["1.5 ms"] and list(figure.data[2].z[1]) == [0.0, 1.0]
    assert board.undrawn["panel"].tolist() == ["Empty"]
    shown = drawn.show(board)
    assert "Empty: no data" in shown["text/plain"] and "bdata" not in str(shown)


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
