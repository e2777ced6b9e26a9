"""Chapter 16 on the live mesh: wrong answers in its own run, and delays that cannot be. (That it runs is in test_every_chapter.py.)"""

import pytest

from lab_helpers.chapters.c16_delay_injection import pages
from lab_helpers.core.errors import ManifestError
from tests.wrong_answers import before, fails


def rule(folder, service: str, delay: str) -> str:
    """A manifest for a service with a delay."""
    path = folder / f"{service}.yaml"
    spec = f"{{hosts: [{service}], http: [{{fault: {{delay: {{{delay}}}}}, route: [{{destination: {{host: {service}}}}}]}}]}}"
    path.write_text(f"apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {service}}}\nspec: {spec}\n")
    return str(path)


@before('lab.apply("16_delay_injection/01-seven-seconds.yaml")')
def delays_that_cannot_be_are_refused(lab, tmp_path):
    for delay, sentence in (
        ("percentage: {value: 50}, fixedDelay: -1s", "must be a valid duration greater than 1ms"),
        ("percentage: {value: 50}, fixedDelay: 0.5ms", "must be a valid duration greater than 1ms"),
        ("percentage: {value: 50}, fixedDelay: soon", "duration"),
        ("percentage: {value: 101}, fixedDelay: 1s", r"percentage 101 is neither 0\.0, nor in range"),
        ("percentage: {value: 50}, exponentialDelay: 1s", "exponentialDelay not supported yet"),
    ):
        with pytest.raises(ManifestError, match=sentence) as refused:
            lab.apply(rule(tmp_path, "details", delay))
        assert refused.value.do


@before('lab.apply("16_delay_injection/01-seven-seconds.yaml")')
def nobody_checks_the_old_field(lab, tmp_path):
    for percent in (150, -5):
        told = lab.apply(rule(tmp_path, "details", f"percent: {percent}, fixedDelay: 1s"))
        assert ("IST0002" in str(told)) is (percent > 0)
        assert (lab.observe("details", n=20, parallel=20)["latency_ms"] >= 1000).all()
    lab.delete(rule(tmp_path, "details", "percent: -5, fixedDelay: 1s"))


@before('lab.apply("16_delay_injection/01-seven-seconds.yaml")')
def nobody_is_slow_yet(lab):
    read = pages(lab, n=40, parallel=10)
    fails("16.1", read, sentence="0 of 40 pages were late, and 50 % should be")
    fails("16.2", read, sentence="0 of 40 pages were late, and 50 % should be")
    fails("16.3", lab.observe("details", n=100, parallel=5), 20, sentence="0 of 100 requests were late")
    fails("16.6", lab, sentence="pages with reviews by v3 show stars, not unavailable")


@before('lab.apply("16_delay_injection/02-two-seconds.yaml")')
def seven_seconds_are_not_two(read):
    fails("16.2", read, sentence="pages have no details")


@before('lab.apply("16_delay_injection/06-timeout-beside.yaml")')
def other_clocks(direct, read):
    fails("16.4", direct, read, {"v2": 2.5, "v3": 10, "productpage": 3}, sentence="v2 does not give up after 2.5 s")
    fails("16.4", direct, read, {"v2": 10, "v3": 2.5, "productpage": 6}, sentence="productpage does not give up after 6 s")
    fails("16.4", direct, read, {"v2": ..., "v3": ..., "productpage": ...}, sentence="your answer for v2 is missing")


@before('check("16.5"')
def timeouts_elsewhere(beside, above, page):
    fails("16.5", above, above, page, sentence="beside the delay, not every call was answered 200")
    fails("16.5", beside, beside.assign(version="v2"), page, sentence="no call was cut short")
    fails("16.5", beside, above, page[page.version.notna()], sentence="did not take two timeouts")


@before('lab.apply("my/one-of-two.yaml")')
def a_delay_that_v3_can_bear_and_one_that_the_page_cannot(lab, tmp_path):
    lab.apply(rule(tmp_path, "ratings", "percentage: {value: 100}, fixedDelay: 2s"))
    fails("16.6", lab, sentence="pages with reviews by v3 show stars, not unavailable")
    lab.apply(rule(tmp_path, "reviews", "percentage: {value: 100}, fixedDelay: 3.5s"))
    fails("16.6", lab, sentence="32 of 32 pages have lost their reviews")
    lab.delete(rule(tmp_path, "reviews", "percentage: {value: 100}, fixedDelay: 3.5s"))
