"""Chapter 06 without a cluster: the picture of a graph at hand."""

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
    assert html.count('class="mesh-edge"') == 3 and html.count('class="mesh-node"') == 4
    assert "50% failed" in html and html.count("a2.5,2.5") == 1, "one edge is locked"
    assert "c<1>" not in html and "c&lt;1&gt;" in html and "<script" not in html
    assert "gw → a-v1 (10.0/s)" in repr(plot_graph(EDGES)) or "gw → a-v1 (10/s)" in repr(plot_graph(EDGES))


def test_nothing_to_draw_gets_a_sentence():
    with pytest.raises(LabError, match="nothing to draw"):
        plot_graph(EDGES.iloc[:0])
