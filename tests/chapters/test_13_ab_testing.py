"""Chapter 13: wrong answers and bad input, in its own run. (That it runs, and does what its record says, is in test_every_chapter.py.)"""

import pytest

from lab_helpers.chapters.c13_ab_testing import logged_in, newcomers, who_got_what
from lab_helpers.core.errors import ManifestError
from lab_helpers.show.checks import check
from tests.wrong_answers import before, fails

STEM = "13_ab_testing"


def rule(folder, match: str) -> str:
    """A manifest for reviews: v3 where `match` holds, v2 elsewhere."""
    path = folder / "reviews.yaml"
    routes = [f"{{match: [{match}], route: [{{destination: {{host: reviews, subset: v3}}}}]}}"] if match else []
    routes += ["{route: [{destination: {host: reviews, subset: v2}}]}"]
    spec = f"{{hosts: [reviews], http: [{', '.join(routes)}]}}"
    path.write_text(f"apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: reviews}}\nspec: {spec}\n")
    return str(path)


def cookie(condition: str) -> str:
    return f"{{headers: {{cookie: {{{condition}}}}}}}"


@before('lab.apply("13_ab_testing/01-quentin.yaml")')
def nobody_has_made_a_rule(nobody, quentin, alice):
    fails("13.1", who_got_what({"nobody": nobody, "quentin": quentin, "alice": alice}), sentence="nobody got v1, v2, v3|got v")


@before('check("13.1"')
def quentin_has_not_logged_in(lab, nobody, alice):
    fails("13.1", who_got_what({"nobody": nobody, "alice": alice}), sentence="nobody is logged in as quentin")


@before('"13.b"')
def the_name_is_taken_as_it_is_written(lab, tmp_path, nobody, alice):
    """The value of a header is told apart by case; the name of one is not."""
    lab.apply(rule(tmp_path, "{headers: {end-user: {exact: Quentin}}}"))
    both = {"nobody": nobody, "alice": alice}
    fails("13.1", who_got_what({**both, **logged_in(lab, ["quentin"], {"desk": "Mozilla"})}), sentence="quentin, desk got v2")
    lab.apply(rule(tmp_path, "{headers: {End-User: {exact: quentin}}}"))
    assert set(lab.observe("reviews", n=12, headers={"end-user": "quentin"}).version) == {"v3"}
    lab.apply(f"{STEM}/01-quentin.yaml")


@before('lab.apply("13_ab_testing/02-phones.yaml")')
def a_pattern_that_does_not_compile_is_refused(lab, tmp_path, straight):
    for pattern in ("*Mobile*", "(?=Mobile)", "[Mobile"):
        with pytest.raises(ManifestError, match="regex|regexp|missing|invalid"):
            lab.apply(rule(tmp_path, f"{{headers: {{user-agent: {{regex: '{pattern}'}}}}}}"))
    fails("13.3", straight, straight, sentence="a browser at a desk got v3")


@before('check("13.5"')
def groups_by_lot_change(lab):
    lab.apply(f"{STEM}/05-hash.yaml")
    fails("13.5", newcomers(lab), sentence="of 20 visitors changed version")
    lab.apply(f"{STEM}/06-groups.yaml")


@before('check("13.6"')
def patterns_that_take_too_much_or_too_little(lab, tmp_path):
    for condition, sentence in {
        "exact: group=b": "with cookie: group=b; session=x, v2 answered, and v3 should",
        "prefix: group=b": "with cookie: session=x; group=b, v2 answered",
        "regex: group=b": "with cookie: group=b; session=x, v2 answered",
        "regex: .*group=b.*": "with cookie: group=bb, v3 answered, and v2 should",
        "regex: '.*group=b(;.*)?'": "with cookie: subgroup=b, v3 answered",
    }.items():
        done = lab.apply(rule(tmp_path, cookie(condition)))
        assert not any(change.warnings for change in done.changes), "Istio has learned to warn of it: the chapter says that it does not"
        fails("13.6", lab, sentence=sentence)
    lab.apply(rule(tmp_path, cookie("regex: '^(.*;\\s*)?group=b(;.*)?$'")))  # with what changes nothing
    check("13.6", lab)


@before('lab.apply("13_ab_testing/07-only-productpage.yaml")')
def no_policy_yet(lab, quentin):
    lab.apply(f"{STEM}/01-quentin.yaml")
    forged = lab.observe("reviews", n=12, headers={"end-user": "quentin"})
    fails("13.7", forged, forged, who_got_what({"quentin": quentin}), sentence="with a forged header, the statuses are 200")
