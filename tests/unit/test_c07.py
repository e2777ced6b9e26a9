"""Chapter 07 without a cluster: who was busy in a trace at hand, and its waterfall."""

import pandas as pd
import pytest

from lab_helpers.chapters.c07_tracing import own_time, plot_trace
from lab_helpers.core.errors import LabError
from lab_helpers.traffic.traces import SPAN

CALL = pd.DataFrame(
    [
        ("1", "", "a.default", "SERVER", "", "a.default:9080/*", 0.0, 10.0, "200", "-", False),
        ("2", "1", "a.default", "CLIENT", "b", "a.default:9080/*", 2.0, 6.0, "200", "-", False),
        ("3", "2", "b.default", "SERVER", "", "b.default:9080/*", 3.0, 4.0, "200", "-", False),
    ],
    columns=SPAN,
)


def test_own_time_is_what_is_left_without_those_who_were_called():
    own = own_time(CALL).set_index("service")["own_ms"]
    assert own["a.default"] == pytest.approx((10 - 6) + (6 - 4)) and own["b.default"] == pytest.approx(4)


def test_a_waterfall_shows_each_span_once_and_the_whole_in_words():
    picture = plot_trace(CALL)
    html = picture._repr_html_()
    assert html.count("<rect") == 3 and ">a → b<" in html and "currentColor" in html and "<script" not in html
    assert "3 spans over 2 services in 10 ms" in repr(picture)


def test_nothing_to_draw_gets_a_sentence():
    with pytest.raises(LabError, match="nothing to draw"):
        plot_trace(pd.DataFrame(columns=SPAN))
