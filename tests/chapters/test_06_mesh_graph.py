"""Chapter 06: its checks on right and wrong answers."""

from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from lab_helpers.chapters.c06_mesh_graph import check
from lab_helpers.chapters.c06_mesh_graph.checks import GATEWAY, PAGE, USED
from lab_helpers.traffic.graph import COLUMNS
from tests.wrong_answers import fails

STEM = "06_mesh_graph"
ROOT = Path(__file__).parents[2]


# The checks on graphs at hand: right ones, and every way in which one can be wrong.


def graph(*edges, errors=None, mtls=None, denied=None):
    """A graph of `edges`; of the shares that failed, that came in under mutual TLS and that were denied, by edge."""
    failed, barred, locked = (dict(each or {}) for each in (errors, denied, mtls))
    rows = [(*each, 20, 4.0, failed.get(each, 0.0), barred.get(each, 0.0), 5.0, locked.get(each, 1.0)) for each in edges]
    return pd.DataFrame(rows, columns=COLUMNS)


WINDOW = SimpleNamespace(seconds=5.0)
RED = {("reviews-v2", "ratings"): 1.0, ("reviews-v3", "ratings"): 1.0}
LOCKS = {("unknown", "details-v1"): 0.0}
TWO = [("client-v1", "details-v1"), ("unknown", "details-v1")]
DENIED = {TWO[0]: 0.9}
RULE = [("client-v1", "details"), ("unknown", "details-v1")]
PINNED = [(GATEWAY, PAGE), (PAGE, "details-v1"), (PAGE, "reviews-v1")]


@pytest.mark.parametrize(
    ("number", "state", "answers"),
    [
        ("06.1", [graph(*USED)], {}),
        ("06.2", [graph(*USED), WINDOW], {"sent": 20}),
        ("06.3", [graph(*PINNED)], {"answer": "reviews-v1"}),
        ("06.4", [graph(*TWO, mtls=LOCKS)], {"answer": "unknown"}),
        ("06.5", [graph(*USED, *RED, errors=RED)], {"answer": {"reviews-v2", "reviews-v3"}}),
        ("06.6", [graph(*USED, *TWO, denied=DENIED)], {"answer": "client-v1"}),
        ("06.7", [graph(*RULE, errors={RULE[0]: 1.0}, mtls=LOCKS)], {}),
    ],
)
def test_a_check_passes_on_the_right_answer(number, state, answers, capsys):
    check(number, *state, **answers)
    assert capsys.readouterr().out.startswith(f"✔ {number} ")


@pytest.mark.parametrize(
    ("number", "state", "answers", "sentence"),
    [
        ("06.1", [graph()], {}, "the graph is empty"),
        ("06.1", [graph(*(USED - {("reviews-v3", "ratings-v1")}))], {}, "nobody went reviews-v3 → ratings-v1"),
        ("06.1", [graph(*USED, ("client-v1", "reviews-v1"))], {}, "somebody went client-v1 → reviews-v1"),
        ("06.2", [graph(*USED), WINDOW], {"sent": 22}, "the graph says 4.00 a second, and 4.40 were sent"),
        ("06.2", [graph((PAGE, "details-v1")), WINDOW], {"sent": 20}, "no edge from the gateway"),
        ("06.3", [graph(*USED)], {"answer": "reviews-v1"}, "somebody called ratings"),
        ("06.3", [graph(*PINNED)], {"answer": "reviews-v2"}, "reviews-v2 did not answer these requests alone"),
        ("06.3", [graph(*PINNED, (PAGE, "reviews-v2"))], {"answer": "reviews-v1"}, "reviews-v1 did not answer these requests alone"),
        ("06.4", [graph(*TWO)], {"answer": "unknown"}, "every edge of this graph is under mutual TLS"),
        ("06.4", [graph(TWO[1], mtls=LOCKS)], {"answer": "unknown"}, "no edge of this graph is under mutual TLS"),
        ("06.4", [graph(*TWO, mtls=LOCKS)], {"answer": "client-v1"}, "what client-v1 sent came in under mutual TLS"),
        ("06.5", [graph(*USED)], {"answer": "reviews"}, "nothing fails"),
        ("06.5", [graph(*USED, errors={(PAGE, "details-v1"): 0.1})], {"answer": "reviews"}, f"{PAGE} → details-v1 fails too"),
        ("06.5", [graph(*USED, *RED, errors=RED)], {"answer": "reviews-v2"}, "somebody else's calls fail too"),
        ("06.5", [graph(*USED, *RED, errors=RED)], {"answer": "reviews-v1"}, "reviews-v1 has no failing calls"),
        ("06.6", [graph(*TWO)], {"answer": "client-v1"}, "nobody is denied in this graph"),
        ("06.6", [graph(*TWO, denied=DENIED)], {"answer": "unknown"}, "nothing that unknown sent was denied"),
        ("06.6", [graph(*TWO, denied={**DENIED, TWO[1]: 1.0})], {"answer": "client-v1"}, "unknown was denied as well"),
        ("06.6", [graph(*TWO, denied=DENIED, errors={TWO[0]: 0.1})], {"answer": "client-v1"}, "some of these requests failed besides"),
        ("06.7", [graph()], {}, "the graph shows nothing"),
        ("06.7", [graph(*TWO)], {}, "client-v1 → details-v1"),
        ("06.7", [graph(*RULE, errors={RULE[0]: 0.5})], {}, "not all of the client's requests"),
    ],
)
def test_a_check_fails_on_a_wrong_answer_and_says_why(number, state, answers, sentence):
    fails(number, *state, sentence=sentence, **answers)
