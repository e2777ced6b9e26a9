"""Chapter 06 without a cluster: the picture of a graph at hand."""

import re

import pandas as pd
import pytest

from lab_helpers.chapters.c06_mesh_graph import plot_graph
from lab_helpers.core.errors import LabError
from lab_helpers.traffic.graph import COLUMNS

EDGES = pd.DataFrame(
    [
        ("gw", "a-v1", 60, 10.0, 0.0, 12.0, 1.0),
        ("a-v1", "b-v1", 60, 10.0, 0.5, 3.0, 0.0),
        ("a-v1", "c<1>", 5, 0.8, 0.0, float("nan"), float("nan")),
    ],
    columns=COLUMNS,
)


def test_a_graph_shows_rate_failures_and_lock_and_escapes_names():
    html = plot_graph(EDGES)._repr_html_()
    assert html.count('class="mesh-edge ') == 3 and html.count('class="mesh-node"') == 4
    assert "50% failed" in html and html.count("a2.5,2.5") == 1, "one edge is locked"
    assert "c<1>" not in html and "c&lt;1&gt;" in html and "<script" not in html
    assert "gw → a-v1 (10.0/s)" in repr(plot_graph(EDGES)) or "gw → a-v1 (10/s)" in repr(plot_graph(EDGES))


WITH_TCP = pd.DataFrame(
    [
        ("gw", "a-v1", 60, 10.0, 0.0, 12.0, 1.0, "http", 0),
        ("gw", "a-v1", 0, 1.5, 0.0, float("nan"), 1.0, "tcp", 9),
        ("a-v1", "db-v1", 0, 2.5, 0.0, float("nan"), float("nan"), "tcp", 15),
        ("a-v1", "gone", 0, 0.5, 1.0, float("nan"), float("nan"), "tcp", 3),
    ],
    columns=[*COLUMNS, "protocol", "connections"],
)


def test_an_edge_of_tcp_is_told_apart_and_has_connections(recwarn):
    picture = plot_graph(WITH_TCP)
    html = picture._repr_html_()
    assert picture.svg.count("stroke-dasharray") == 3 and "1.5 conn/s" in html and "10.0/s" in html.replace("10/s", "10.0/s")
    assert "9 connections of TCP, 1.5 a second" in html and "0.5 conn/s" in html
    assert "100% failed" in html and "100.0% reached nobody" in html
    assert "in: 10 requests and 1.5 connections a second, 0.0% failed" in html.replace("10.0 requests", "10 requests")
    assert "a-v1 → db-v1 (2.5 connections/s)" in repr(picture) and "gw → a-v1 (1.5 connections/s)" in repr(picture)
    assert "nan" not in html.lower() and not recwarn.list


def test_http_and_tcp_between_the_same_two_do_not_lie_upon_each_other():
    html = plot_graph(WITH_TCP)._repr_html_()
    curves = re.findall(r'<path d="(M[^"]*C[^"]*)" fill="none"', html)
    places = re.findall(r'<text x="([^"]*)" y="([^"]*)"[^>]*>([^<]*/s[^<]*)<', html)
    assert len(set(curves)) == 4 and len({(x, y) for x, y, _ in places}) == 4
    both = [float(y) for _, y, label in places if label.startswith(("10", "1.5 conn"))]
    assert abs(both[0] - both[1]) > 20, "their words stand apart, too"


def test_a_graph_without_tcp_is_drawn_as_if_there_were_none():
    plain = plot_graph(EDGES)
    assert "dash" not in plain.svg and "connections" not in plain.svg + repr(plain) and "conn/s" not in plain.svg


def test_nothing_to_draw_gets_a_sentence():
    with pytest.raises(LabError, match="nothing to draw"):
        plot_graph(EDGES.iloc[:0])
