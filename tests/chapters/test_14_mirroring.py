"""Chapter 14: wrong answers and bad input, in its own run. (That it runs, and does what its record says, is in test_every_chapter.py.)"""

import pytest

from lab_helpers.core.errors import ManifestError
from tests.wrong_answers import before, fails

STEM = "14_mirroring"


def rule(folder, more: str, route: str = "{destination: {host: reviews, subset: v2}}") -> str:
    """A manifest for reviews: `route`, and `more` beside it."""
    path = folder / "reviews.yaml"
    spec = f"{{hosts: [reviews], http: [{{route: [{route}], {more}}}]}}"
    path.write_text(f"apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: reviews}}\nspec: {spec}\n")
    return str(path)


MIRROR = "mirror: {host: reviews, subset: v3}"


@before('"14.a"')
def nothing_is_mirrored_yet(calm, before):
    fails("14.1", calm, before, sentence="v2 got 200 and v3 got 0")


@before('lab.apply("14_mirroring/02-mirror.yaml")')
def what_istio_refuses_and_what_it_warns_of(lab, tmp_path):
    for more, sentence in {
        f"{MIRROR}, mirrorPercentage: {{value: 101}}": "max value of 100",
        f"{MIRROR}, mirrorPercentage: {{value: -1}}": "min value of 0",
        f"{MIRROR}, mirrorPercentage: {{value: many}}": "many|number|type",
        f"{MIRROR}, mirrors: [{{destination: {{host: reviews, subset: v3}}}}]": "mirror",
        "mirrors: [{percentage: {value: 50}}]": "destination",
    }.items():
        with pytest.raises(ManifestError, match=sentence):
            lab.apply(rule(tmp_path, more))
    for more, sentence in {
        f"{MIRROR}, mirrorPercent: 50": "mirrorPercent",
        "mirror: {host: review, subset: v3}": "IST0101",
        "mirror: {host: reviews, subset: v9}": "IST0101",
    }.items():
        done = lab.apply(rule(tmp_path, more))
        assert any(sentence in warning for change in done.changes for warning in change.warnings), (more, done)


@before('check("14.2"')
def a_window_without_requests(before, after):
    fails("14.2", before, before, 1, sentence="as often in both")
    fails("14.2", before, after, 4, sentence="1 for each of v2's before and 2 after")


@before('check("14.6"')
def without_the_broken_ones(calm, seen, sent):
    fails("14.6", calm, seen, sent.drop("v4"), sentence="0 copies have failed at v4")


@before('check("14.7"')
def other_rules(lab, tmp_path):
    lab.apply(rule(tmp_path, MIRROR))
    fails("14.7", lab, sentence="0 of 295 were copied")
    both = "mirrors: [{destination: {host: reviews, subset: v3}}, {destination: {host: reviews, subset: v1}, percentage: {value: 0.5}}]"
    lab.apply(rule(tmp_path, both))
    fails("14.7", lab, sentence=r"\d of 295 were copied")
    two = "{destination: {host: reviews, subset: v2}, weight: 50}, {destination: {host: reviews, subset: v3}, weight: 50}"
    lab.apply(rule(tmp_path, "timeout: 5s", two))
    fails("14.7", lab, sentence="v3 answered")
    lab.apply("my/14-two-mirrors.yaml")
