"""Chapter 04 without a cluster: its checks on right and wrong answers."""

from types import SimpleNamespace

import pytest

from lab_helpers.chapters.c04_bookinfo import check, containers
from lab_helpers.chapters.c04_bookinfo.checks import CALLS, FAULT, POWER, THIRDS
from lab_helpers.core.errors import CheckError
from lab_helpers.core.statistics import ALPHA, required_n
from lab_helpers.show import checks
from tests.bookinfo import calls, page, seen

N = required_n(THIRDS, FAULT, ALPHA, POWER)


@pytest.mark.parametrize(
    ("number", "state", "answers"),
    [
        ("04.2", [[page("v1"), page("v2"), page("v3")]], {}),
        ("04.3", [calls()], {"answer": {"reviews-v2", "reviews-v3"}}),
        ("04.3", [calls()], {"answer": ["reviews-v3", "reviews-v2"]}),
        ("04.4", [seen(N // 3 + 3, N // 3, N // 3 + 1)], {}),
    ],
)
def test_a_check_passes_on_the_right_answer(number, state, answers, capsys):
    check(number, *state, **answers)
    assert capsys.readouterr().out.startswith(f"✔ {number} ")


@pytest.mark.parametrize(
    ("number", "state", "answers", "sentence"),
    [
        ("04.2", [[page("v1"), page("v2")]], {}, "reviews of v3"),
        ("04.2", [[]], {}, "reviews of v1, v2, v3"),
        ("04.2", [[page("v1"), page("v2", "red"), page("v3")]], {}, "v2 should show black stars, and shows red"),
        ("04.2", [[page("v1"), page("v2"), page("v3", status=503)]], {}, "reviews of v3"),
        ("04.3", [calls()], {"answer": "reviews-v2"}, "somebody else"),
        (
            "04.3",
            [calls()],
            {"answer": {"reviews-v1", "reviews-v2", "reviews-v3"}},
            "reviews-v1 has not called ratings",
        ),
        (
            "04.3",
            [calls(CALLS - {("reviews-v3", "ratings-v1")})],
            {"answer": "reviews-v2"},
            "counted a call reviews-v3 → ratings-v1",
        ),
        ("04.4", [seen(300, 150, 150)], {}, "contradicts"),
        ("04.4", [seen(20, 20, 20)], {}, "too few to tell"),
        ("04.4", [seen(N, N, N, status=503)], {}, "failed, the first with status 503"),
    ],
)
def test_a_check_fails_on_a_wrong_answer_and_says_why(number, state, answers, sentence):
    with pytest.raises(CheckError, match=sentence) as caught:
        check(number, *state, **answers)
    assert caught.value.what.startswith(f"✘ {number} ") and caught.value.do, "a check hints at the way out"


def pod(name, containers, lasting=(), **metadata):
    start = [{"name": "istio-init"}, *({"name": each, "restartPolicy": "Always"} for each in lasting)]
    spec = {"containers": [{"name": each} for each in containers], "initContainers": start}
    return {"metadata": {"name": name, "labels": {"app": name, "version": "v1"}, **metadata}, "spec": spec}


def test_containers_are_those_that_run_wherever_the_sidecar_stands():
    there = [pod("b", ["b", "istio-proxy"]), pod("a", ["a"], ["istio-proxy"]), pod("c", ["c"]), pod("d", ["d"], deletionTimestamp="now")]
    table = containers(SimpleNamespace(client=SimpleNamespace(list=lambda kind: there)))
    assert table["number"].tolist() == [2, 2, 1] and table["containers"].tolist() == ["a, istio-proxy", "b, istio-proxy", "c"]


def test_chapter_04_has_five_checks():
    assert checks.numbers("04") == ["04.1", "04.2", "04.3", "04.4", "04.5"]
