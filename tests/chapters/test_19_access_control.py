"""Chapter 19 on the live mesh: wrong answers in its own run, and what a broken-off one leaves. (That it runs: test_every_chapter.py.)"""

import pytest
import yaml

from lab_helpers.core.errors import ManifestError
from lab_helpers.istio import configuration
from tests.wrong_answers import before, fails

STEM = "19_access_control"


def policy(folder, *rules, selector=None, **spec) -> str:
    """A manifest of the policy that the exercise is about."""
    path = folder / "policy.yaml"
    spec = {"selector": {"matchLabels": selector or {"app": "productpage"}}, **({"rules": list(rules)} if rules else {}), **spec}
    document = {
        "apiVersion": "security.istio.io/v1",
        "kind": "AuthorizationPolicy",
        "metadata": {"name": "allow-productpage"},
        "spec": spec,
    }
    path.write_text(yaml.safe_dump(document))
    return str(path)


def to(methods, *paths) -> dict:
    return {"to": [{"operation": {"methods": methods, **({"paths": list(paths)} if paths else {})}}]}


@before('lab.apply("19_access_control/01-allow-nothing.yaml")')
def nothing_is_closed_yet(lab):
    fails("19.2", lab, ["GET /productpage", "GET /login"], answer={"GET /login"}, sentence="none of them is answered 403")


@before('lab.apply("19_access_control/01-allow-nothing.yaml")')
def what_is_no_policy_is_refused(lab, tmp_path):
    for spec, sentence in (
        ({"action": "REFUSE"}, "REFUSE"),
        ({"rules": [{"to": [{"operation": {}}]}]}, "`to.operation` must not be empty"),
        ({"rules": [{"to": [{"operation": {"method": ["GET"]}}]}]}, "there is no field method"),
        ({"rules": [{"from": [{"source": {"ipBlocks": ["everywhere"]}}]}]}, "everywhere"),
    ):
        with pytest.raises(ManifestError, match=sentence) as refused:
            lab.apply(policy(tmp_path, **spec))
        assert refused.value.do


@before('check("19.1"')
def everything_is_closed(lab, heard):
    fails("19.1", heard, "istio-ingressgateway", sentence="istio-ingressgateway has counted no request")
    fails("19.2", lab, ["GET /productpage"], answer={"GET /productpage"}, sentence="all of them are answered 403")
    fails("19.3", lab, sentence="40 of 40 pages have the status 403")
    fails("19.8", lab, sentence="a reader's GET /productpage is answered 403")


@before('check("19.2"')
def other_requests(lab, wanted, answer):
    fails("19.2", lab, wanted, answer={*answer, "POST /login"}, sentence="POST /login comes through: 302")
    fails("19.2", lab, wanted, answer={"GET /login"}, sentence="GET /api/v1/products/0 is turned away: 403")
    fails("19.2", lab, wanted, answer="/login", sentence="'/login' is not among the questions")
    fails("19.3", lab, sentence="what details gives is missing on pages")


@before('lab.apply("my/allow-readers.yaml")')
def lists_that_are_too_short_and_too_long(lab, tmp_path):
    pages, login = ["/productpage", "/static/*", "/logout", "/api/v1/products", "/api/v1/products/*"], to(["POST"], "/login")
    for rules, sentence in (
        ((to(["GET"], *pages), login), "a reader's HEAD /productpage is answered 403"),
        ((to(["GET", "HEAD", "POST"], *pages, "/login"),), "POST /productpage, asked by a reader, is answered 405, not 403"),
        ((to(["GET", "HEAD"]), login), "GET /login, asked by a reader, is answered 405, not 403"),
    ):
        lab.apply(policy(tmp_path, *rules))
        fails("19.8", lab, sentence=sentence)


@pytest.mark.lab
def test_what_a_broken_off_chapter_leaves_is_gone_with_the_next_checkpoint(lab):
    lab.checkpoint(STEM)
    lab.apply(f"{STEM}/01-allow-nothing.yaml", f"{STEM}/02-fresh-connections.yaml", f"{STEM}/12-tried.yaml")
    lab.checkpoint("12_traffic_shifting")
    left = [each["metadata"]["name"] for kind in configuration.kinds(lab) for each in lab.client.list(kind)]
    assert sorted(left) == ["bookinfo", "bookinfo-gateway"]
    assert lab.page().status == 200
