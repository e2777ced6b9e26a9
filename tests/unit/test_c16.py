"""Chapter 16 without a mesh: what its checks make of right and wrong answers, its distribution, and its dial of a mesh that is made up."""

import pandas as pd
import pytest

from lab_helpers.chapters.c16_delay_injection import checks, clusters, dial, plot_latency, slow
from lab_helpers.chapters.c16_delay_injection.checks import FAULTS, FIFTH, HALF, POWER
from lab_helpers.core.errors import LabError, MeshError
from lab_helpers.core.statistics import power, required_n
from lab_helpers.kube.apply import Outcome
from lab_helpers.kube.kinds import POD, Kind
from lab_helpers.show.checks import check
from lab_helpers.traffic import pages
from tests.objects import Cluster, pod
from tests.wrong_answers import fails

RULE = Kind("networking.istio.io/v1", "VirtualService")


def read(*rows):
    """Pages: how many, after how many seconds, whose reviews, what stands for ratings, whether there are details, and their status."""
    every = []
    for number, seconds, version, ratings, details, status in rows:
        every += [(status, 1000 * seconds + at, version, ratings, details) for at in range(number)]
    return pd.DataFrame(every, columns=pages.COLUMNS)


def seen(*rows):
    """Requests: how many, after how many seconds, by which version, with which status."""
    every = [(version, status, 1000 * seconds + at) for number, seconds, version, status in rows for at in range(number)]
    return pd.DataFrame(every, columns=["version", "status", "latency_ms"])


SEVEN = read((21, 0.03, "v1", "none", True, 200), (19, 3.03, "v2", "stars", False, 200))
TWO = read((18, 0.03, "v1", "none", True, 200), (22, 2.03, "v2", "stars", True, 200))
MIXED = seen((78, 0.01, "v1", 200), (22, 1.01, "v1", 200))
DIRECT = seen((16, 0.02, "v1", 200), (12, 10.02, "v2", 200), (12, 2.52, "v3", 200))
SIX = read((10, 6.05, None, "none", True, 200))
CLOCKS = {"v2": 10, "v3": 2.5, "productpage": 3}
BESIDE = seen((20, 2.01, "v1", 200))
ABOVE = seen((15, 0.01, "v1", 200), (25, 0.51, None, 504))
ONE = seen((30, 0.55, "v1", 200), (10, 1.06, None, 504))


@pytest.mark.parametrize(
    ("number", "state", "answers"),
    [
        ("16.1", [SEVEN], {}),
        ("16.2", [TWO], {}),
        ("16.3", [MIXED], {"answer": 20}),
        ("16.4", [DIRECT, SIX], {"answer": CLOCKS}),
        ("16.4", [DIRECT, SIX], {"answer": {"v2": 10.1, "v3": 2.6, "productpage": 3.1}}),
        ("16.5", [BESIDE, ABOVE, ONE], {}),
    ],
)
def test_a_check_passes_on_the_right_answer(number, state, answers, capsys):
    check(number, *state, **answers)
    assert capsys.readouterr().out.startswith(f"✔ {number} ")


@pytest.mark.parametrize(
    ("number", "state", "answers", "sentence"),
    [
        ("16.1", [SEVEN.head(21)], {}, "0 of 21 pages were late, and 50 % should be"),
        ("16.1", [SEVEN.tail(19)], {}, "19 of 19 pages were late"),
        ("16.1", [SEVEN.tail(10)], {}, "10 pages are too few to tell"),
        ("16.1", [SEVEN.assign(status=500)], {}, "40 of 40 pages have the status 500"),
        ("16.1", [SEVEN.assign(latency_ms=SEVEN.latency_ms + 4000)], {}, r"took 7\.0 to 7\.0 s"),
        ("16.1", [read((20, 3.3, "v1", "none", True, 200), (20, 3.03, "v2", "stars", False, 200))], {}, r"a page with details took 3\.3 s"),
        ("16.2", [SEVEN], {}, "19 pages have no details"),
        ("16.2", [TWO.head(18)], {}, "0 of 18 pages were late"),
        ("16.2", [TWO.assign(latency_ms=TWO.latency_ms * 2)], {}, r"a page took 4\.1 s"),
        ("16.3", [MIXED], {"answer": 100}, "100 % is not what happened"),
        ("16.3", [seen((100, 1.01, "v1", 200))], {"answer": 100}, "100 of 100 requests were late"),
        ("16.3", [seen((100, 0.01, "v1", 200))], {"answer": 20}, "0 of 100 requests were late"),
        ("16.3", [MIXED.tail(20)], {"answer": 20}, "20 requests are too few"),
        ("16.4", [DIRECT, SIX], {"answer": {**CLOCKS, "v2": 2.5}}, "v2 does not give up after 2.5 s"),
        ("16.4", [DIRECT, SIX], {"answer": {**CLOCKS, "productpage": 6}}, "productpage does not give up after 6 s"),
        ("16.4", [DIRECT, SIX], {"answer": {**CLOCKS, "v3": ...}}, "your answer for v3 is missing"),
        ("16.4", [DIRECT, SIX], {"answer": {**CLOCKS, "v3": "2.5 s"}}, "v3 does not give up after 2.5 s s"),
        ("16.4", [DIRECT.head(28), SIX], {"answer": CLOCKS}, "reviews v3 has not answered at all"),
        ("16.4", [DIRECT.assign(latency_ms=20.0), SIX], {"answer": CLOCKS}, r"v2 answered after 0\.0 s"),
        ("16.4", [DIRECT, TWO], {"answer": CLOCKS}, r"the fastest page took 0\.0 s"),
        ("16.5", [seen((20, 0.51, "v1", 504)), ABOVE, ONE], {}, "beside the delay, not every call was answered 200"),
        ("16.5", [seen((20, 0.01, "v1", 200)), ABOVE, ONE], {}, "beside the delay, not every call was answered 200"),
        ("16.5", [BESIDE, ABOVE.head(15), ONE], {}, "no call was cut short"),
        ("16.5", [BESIDE, ABOVE.assign(latency_ms=3000), ONE], {}, r"cut short after 3\.0 s"),
        ("16.5", [BESIDE, seen((9, 0.01, "v2", 200), (9, 0.51, None, 504)), ONE], {}, "versions that ask ratings have answered"),
        ("16.5", [BESIDE, ABOVE, ONE.head(30)], {}, "got no reviews did not take two timeouts"),
        ("16.5", [BESIDE, ABOVE, SIX], {}, "got no reviews did not take two timeouts"),
    ],
)  # fmt: skip
def test_a_check_fails_on_a_wrong_answer_and_says_why(number, state, answers, sentence):
    fails(number, *state, sentence=sentence, **answers)


GOOD = [(14, 0.03, "v1", "none", True, 200), (13, 2.73, "v2", "stars", True, 200), (13, 2.53, "v3", "unavailable", True, 200)]


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (GOOD, None),
        ([*GOOD[:2], (13, 2.43, "v3", "stars", True, 200)], "13 of 13 pages with reviews by v3 show stars, not unavailable"),
        ([GOOD[0], (13, 0.03, "v2", "unavailable", True, 200), GOOD[2]], "by v2 show unavailable, not stars"),
        ([*GOOD, (2, 6.1, None, "none", True, 200)], "2 of 42 pages have lost their reviews"),
        ([GOOD[0], GOOD[2]], "no page has reviews by v2"),
        ([(40, 0.03, None, "none", False, 503)], "40 of 40 pages have the status 503"),
    ],
)
def test_black_stars_no_red_ones_and_every_review(rows, sentence, monkeypatch, capsys):
    monkeypatch.setattr(pages, "read", lambda lab, n, parallel: read(*rows))
    if sentence:
        fails("16.6", Cluster({}), sentence=sentence)
    else:
        check("16.6", Cluster({}))
        assert capsys.readouterr().out.startswith("✔ 16.6")


@pytest.mark.parametrize(("number", "wanted"), [("16.1", HALF), ("16.2", HALF), ("16.3", FIFTH)])
def test_a_check_accuses_a_right_mesh_once_in_a_hundred_thousand_runs_and_finds_the_fault_it_names(number, wanted):
    n = required_n(wanted, FAULTS[number], wanted_power=POWER)
    assert n <= 100 and power(n, wanted, wanted) <= 1e-5 and power(n, wanted, FAULTS[number]) >= POWER
    assert all(power(n, wanted, wanted) <= 1e-5 for n in (40, 100))  # as many as the chapter sends


def test_all_three_versions_show_themselves():
    assert 3 * (2 / 3) ** checks.PAGES < 1e-5


# The distribution.


def test_answers_heap_up_where_nothing_lies_between_them():
    assert clusters([]) == []
    assert clusters([10, 150, 300, 3000]) == [(3, 0.15), (1, 3.0)]
    assert clusters([3000, 10]) == [(1, 0.01), (1, 3.0)]


def test_a_distribution_says_in_words_where_the_heaps_are():
    picture = plot_latency({"with": [20, 30, 3020], "without": []}, {"timeout": 0.5}, upto=7)
    assert picture.caption == "Seconds until the answer. with: 2 after 0.0 s, 1 after 3.0 s; without: none."
    assert "timeout" in picture.svg and "3 answers" in picture.svg and picture.across <= 672
    assert "1 answer<" in plot_latency({"one": [20]}).svg


@pytest.mark.parametrize("groups", [{}, {"none": []}])
def test_nothing_is_no_distribution(groups):
    with pytest.raises(LabError, match="There is nothing to draw"):
        plot_latency(groups)


@pytest.mark.parametrize(("answers", "rounds"), [([["v1", "v2", "v3"]], 1), ([["v1"], ["v1", "v3"], ["v2"]], 3), ([["v1"]] * 9, 6)])
def test_reviews_is_asked_until_all_have_answered_and_the_page_meanwhile(answers, rounds, monkeypatch):
    left = iter(answers)
    monkeypatch.setattr(slow.observe, "observe", lambda lab, service, n, parallel: pd.DataFrame({"version": next(left)}))
    monkeypatch.setattr(slow, "read", lambda lab, n, parallel: (n, parallel))
    there = [pod(f"reviews-{version}", app="reviews", version=version) for version in ("v1", "v2", "v3")]
    direct, read = slow.together(Cluster({POD: there}), 12, 5)
    assert list(direct["version"]) == sum(answers[:rounds], []) and read == (5, 5)


# The dial.


@pytest.fixture
def mesh(monkeypatch):
    """A mesh in which v3 gives up after 2.5 s, and which remembers what was applied to it."""
    applied = []
    monkeypatch.setattr(dial.apply, "write", lambda lab, documents, command: applied.extend(documents) or Outcome(command, [], proxies=9))
    answers = seen((4, 0.02, "v1", 200), (3, 2.72, "v2", 200), (4, 2.52, "v3", 200), (1, 6.1, None, 500))
    monkeypatch.setattr(dial.observe, "observe", lambda lab, service, n, path, parallel: answers)
    lab = Cluster({RULE: []})
    lab.applied = applied
    return lab


def test_the_dial_applies_the_chapters_own_rule_and_tells_whose_reviews_came_when(mesh):
    steps = list(dial.follow(mesh, 2.7))
    (rule,) = mesh.applied
    assert rule["metadata"]["name"] == "ratings"
    assert rule["spec"]["http"][0]["fault"]["delay"] == {"percentage": {"value": 100}, "fixedDelay": "2.7s"}
    assert [each.done for each in steps] == [0, 12] and {each.of for each in steps} == {12}
    told = "reviews by v1: 4 after 0.0 s; reviews by v2: 3 after 2.7 s; reviews by v3: 4 after 2.5 s; no reviews: 1 after 6.1 s."
    assert steps[-1].sentence == f"12 of 12 requests sent. {told}"
    assert all(len(each.picture._repr_html_()) < 4000 for each in steps)


def test_the_dial_sends_nothing_once_it_is_told_to_stop(mesh):
    assert [each.done for each in dial.follow(mesh, 4, lambda: True)] == [0]


def test_the_dial_leaves_somebody_elses_rule_alone(mesh):
    rule = {"kind": "VirtualService", "metadata": {"name": "mine"}, "spec": {"hosts": ["ratings.default.svc.cluster.local"]}}
    with pytest.raises(MeshError, match="VirtualService mine speaks for ratings, too"):
        next(dial.follow(Cluster({RULE: [rule]}), 1))
