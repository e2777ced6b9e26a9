"""Chapter 08 without a cluster: the variables of a dashboard, the places of its panels, and what is drawn of each kind."""

import pandas as pd
import pytest

from lab_helpers.chapters.c08_metrics import panels
from lab_helpers.chapters.c08_metrics.answers import Panel, asked
from lab_helpers.chapters.c08_metrics.dashboards import Dashboard, _placed
from lab_helpers.chapters.c08_metrics.variables import Variables
from lab_helpers.core.errors import QueryError
from lab_helpers.traffic import prometheus


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
