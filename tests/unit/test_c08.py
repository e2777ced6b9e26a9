"""Chapter 08 without a cluster: the variables of a dashboard, the places of its panels, and what is drawn of each kind."""

from types import SimpleNamespace

import pandas as pd
import pytest

from lab_helpers.chapters.c08_metrics import CHAPTER, Questions, check, panels, plot_samples
from lab_helpers.chapters.c08_metrics.answers import Panel, answer, asked
from lab_helpers.chapters.c08_metrics.dashboards import Dashboard, _placed
from lab_helpers.chapters.c08_metrics.samples import stretched
from lab_helpers.chapters.c08_metrics.variables import Variables
from lab_helpers.core.errors import LabError, QueryError
from lab_helpers.traffic import graph, prometheus
from lab_helpers.traffic.prometheus import Window
from tests.wrong_answers import fails


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
    found = Variables(None, MODEL, {}, 0, {"__rate_interval": "60000ms"})
    assert found.chosen == {"service": "b.svc", "rep": "destination", "ns": ["y", "z"]}
    assert found.fill('m{s="$service",r=~"${rep}",n=~"[[ns]]"}[$__rate_interval] $other') == (
        'm{s="b.svc",r=~"destination",n=~"(y|z)"}[60000ms] $other'
    )
    answers['group by (ns) (x{s="a.svc"})'] = labelled(ns=["z.1"])
    assert Variables(None, MODEL, {"service": "a.svc"}, 0, {}).fill('{n=~"$ns"}') == '{n=~"z\\\\.1"}'


@pytest.mark.parametrize(
    ("value", "alone", "among"),
    [
        ('say "hi"', r"say \"hi\"", r"say \"hi\""),
        (r"C:\new", r"C:\\new", r"C:\\\\new"),
        ("two\nlines", r"two\nlines", r"two\nlines"),
        ("a.b|c", "a.b|c", r"a\\.b\\|c"),
    ],
)
def test_a_value_is_written_as_a_string_of_promql_has_it(answers, value, alone, among):
    listed = [
        {"name": "one", "type": "query", "query": "label_values(up, l)"},
        {"name": "many", "type": "query", "query": "label_values(up, l)", "multi": True},
    ]
    answers["group by (l) (up)"] = labelled(l=[value])
    found = Variables(None, {"title": "x", "templating": {"list": listed}}, {}, 0, {})
    assert found.fill('{l="$one"}') == f'{{l="{alone}"}}' and found.fill('{l=~"$many"}') == f'{{l=~"{among}"}}'


@pytest.mark.parametrize(
    ("given", "sentence"), [({"colour": "red"}, "has no variable 'colour'"), ({"service": "c"}, "no service 'c' to choose")]
)
def test_a_wrong_choice_gets_a_sentence_that_names_the_right_ones(answers, given, sentence):
    answers["sum(x) by (destination_service)"] = labelled(destination_service=["b.svc"])
    answers['group by (ns) (x{s="b.svc"})'] = labelled(ns=["z"])
    with pytest.raises(QueryError, match=sentence) as caught:
        Variables(None, MODEL, given, 0, {})
    assert "service" in caught.value.do or "b.svc" in caught.value.do


def test_panels_move_up_as_far_as_their_columns_are_free():
    def panel(kind, x, y, w, h):
        return {"type": kind, "gridPos": {"x": x, "y": y, "w": w, "h": h}}

    model = {"panels": [panel("row", 0, 0, 24, 1), panel("stat", 0, 1, 12, 4), panel("table", 0, 9, 24, 8), panel("row", 0, 2, 24, 1)]}
    assert [place for _, place in _placed(model)] == [(0, 0, 24, 1), (0, 1, 12, 4), (0, 5, 24, 8), (0, 13, 24, 1)]


def test_what_cannot_be_drawn_is_named_with_the_reason():
    filled = Variables(None, {"title": "x"}, {}, 0, {})
    odd = {"type": "piechart", "title": "Pie", "gridPos": {}}
    assert "type piechart" in asked(odd, (0, 0, 1, 1), filled).reason
    changed = {"type": "table", "title": "T", "transformations": [{"id": "groupBy"}], "gridPos": {}}
    assert "transformation groupBy" in asked(changed, (0, 0, 1, 1), filled).reason


def points(*values, series="v1"):
    return pd.DataFrame({"time": pd.to_datetime(range(len(values)), unit="s"), "value": list(values), "series": series})


def test_every_kind_of_panel_is_drawn_and_an_empty_one_says_why():
    of_each_kind = [
        Panel("Row", "row", place=(0, 0, 24, 1)),
        Panel("", "text", place=(0, 1, 24, 1), text="<b>TEXT</b>"),
        Panel("Lines", "timeseries", "s", (0, 2, 12, 6), data=pd.concat([points(0.1, 0.2), points(1.0, float("nan"), series="v2")])),
        Panel("One", "stat", "percentunit", (12, 2, 6, 6), data=points(0.987654).assign(series="x")),
        Panel("Empty", "timeseries", "ops", (18, 2, 6, 6), reason="no data: nothing here counts x"),
        Panel("Heat", "heatmap", "", (0, 8, 12, 6), data=pd.concat([points(1, 2, series="0.1"), points(1, 3, series="+Inf")])),
        Panel("Rows", "table", "", (0, 14, 24, 16), data=pd.DataFrame({"Workload": ["a"], "P50": [1.5]}), units={"P50": "ms"}),
    ]
    board = Dashboard("Istio X", {"service": "a"}, {}, of_each_kind, 0, 60)
    figure = panels.figure(board)
    assert [each.type for each in figure.data] == ["scatter", "scatter", "heatmap", "table"]
    words = " ".join(each.text for each in figure.layout.annotations)
    for wanted in ("Row", "TEXT", "98.77 %", "nothing here counts x", "Lines"):
        assert wanted in words
    assert list(figure.data[3].cells.values[1]) == ["1.5 ms"] and list(figure.data[2].z[1]) == [0.0, 1.0]
    assert board.undrawn["panel"].tolist() == ["Empty"]
    shown = board._repr_mimebundle_(include=None, exclude=None)
    assert "Empty: no data" in shown["text/plain"] and "bdata" not in str(shown)


def test_a_figure_says_what_holds_for_all_of_its_lines_once_and_when_their_points_are_by_two_numbers():
    many = pd.concat([points(*[0.123456] * 40, series=f"s{number}") for number in range(20)])
    figure = panels.figure(Dashboard("Istio X", {}, {}, [Panel("Lines", "timeseries", "s", (0, 0, 12, 6), data=many)], 0, 60))
    told = figure.to_json()
    assert "colorbar" not in told and len(told) < 20 * 40 * 6 + 20 * 300 + 3000
    assert (figure.data[0].x0, figure.data[0].dx, figure.data[0].x) == ("1970-01-01 00:00:00", 1000, None)


def test_a_line_has_a_gap_where_there_is_no_value():
    lines = pd.concat([points(1, float("nan"), 3), points(5, 6, series="v2").assign(time=pd.to_datetime([2, 3], unit="s"))])
    one, two = panels.figure(Dashboard("Istio X", {}, {}, [Panel("L", "timeseries", "s", (0, 0, 12, 6), data=lines)], 0, 60)).data
    assert list(one.y) == [1.0, None, 3.0] and list(two.y) == [5.0, 6.0] and two.x0 == "1970-01-01 00:00:02"


# PromQL with variables, and what `increase` makes of a counter.

WINDOW = Window(100.0, 103.0, 104.2)


@pytest.fixture
def questions(monkeypatch):
    """What Prometheus was asked, one row each; it looks every 2 s, and knows durations 5 s later."""
    queries = []

    def promql(lab, query, at=None):
        queries.append((query, at))
        return pd.DataFrame({"time": [pd.Timestamp(1, unit="s")], "value": [0.29]})

    monkeypatch.setattr(prometheus, "promql", promql)
    monkeypatch.setattr(prometheus, "scrape_intervals", lambda lab: (2.0, 15.0))
    monkeypatch.setattr(graph, "timed", lambda lab, window: Window(window.start, window.end, window.known + 5))
    return queries


def test_a_question_is_printed_as_it_is_asked_and_its_range_reaches_back_to_before_the_window(questions, capsys):
    ask = Questions(SimpleNamespace(namespace="mine"), mine='a="b"')
    found = ask('sum(rate(x{$mine, n="${namespace}"}[$__range]))', WINDOW)
    assert questions == [('sum(rate(x{a="b", n="mine"}[7s]))', 104.2)] and capsys.readouterr().out == f"{questions[0][0]}\n"
    assert list(found.columns) == ["value"] and found.attrs["since"] == pytest.approx(97.2)
    ask("x_bucket[$__range]", WINDOW)
    assert questions[1] == ("x_bucket[12s]", 109.2)
    ask("x @ $after - x @ $before", WINDOW)
    assert questions[2][0] == "x @ 104.200 - x @ 100.000"
    ask("up")
    assert questions[3] == ("up", None)


def test_a_variable_that_is_not_there_gets_a_sentence(questions):
    ask = Questions(SimpleNamespace(namespace="mine"))
    with pytest.raises(QueryError, match=r"Nothing stands for \$mine") as caught:
        ask("x{$mine}")
    assert "$namespace" in caught.value.do
    with pytest.raises(QueryError, match="has not ended"):
        ask("x", Window(1.0))


@pytest.mark.parametrize(
    ("times", "values", "told"),
    [  # as Prometheus itself has answered
        ([1.5, 3.6, 5.5, 7.5, 9.5], [17, 32, 52, 91, 91], (0.5, 9.8, 85.0)),
        ([-2.2, -0.2, 1.8, 3.8], [91, 91, 140, 178], (-3.0, 5.0, 116.0)),
        ([1.0, 3.0], [1, 61], (1 - 2 / 60, 3.1, 63.99)),
    ],
)
def test_a_line_is_stretched_as_prometheus_does(times, values, told):
    begin, end = (-2.5, 9.8) if len(times) == 5 else (-3.0, 5.0) if len(times) == 4 else (-3.0, 3.1)
    assert stretched(times, values, begin, end) == pytest.approx(told, rel=0.02, abs=0.1)


def samples(*values):
    times = pd.to_datetime([100.9 + 2 * place for place in range(len(values))], unit="s", utc=True)
    table = pd.DataFrame({"time": times, "value": list(values)})
    table.attrs["since"] = 97.2
    return table


def test_a_picture_of_samples_says_what_increase_makes_of_them():
    assert repr(plot_samples(samples(40, 92), WINDOW, 92)).startswith("Samples of a counter: 40 at 0.9 s, 92 at 2.9 s.")
    assert "no answer, from one sample" in repr(plot_samples(samples(40), WINDOW, 92))
    with pytest.raises(LabError, match="no sample"):
        plot_samples(samples(), WINDOW, 92)


def test_the_share_by_hand_is_held_against_the_counted_one(questions, monkeypatch, capsys):
    rows = [("client", "reviews", "503", 30), ("client", "reviews", "200", 70), ("productpage-v1", "reviews", "503", 500)]
    names = ["source_workload", "destination_service_name", "response_code"]
    monkeypatch.setattr(graph, "requests", lambda lab, window, *labels: pd.DataFrame(rows, columns=[*names, "requests"]))
    ask = Questions(SimpleNamespace(namespace="mine"))
    check("08.6", ask, "right", WINDOW)
    assert "29.0% of them failed" in capsys.readouterr().out
    monkeypatch.setattr(prometheus, "promql", lambda lab, query, at: pd.DataFrame({"time": [0], "value": [0.45]}))
    fails("08.6", ask, "a new counter", WINDOW, sentence="it gives 0.450, and 30 of 100 calls failed")
    monkeypatch.setattr(prometheus, "promql", lambda lab, query, at: pd.DataFrame({"time": [0, 0], "value": [0.3, 0.3]}))
    fails("08.6", ask, "not summed", WINDOW, sentence="the query gives 2 series")
    del rows[0]
    monkeypatch.setattr(prometheus, "promql", lambda lab, query, at: pd.DataFrame({"time": [0], "value": [0.3]}))
    fails("08.6", ask, "nothing failed", WINDOW, sentence="no call of client to reviews has failed")


# What it starts with.


def test_a_client_that_has_counted_failures_makes_way_for_one_that_has_not(monkeypatch):
    there, gone = ["client-old"], []
    answers = iter([pd.DataFrame({"pod": ["client-old", "client-older"]}), pd.DataFrame({"pod": ["client-old"]}), pd.DataFrame()])
    monkeypatch.setattr(prometheus, "promql", lambda lab, query: next(answers))
    client = SimpleNamespace(
        list=lambda kind, labels: [{"metadata": {"name": name}} for name in there], delete=lambda kind, name: gone.append(name)
    )
    lab = SimpleNamespace(client=client, namespace="mine")
    assert [str(each.what) for each in CHAPTER.prepare(lab)] == ["Pod client-old"] and gone == ["client-old"]
    monkeypatch.setattr(prometheus, "promql", lambda lab, query: pd.DataFrame())
    assert CHAPTER.prepare(lab) == []


def test_two_pods_of_one_legend_are_two_lines(answers):
    """As after istiod was restarted: both Pods' memory is called by the same words."""
    both = pd.concat([points(1, 2).assign(pod="old"), points(3, 4).assign(pod="new")]).drop(columns="series")
    answers["process_resident_memory_bytes"] = both
    panel = Panel("Memory", "timeseries", "bytes", (0, 0, 12, 6), queries=[("process_resident_memory_bytes", "Resident")])
    answer(None, panel, {}, 0.0, 1.0, 1.0)
    old, new = panels.figure(Dashboard("Istio X", {}, {}, [panel], 0, 60)).data
    assert (old.name, new.name) == ("Resident", "Resident (2)") and len(old.y) == len(new.y) == 2
