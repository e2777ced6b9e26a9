"""Chapter 15 on the live mesh: wrong answers in its own run, and numbers that cannot be. (That it runs is in test_every_chapter.py.)"""

import pytest

from lab_helpers.chapters.c15_fault_injection import log_in, outcomes
from lab_helpers.core.errors import ManifestError
from tests.wrong_answers import before, fails

HEAD = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: ratings}\n"


def rule(folder, fault: str, match: str = "") -> str:
    """A manifest for ratings with a fault, for whom `match` says."""
    path = folder / "ratings.yaml"
    route = "route: [{destination: {host: ratings}}]"
    path.write_text(f"{HEAD}spec: {{hosts: [ratings], http: [{{{match}fault: {{{fault}}}, {route}}}, {{{route}}}]}}\n")
    return str(path)


@before('lab.apply("15_fault_injection/01-forbidden.yaml")')
def numbers_that_cannot_be_are_refused(lab, tmp_path):
    for fault, sentence in (
        ("abort: {percentage: {value: 130}, httpStatus: 403}", r"percentage 130 is neither 0\.0, nor in range \[0\.0001, 100\.0\]"),
        ("abort: {percentage: {value: -1}, httpStatus: 403}", "percentage -1 is neither"),
        ("abort: {percentage: {value: 30}, httpStatus: 700}", "HTTP status 700 is not in range 200-599"),
        ("abort: {percent: 30, httpStatus: 403}", "percent"),
    ):
        with pytest.raises(ManifestError, match=sentence) as refused:
            lab.apply(rule(tmp_path, fault))
        assert refused.value.do


@before('lab.apply("15_fault_injection/01-forbidden.yaml")')
def nothing_is_aborted_yet(lab):
    fails("15.1", lab.observe("ratings", n=1100, parallel=16), sentence=r"0\.0 % were aborted, not 30 %")
    fails("15.8", lab, sentence="pages with reviews by v3 show stars, not unavailable")


@before('lab.apply("15_fault_injection/03-only-testing-user.yaml")')
def a_fault_for_everybody(lab):
    lab.apply("15_fault_injection/01-forbidden.yaml")
    others = lab.observe("ratings", n=300, parallel=16)
    fails("15.5", others, others, sentence="requests of the others got 403")
    fails("15.8", lab, sentence="show (stars|unavailable), not")


@before("stranger = pages(lab")
def a_session_is_begun_for_whoever_asks(lab):
    one, another = log_in(lab, "testing-user"), log_in(lab, "quentin")
    assert one["cookie"].startswith("session=") and one != another


@before('lab.apply("my/no-red-stars.yaml")')
def a_fault_for_the_wrong_callers(lab, tmp_path):
    all_of_v2 = rule(
        tmp_path, "abort: {percentage: {value: 100}, httpStatus: 500}", "match: [{sourceLabels: {app: reviews, version: v2}}], "
    )
    lab.apply(all_of_v2)
    fails("15.8", lab, sentence="pages with reviews by v2 show unavailable, not stars")
    some_of_v3 = rule(tmp_path, "abort: {percentage: {value: 30}, httpStatus: 500}", "match: [{sourceLabels: {version: v3}}], ")
    lab.apply(some_of_v3)
    fails("15.8", lab, sentence="pages with reviews by v3 show stars, not unavailable")
    assert outcomes(lab.observe("ratings", n=50))["aborted"] == 0
