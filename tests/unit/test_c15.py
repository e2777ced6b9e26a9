"""Chapter 15 without a mesh: what its checks make of right and wrong answers, and its dial of a mesh that is made up."""

import pandas as pd
import pytest

from lab_helpers.chapters.c15_fault_injection import checks, dial, readers
from lab_helpers.chapters.c15_fault_injection.checks import ABOVE, ASKED, BESIDE, FAULTS, POWER
from lab_helpers.core.errors import MeshError, TrafficError
from lab_helpers.core.statistics import power, required_n
from lab_helpers.istio.gateway import Page
from lab_helpers.kube.apply import Outcome
from lab_helpers.kube.kinds import Kind
from lab_helpers.show.checks import check
from lab_helpers.traffic import pages
from tests.objects import Cluster
from tests.wrong_answers import fails

RULE = Kind("networking.istio.io/v1", "VirtualService")


def seen(**numbers):
    """Requests by their status, such as s200=70."""
    return pd.DataFrame({"status": [int(name[1:]) for name, number in numbers.items() for _ in range(number)]})


def read(*rows):
    """Pages: version, what stands for the ratings, how many, and their status."""
    many = [(status, 30.0, version, ratings, True) for version, ratings, number, status in rows for _ in range(number)]
    return pd.DataFrame(many, columns=pages.COLUMNS)


def counted(*rows):
    return pd.DataFrame(rows, columns=["destination_service_name", "response_code", "response_flags", "requests"])


PAGES = read(("v1", "none", 50, 200), ("v2", "stars", 36, 200), ("v2", "unavailable", 14, 200), ("v3", "stars", 34, 200),
             ("v3", "unavailable", 16, 200))  # fmt: skip
TOLD = counted(("ratings", "200", "-", 70), ("ratings", "403", "FI", 30), ("details", "403", "-", 21))
HEARD = counted(("ratings", "200", "-", 70), ("details", "403", "-", 21))


@pytest.mark.parametrize(
    ("number", "state", "answers"),
    [
        ("15.1", [seen(s200=770, s403=330)], {}),
        ("15.2", [PAGES], {}),
        ("15.3", [TOLD, HEARD], {"answer": "FI"}),
        ("15.4", [TOLD, HEARD], {"answer": ("FI", "-")}),
        ("15.5", [seen(s200=210, s403=90), seen(s200=300)], {}),
        ("15.6", [seen(s200=200)], {"answer": 5}),
        ("15.7", [seen(s200=225, s503=225), seen(s200=395, s503=55)], {}),
    ],
)
def test_a_check_passes_on_the_right_answer(number, state, answers, capsys):
    check(number, *state, **answers)
    assert capsys.readouterr().out.startswith(f"✔ {number} ")


@pytest.mark.parametrize(
    ("number", "state", "answers", "sentence"),
    [
        ("15.1", [seen(s200=660, s403=440)], {}, r"of 1,100 requests, 40\.0 % were aborted, not 30 %"),
        ("15.1", [seen(s200=1100)], {}, r"0\.0 % were aborted"),
        ("15.1", [seen(s200=70, s403=30)], {}, "100 requests are too few to tell"),
        ("15.1", [seen(s200=770, s503=330)], {}, "330 requests got 503, which nobody asked for"),
        ("15.2", [read(("v1", "none", 50, 200), ("v2", "stars", 100, 200))], {}, r"100 pages .* 0\.0 % go without"),
        ("15.2", [read(("v2", "unavailable", 100, 200))], {}, r"100\.0 % go without"),
        ("15.2", [PAGES.assign(status=403)], {}, "150 of 150 pages have the status 403"),
        ("15.2", [read(("v1", "unavailable", 50, 200))], {}, "reviews by v1 shows unavailable"),
        ("15.2", [read(("v2", "none", 50, 200))], {}, "reviews by v2 shows neither stars nor an excuse"),
        ("15.2", [PAGES.head(80)], {}, "30 pages with reviews by v2 or v3 are too few"),
        ("15.3", [TOLD, HEARD], {"answer": "UH"}, "'UH' is not the flag"),
        ("15.3", [HEARD, HEARD], {"answer": "FI"}, "no client proxy has counted a 403 from ratings"),
        ("15.3", [TOLD, TOLD], {"answer": "FI"}, "the server proxy of ratings has counted 403s as well"),
        ("15.4", [TOLD, HEARD], {"answer": ("-", "FI")}, "the flags are not '-' and 'FI'"),
        ("15.4", [TOLD.head(2), HEARD], {"answer": ("FI", "-")}, "no 403 from details"),
        ("15.4", [TOLD.iloc[[0, 2]], HEARD], {"answer": ("FI", "-")}, "no 403 from ratings"),
        ("15.4", [TOLD, TOLD], {"answer": ("FI", "-")}, "have counted something else"),
        ("15.5", [seen(s200=210, s403=90), seen(s200=210, s403=90)], {}, "90 of 300 requests of the others got 403"),
        ("15.5", [seen(s200=300), seen(s200=300)], {}, r"0\.0 % were aborted"),
        ("15.5", [seen(s200=210, s403=90), seen(s404=300)], {}, "300 of 300 requests of the others got 404"),
        ("15.5", [seen(s200=210, s403=90), seen(s200=30)], {}, "30 requests of the others do not prove much"),
        ("15.6", [seen(s200=200)], {"answer": 500}, "does not abort 500 of 1,000"),
        ("15.6", [seen(s403=200)], {"answer": 5}, "200 of 200 requests got 403"),
        ("15.6", [seen(s200=20)], {"answer": 5}, "20 requests do not say much"),
        ("15.7", [seen(s200=395, s503=55), seen(s200=395, s503=55)], {}, r"beside the fault, 12\.2 % were aborted"),
        ("15.7", [seen(s200=225, s503=225), seen(s200=225, s503=225)], {}, r"one hop above, 50\.0 % were aborted"),
        ("15.7", [seen(s200=225, s503=225), seen(s200=338, s503=112)], {}, r"one hop above, 24\.9 % were aborted"),
    ],
)
def test_a_check_fails_on_a_wrong_answer_and_says_why(number, state, answers, sentence):
    fails(number, *state, sentence=sentence, **answers)


@pytest.mark.parametrize(
    ("number", "wanted"), [("15.1", ASKED), ("15.2", ASKED), ("15.5", ASKED), ("15.7", ABOVE), ("15.7", BESIDE)], ids=str
)
def test_a_check_accuses_a_right_mesh_once_in_a_hundred_thousand_runs_and_finds_the_fault_it_names(number, wanted):
    n = required_n(wanted, FAULTS[number], wanted_power=POWER)
    assert power(n, wanted, wanted) <= 1e-5 and power(n, wanted, FAULTS[number]) >= POWER


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([("v1", "none", 20, 200), ("v2", "stars", 20, 200), ("v3", "unavailable", 20, 200)], None),
        ([("v1", "none", 20, 200), ("v2", "stars", 20, 200), ("v3", "stars", 20, 200)], "20 of 20 pages with reviews by v3 show stars"),
        ([("v1", "none", 20, 200), ("v2", "unavailable", 20, 200), ("v3", "unavailable", 20, 200)], "by v2 show unavailable, not stars"),
        ([("v3", "unavailable", 60, 200)], "no page has reviews by v2"),
        ([("v3", "unavailable", 60, 500)], "60 of 60 pages have the status 500"),
    ],
)
def test_red_stars_for_nobody_and_black_ones_for_all(rows, sentence, monkeypatch, capsys):
    monkeypatch.setattr(pages, "read", lambda lab, n: read(*rows))
    if sentence:
        fails("15.8", Cluster({}), sentence=sentence)
    else:
        check("15.8", Cluster({}))
        assert capsys.readouterr().out.startswith("✔ 15.8")


# What is seen.


def test_outcomes_tell_what_was_aborted_from_what_went_wrong_otherwise():
    assert readers.outcomes(seen(s200=7, s403=3)) == {"answered": 7, "aborted": 3}
    assert readers.outcomes(seen(s200=7, s403=3), 503) == {"answered": 7, "aborted": 0, "403": 3}
    assert readers.outcomes(seen()) == {"answered": 0, "aborted": 0}


@pytest.mark.parametrize(
    ("text", "ratings"),
    [
        ('<div class="flex text-black-500"> <svg class="glyphicon-star"></svg>'.replace("> <svg", ">\n<svg"), "stars"),
        ('<p class="text-red-500">Ratings service is currently unavailable</p>', "unavailable"),
        ("<blockquote>An extremely entertaining play</blockquote>", "none"),
    ],
)
def test_a_page_shows_stars_an_excuse_or_nothing(text, ratings):
    assert pages.seen(Page("", 200, {}, text)) == (ratings, True)


def test_a_page_without_details_says_so():
    assert pages.seen(Page("", 200, {}, "Sorry, product details are currently unavailable for this book."))[1] is False
    assert pages.seen(Page("", 503, {}, "upstream connect error"))[1] is False


@pytest.mark.parametrize("asked", [{"n": 0}, {"n": 5000}, {"parallel": 0}, {"parallel": 40}])
def test_pages_are_asked_for_in_numbers_that_the_page_can_bear(asked):
    with pytest.raises(TrafficError, match="is out of range"):
        pages.read(None, **asked)


@pytest.mark.parametrize(
    ("answers", "let_through"), [([(32, 0), (32, 0)], 0), ([(20, 12), (32, 0), (31, 1), (32, 0), (32, 0), (32, 0)], 13)]
)
def test_a_policy_is_waited_for_until_nothing_is_let_through(answers, let_through, monkeypatch):
    left = iter(answers)

    def burst(lab, service, n, parallel):
        denied, passed = next(left)
        return seen(s403=denied, s200=passed)

    monkeypatch.setattr(readers.observe, "observe", burst)
    assert readers.until_denied(None, "details") == let_through and next(left, None) is None


# The dial.


@pytest.fixture
def mesh(monkeypatch):
    """A mesh that aborts every third request, and remembers what was applied to it."""
    applied = []
    monkeypatch.setattr(dial.apply, "write", lambda lab, documents, command: applied.extend(documents) or Outcome(command, [], proxies=9))
    monkeypatch.setattr(dial.observe, "observe", lambda lab, service, n, parallel: seen(s200=n - n // 3, s403=n // 3))
    lab = Cluster({RULE: []})
    lab.applied = applied
    return lab


def test_the_dial_applies_the_chapters_own_rule_and_tells_of_each_batch(mesh):
    steps = list(dial.follow(mesh, 30))
    assert [each.done for each in steps] == [0, 100, 200, 300, 400] and {each.of for each in steps} == {400}
    assert mesh.applied[0]["spec"]["http"][0]["fault"]["abort"] == {"percentage": {"value": 30}, "httpStatus": 403}
    assert steps[-1].sentence == "400 of 400 requests sent. 33% were aborted (99% interval 27 to 39 %); asked for 30 %."
    for each in steps:
        assert len(each.picture._repr_html_()) < 4000 and "30 %" in each.picture.caption


def test_the_dial_stops_when_it_is_told_to(mesh):
    assert [each.done for each in dial.follow(mesh, 60, lambda: True)] == [0]


def test_the_dial_leaves_somebody_elses_rule_alone(mesh):
    rule = {"kind": "VirtualService", "metadata": {"name": "mine"}, "spec": {"hosts": ["ratings"]}}
    mesh = Cluster({RULE: [rule]})
    with pytest.raises(MeshError, match="VirtualService mine speaks for ratings, too"):
        next(dial.follow(mesh, 30))


def test_the_checks_need_what_they_say():
    assert checks.PAGES == 60 and 2 * (2 / 3) ** checks.PAGES < 1e-10
