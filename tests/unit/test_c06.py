"""Chapter 06 without a cluster: the picture of a graph at hand."""

import re

import pandas as pd
import pytest

from lab_helpers.chapters.c06_mesh_graph import plot_graph
from lab_helpers.core.errors import LabError
from lab_helpers.show.graphs.layout import laid_out
from lab_helpers.show.graphs.mesh import SAID
from lab_helpers.traffic.graph import COLUMNS

EDGES = pd.DataFrame(
    [
        ("gw", "a-v1", 60, 10.0, 0.0, 0.0, 12.0, 1.0),
        ("a-v1", "b-v1", 60, 10.0, 0.5, 0.0, 3.0, 0.0),
        ("a-v1", "c<1>", 5, 0.8, 0.0, 0.0, float("nan"), float("nan")),
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
        ("gw", "a-v1", 60, 10.0, 0.0, 0.0, 12.0, 1.0, "http", 0),
        ("gw", "a-v1", 0, 1.5, 0.0, 0.0, float("nan"), 1.0, "tcp", 9),
        ("a-v1", "db-v1", 0, 2.5, 0.0, 0.0, float("nan"), float("nan"), "tcp", 15),
        ("a-v1", "gone", 0, 0.5, 1.0, 0.0, float("nan"), float("nan"), "tcp", 3),
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


OUTSIDE = pd.DataFrame(
    [
        ("a-v1", "b-v1", 8, 1.0, 0.0, 0.25, 3.0, 1.0, False),
        ("a-v1", "c-v1", 8, 1.0, 0.0, 0.0, 3.0, 1.0, True),
        ("a-v1", "books.example", 8, 1.0, 0.0, 0.0, 3.0, float("nan"), False),
        ("a-v1", "PassthroughCluster", 8, 1.0, 0.0, 0.0, 3.0, float("nan"), False),
        ("a-v1", "BlackHoleCluster", 8, 1.0, 1.0, 0.0, 3.0, float("nan"), False),
    ],
    columns=[*COLUMNS, "mirrored"],
)
OUTSIDE.attrs = {
    "routed": ["b-v1"],
    "outside": {"books.example": "service entry", "PassthroughCluster": "passthrough", "BlackHoleCluster": "black hole"},
}


def edge(html, name):
    """The element of the edge to `name`, with its class."""
    return next(each for each in re.findall(r'<g class="mesh-edge .*?</g>', html, re.DOTALL) if f"→ {name}\n" in each)


def test_who_was_denied_is_of_a_class_and_a_colour_of_his_own():
    picture = plot_graph(OUTSIDE)
    shown = edge(picture._repr_html_(), "b-v1")
    assert 'class="mesh-edge denied"' in shown and "25% denied" in shown and "0.0% failed, 25.0% denied" in shown
    colours = {kind: SAID[kind][0] for kind in SAID}
    assert colours["denied"] in shown and len(set(colours.values())) == len(colours)
    assert "a-v1 → b-v1 (1/s, 25.0% denied)" in repr(picture) and "denied (401, 403)" in picture._repr_html_()


def test_copies_of_a_mirror_are_dotted_and_say_so():
    shown = edge(plot_graph(OUTSIDE)._repr_html_(), "c-v1")
    assert 'class="mesh-edge healthy mirrored"' in shown and "1 copies/s" in shown and "nobody waited" in shown


def test_what_leaves_the_mesh_stands_in_a_dashed_box_that_says_what_it_is():
    boxes = re.findall(r'<g class="mesh-node">.*?</g>', plot_graph(OUTSIDE).svg, re.DOTALL)
    told = {kind for kind in ("ServiceEntry", "host unknown", "not let out") for box in boxes if f">{kind}<" in box and "dasharray" in box}
    assert len(told) == 3


def test_only_what_a_virtual_service_names_has_its_sign():
    boxes = re.findall(r'<g class="mesh-node">.*?</g>', plot_graph(OUTSIDE).svg, re.DOTALL)
    assert [">b-v1<" in box for box in boxes if "virtual-service" in box] == [True]
    assert "a VirtualService" in plot_graph(OUTSIDE).legend and "a VirtualService" not in plot_graph(EDGES).legend


def test_no_arrow_goes_through_a_box_and_no_word_stands_on_an_arrow():
    """Callers over several columns, many into one, a circle and a call of oneself: in all of them the picture can be read."""
    pairs = [tuple(pair) for pair in ["ab", "bc", "ac", "ad", "bd", "cd", "ed", "db", "cc", "af", "ab"]]
    plan = laid_out(pairs, [60.0] * len(pairs), dict.fromkeys("abcdef", (70, 34)), rows=2)
    for arrow, (source, destination) in zip(plan.arrows, pairs, strict=True):
        for x, y in traced(arrow.path):
            for name, box in plan.boxes.items():
                inside = box.x + 1 < x < box.x + box.width - 1 and box.y < y < box.y + box.height
                assert not inside, f"{source} → {destination} goes through {name}"
            for other, ends in zip(plan.arrows, pairs, strict=True):
                above = other.words + 3 < x < other.x - 12 and other.y - 15 < y < other.y + 16
                assert other is arrow or not above, f"{source} → {destination} crosses the words of {ends}"
    corners = [(box.x + box.width, box.y + box.height) for box in plan.boxes.values()]
    assert all(x <= plan.width and y <= plan.height for x, y in corners)


def traced(path):
    """Points along a path of SVG."""
    x, y = map(float, re.match(r"M([\d.-]+),([\d.-]+)", path).groups())
    for kind, numbers in re.findall(r"([CHV])([\d., -]+)", path):
        values = [float(each) for each in re.findall(r"-?[\d.]+", numbers)]
        if kind == "C":
            (ax, ay, bx, by, to_x, to_y) = values
            for t in (step / 40 for step in range(41)):
                u = 1 - t
                yield (
                    u**3 * x + 3 * u * u * t * ax + 3 * u * t * t * bx + t**3 * to_x,
                    u**3 * y + 3 * u * u * t * ay + 3 * u * t * t * by + t**3 * to_y,
                )
        else:
            to_x, to_y = (values[0], y) if kind == "H" else (x, values[0])
            yield from ((x + (to_x - x) * step / 40, y + (to_y - y) * step / 40) for step in range(41))
        x, y = to_x, to_y


def test_nothing_to_draw_gets_a_sentence():
    with pytest.raises(LabError, match="nothing to draw"):
        plot_graph(EDGES.iloc[:0])
