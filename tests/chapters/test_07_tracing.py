"""Chapter 07: its checks on right and wrong answers."""

from pathlib import Path

import pandas as pd
import pytest

from lab_helpers.chapters.c07_tracing import check
from lab_helpers.traffic.traces import SPAN
from tests.wrong_answers import before, fails

STEM = "07_tracing"
ROOT = Path(__file__).parents[2]


@before('lab.apply("07_tracing/03-jaeger.yaml")')
def before_the_switch(lab, window):
    fails("07.5", lab, window, sentence="still sends its spans to Zipkin")


@before('check("07.5"')
def an_empty_window(lab):
    with lab.window() as nothing:
        pass
    fails("07.5", lab, nothing, sentence="Jaeger has no trace of that window")


# The other checks on traces at hand: right ones, and every way in which one can be wrong.

PAGE = [  # service, kind, to, start, duration: a page with stars
    ("istio-ingressgateway", "SERVER", "", 0, 40), ("istio-ingressgateway", "CLIENT", "productpage", 1, 38),
    ("productpage", "SERVER", "", 2, 36), ("productpage", "CLIENT", "details", 4, 6), ("details", "SERVER", "", 5, 4),
    ("productpage", "CLIENT", "reviews", 12, 20), ("reviews", "SERVER", "", 13, 18), ("reviews", "CLIENT", "ratings", 16, 8),
    ("ratings", "SERVER", "", 17, 5),
]  # fmt: skip


def trace(rows=PAGE, failed="", id="a" * 32):
    """A trace of `rows`, each below the one before it; `failed` is the service that somebody called in vain."""
    spans = [
        (f"{place}", f"{place - 1}" if place else "", f"{service}.default", kind, to, f"{to or service}.default:9080/*", start, duration,
         "500" if to == failed != "" else "200", "FI" if to == failed != "" else "-", to == failed != "")
        for place, (service, kind, to, start, duration) in enumerate(rows)
    ]  # fmt: skip
    table = pd.DataFrame(spans, columns=SPAN)
    table.attrs = {"trace": id}
    return table


def own(**ms):
    return pd.DataFrame([(f"{name}.default", value) for name, value in ms.items()], columns=["service", "own_ms"])


OVERLAP = [row if row[2] != "reviews" else ("productpage", "CLIENT", "reviews", 8, 20) for row in PAGE]
FAILED = trace(PAGE[:8], failed="ratings")


@pytest.mark.parametrize(
    ("number", "state", "answers"),
    [
        ("07.1", [trace()], {}),
        ("07.2", [trace()], {"answer": "details"}),
        ("07.3", [FAILED], {"answer": ("reviews", "ratings")}),
        ("07.4", [own(productpage=20, reviews=7)], {"answer": "productpage"}),
        ("07.6", [trace()], {"id": "A" * 32}),
    ],
)
def test_a_check_passes_on_the_right_answer(number, state, answers, capsys):
    check(number, *state, **answers)
    assert capsys.readouterr().out.startswith(f"✔ {number} ")


@pytest.mark.parametrize(
    ("number", "state", "answers", "sentence"),
    [
        ("07.1", [FAILED], {}, "1 of its spans failed"),
        ("07.1", [trace(PAGE[:7])], {}, "ratings is not in it"),
        ("07.1", [trace([*PAGE, PAGE[-1]])], {}, "it has 10 spans"),
        ("07.2", [trace()], {"answer": "reviews"}, "reviews is not asked first"),
        ("07.2", [trace(PAGE[:5])], {"answer": "details"}, "productpage asks details in this trace"),
        ("07.2", [trace(OVERLAP)], {"answer": "details"}, "overlap"),
        ("07.3", [trace()], {"answer": ("reviews", "ratings")}, "nothing failed in this trace"),
        ("07.3", [FAILED], {"answer": ("productpage", "reviews")}, "productpage → reviews is not what failed"),
        ("07.4", [own(productpage=20, reviews=7)], {"answer": "reviews"}, "reviews is not the busiest by itself"),
        ("07.6", [trace(id="b" * 32)], {"id": "a" * 32}, "these are the spans of trace bbb"),
        ("07.6", [trace(PAGE[6:])], {"id": "a" * 32}, "productpage is not in it"),
    ],
)
def test_a_check_fails_on_a_wrong_answer_and_says_why(number, state, answers, sentence):
    fails(number, *state, sentence=sentence, **answers)
