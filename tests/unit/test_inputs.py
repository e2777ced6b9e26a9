"""What a check is given is looked at before the check is: an answer of any type gets a verdict or a sentence, and our own faults show."""

import importlib
import itertools
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from lab_helpers.chapters.c08_metrics import Questions
from lab_helpers.core.errors import CheckError, CommandError, LabError
from lab_helpers.kube.commands import Output
from lab_helpers.lab.chapters import FOLDER
from lab_helpers.show import checks, inputs
from lab_helpers.show.checks import check
from tests.bookinfo import calls, seen
from tests.objects import Cluster


def refuse(*_args, **_rest):
    raise CommandError("This lab runs nothing.", "")


LAB = Cluster({}, run=refuse, raw=refuse)
LAB.page = LAB.addons_namespace = refuse
HALF = [{"weight": 10, "answered by v3": 30, "failed": 0}]  # `stages` as the canary cell leaves it when it is interrupted


@pytest.fixture(autouse=True)
def every_chapter():
    for each in FOLDER.glob("c*/checks.py"):
        importlib.import_module(f"lab_helpers.chapters.{each.parent.name}.checks")


@pytest.fixture
def nodes(monkeypatch):
    table = pd.DataFrame({"node": ["lab"], "cpus": [2.0], "memory": [4.0], "kubelet": ["v1.36.3"]})
    monkeypatch.setattr("lab_helpers.chapters.c02_lab_environment.cluster.nodes", lambda lab: table)


@pytest.mark.parametrize(
    ("number", "state", "answers", "sentence"),
    [
        # as they were reported
        ("12.5", [LAB, HALF], {}, "given a list of 1 for stages, and looks at a table with the columns weight .numbers., failed .numbers."),
        ("12.5", [LAB, pd.DataFrame(HALF)], {}, "the steps were 10 percent"),
        ("02.1", [LAB], {"answer": "2"}, "given the text '2' for answer, and looks at a number.*no quotation marks"),
        ("02.1", [LAB], {"answer": None}, "given nothing .None. for answer, and looks at a number"),
        ("12.2", [None], {}, "given nothing .None. for seen, and looks at a table with the columns.*status.*judges: All to v1"),
        ("12.2", [{"v1": 200}], {}, "given a dict of 1 for seen"),
        ("08.6", [Questions(LAB), 0.5, None], {}, "given the number 0.5 for query, and looks at text"),
        # a number, of 02.1
        ("02.1", [LAB], {"answer": float("nan")}, "nan, which is not a number"),  # was right, since nothing is further from nan than 0.005
        ("02.1", [LAB], {"answer": pd.Series([2.0])}, "something of the type Series for answer"),
        ("02.1", [2.0], {"answer": LAB}, "the number 2.0 for lab, and looks at the lab"),
        ("02.1", [LAB], {"answer": True}, "True, of the type bool"),
        # a table, of 04.4
        ("04.4", [seen(1, 1, 1)["status"]], {}, "something of the type Series for seen"),
        ("04.4", [seen(1, 1, 1).drop(columns="status")], {}, "a table with the columns version for seen"),
        ("04.4", [seen(1, 1, 1, status="200")], {}, "looks at a table with the columns .*status .numbers."),
        ("04.4", [LAB], {}, "given the lab for seen"),
        # words, of 04.3
        ("04.3", [calls()], {"answer": 2}, "the number 2 for answer, and looks at a word, or several"),
        ("04.3", [calls()], {"answer": calls()}, "a table with the columns source, destination, requests for answer"),
        ("04.3", [calls()], {"answer": ["reviews-v2", None]}, "a list of 2 for answer"),
        ("04.3", [calls], {"answer": "reviews-v2"}, "calls itself, which is to be called"),
        # two words, what a command printed, a dict, pages
        ("07.3", [pd.DataFrame()], {"answer": "reviews"}, "the text 'reviews' for answer, and looks at two words"),
        ("03.5", [LAB, Output("x", "y"), "z"], {}, "looks at text.*its .stdout"),
        ("05.7", [Output("kubectl x", "no rules"), {"outbound": 1}], {}, "kubectl x has printed no rule"),
        ("05.7", [Output("kubectl x", "no rules"), 15001], {}, "the number 15001 for answer, and looks at a dict"),
        ("05.2", [Output("kubectl x", "a"), Output("kubectl x", "b: [")], {"answer": "c"}, "kubectl x has printed no pod"),
        ("04.2", ["a page"], {}, "the text 'a page' for pages"),
        # tables of nothing
        ("03.2", [pd.DataFrame()], {"answer": []}, "every profile in this table"),
        ("03.3", [pd.DataFrame()], {"answer": []}, "no autoscaler in this table"),
        ("02.4", [pd.DataFrame()], {"target": 50}, "nothing was seen"),
        ("07.4", [pd.DataFrame()], {"answer": "a"}, "no service in this table"),
        ("08.2", [1.0, pd.DataFrame(), [1, 2]], {}, "no request was sent"),
        ("01.3", [pd.DataFrame()], {"answer": "a"}, "no packet was overheard"),
    ],
)
def test_an_answer_of_another_type_gets_a_sentence(nodes, number, state, answers, sentence):
    with pytest.raises(LabError, match=f"(?s){sentence}"):
        check(number, *state, **answers)


@pytest.mark.parametrize("answer", [20, 20.0, np.float64(20), np.int64(20), np.float32(20)])
def test_every_number_is_one(nodes, capsys, answer):
    check("02.1", LAB, answer=answer)
    assert capsys.readouterr().out.startswith("✔ 02.1")


@pytest.mark.parametrize(
    "answer", [("reviews-v2", "reviews-v3"), iter(["reviews-v2", "reviews-v3"]), pd.Series(["reviews-v2", "reviews-v3"])]
)
def test_words_come_in_any_order_and_in_anything(capsys, answer):
    check("04.3", calls(), answer=answer)
    assert capsys.readouterr().out.startswith("✔ 04.3")


def test_every_check_says_what_it_looks_at_and_of_a_table_which_columns():
    assert len(checks._checks) > 45
    for found in checks._checks.values():
        for name, kind in inputs.declared(found.judge).items():
            assert kind.name != "a value of the type DataFrame", f"{found.judge.__name__}: {name} wants the columns of its table"


ANYTHING = [
    None, "", "2", 0, 0.5, float("nan"), float("inf"), True, [], [1], ["a"], {}, {"v1": 200}, {"a"}, (), ("a", "b"), b"a", object(),
    LAB, int, len,    pd.DataFrame(), pd.DataFrame({"a": [1]}), pd.Series([1.0]), np.array([1.0]), Output("x", ""), Output("x", "a: b"),
    SimpleNamespace(seconds=5.0, known=5.0, panels=[]),
]  # fmt: skip


def test_no_check_falls_over_whatever_it_is_given(nodes, monkeypatch, capsys):
    monkeypatch.setattr("lab_helpers.traffic.prometheus.promql", refuse)
    monkeypatch.setattr("lab_helpers.traffic.traces.switch", refuse)
    for number, found in checks._checks.items():
        names = list(inputs.declared(found.judge))
        if names == ["lab"]:
            continue
        fitting = {name: [each for each in ANYTHING if kind.take(each) is not None] for name, kind in inputs.declared(found.judge).items()}
        tries = list(itertools.product(*(each[:4] or [None] for each in fitting.values())))
        for at in range(len(names)):  # the others as they should be, so that this one is what matters
            tries += [[*tries[0][:at], each, *tries[0][at + 1 :]] for each in ANYTHING]
        for values in tries:
            try:
                check(number, *values)
            except LabError as error:
                assert error.what and error.do or "This lab" in error.what, (number, values)
            except Exception as error:  # noqa: BLE001
                pytest.fail(f"{number} given {values}: {error!r}")


def test_a_fault_of_our_own_is_shown_as_one(monkeypatch):
    for fault in (
        TypeError("judge() missing 1 required positional argument: 'x'"),
        KeyError("status"),
        AttributeError("x"),
        ValueError("x"),
    ):

        def judge(answer: int, fault=fault) -> str:
            raise fault

        monkeypatch.setitem(checks._checks, "98.1", checks._Check("Ours", lambda answer: judge(answer)))
        checks._checks["98.1"].judge.__annotations__["answer"] = int
        with pytest.raises(type(fault)):
            check("98.1", 1)


def test_a_check_that_does_not_say_what_it_looks_at_is_a_fault(monkeypatch):
    monkeypatch.setitem(checks._checks, "98.1", checks._Check("Ours", lambda answer: "fine"))
    with pytest.raises(TypeError, match="does not say what answer is"):
        check("98.1", 1)


def test_a_wrong_answer_is_still_a_wrong_answer(nodes):
    with pytest.raises(CheckError, match="✘ 02.1"):
        check("02.1", LAB, answer=3)
