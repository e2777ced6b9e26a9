"""Chapter 21: wrong answers, in its own run. (That it runs, and does what its record says, is in test_every_chapter.py.)"""

import pytest

from lab_helpers.chapters.c21_jwt import apply_with, ask, ask_each, key_set, keys_of, mint, new_file, publish, refusal
from lab_helpers.chapters.c21_jwt.minting import ISSUER, new_key
from lab_helpers.core.errors import ManifestError
from lab_helpers.istio import istiod
from tests.wrong_answers import before, fails

STEM = "21_jwt"
ANYBODY = {"key": "request.auth.claims[iss]", "values": [ISSUER]}


def policy(lab, tmp_path, *rules):
    """Apply the policy of the exercise with other rules, each of methods and conditions."""
    file = tmp_path / "policy.yaml"
    head = "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: productpage}\n"
    written = [{"to": [{"operation": {"methods": methods}}], "when": list(when)} for methods, *when in rules]
    file.write_text(f"{head}spec:\n  selector: {{matchLabels: {{app: productpage}}}}\n  action: ALLOW\n  rules: {written}\n")
    lab.apply(file)


def authentication(lab, tmp_path, source):
    """Apply a RequestAuthentication for productpage, with its keys from `source`."""
    file = tmp_path / "authentication.yaml"
    head = "apiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: {name: productpage}\n"
    file.write_text(f"{head}spec:\n  selector: {{matchLabels: {{app: productpage}}}}\n  jwtRules: [{{issuer: {ISSUER!r}, {source}}}]\n")
    return lab.apply(file)


@before('apply_with(lab, "21_jwt/02-authentication.yaml", jwks)')
def nothing_looks_at_tokens_yet(lab, token):
    seen = ask_each(lab, {"no token": None, "as it should be": token, "spoilt": f"a-cup{token}"})
    fails("21.2", seen, sentence="the spoilt token is answered 200")


@before('check("21.2"')
def keys_of_somebody_else(lab, jwks, token, tmp_path):
    apply_with(lab, f"{STEM}/02-authentication.yaml", key_set(new_key("one")))
    seen = ask_each(lab, {"no token": None, "as it should be": token, "spoilt": f"a-cup{token}"})
    fails("21.2", seen, sentence="the good token is answered 401")
    with pytest.raises(ManifestError, match="jwks parse error"):
        authentication(lab, tmp_path, "jwks: '{}'")


@before('publish(lab, text, f"broken-{file}")')
def an_address_that_does_not_answer_is_told(lab, tmp_path):
    """Also of a rule of the learner's own; the rule is taken, and every token is refused by it."""
    address = f"http://keys.{lab.namespace}.svc.cluster.local:9999/{new_file()}"
    (change,) = authentication(lab, tmp_path, f"jwksUri: {address}").changes
    assert any(address in each and "is refused" in each for each in change.warnings)


@before('check("21.10"')
def other_policies(lab, one, tmp_path):
    role = {"key": "request.auth.claims[realm_access][roles]", "values": ["librarian"]}
    policy(lab, tmp_path, (["GET"], ANYBODY))
    fails("21.10", lab, one, sentence="a librarian may not POST /login: 403")
    policy(lab, tmp_path, (["GET", "POST"], ANYBODY, role))
    fails("21.10", lab, one, sentence="a reader may not GET /productpage: 403")
    policy(lab, tmp_path, (["GET"], ANYBODY), (["POST"], {**role, "key": "request.auth.claims[roles]"}))
    fails("21.10", lab, one, sentence="a librarian may not POST /login: 403")
    policy(lab, tmp_path, (["GET", "POST"], ANYBODY))
    fails("21.10", lab, one, sentence="a reader may POST /login")


@pytest.mark.lab
def test_what_a_broken_off_chapter_leaves_is_gone_with_the_next_checkpoint(lab):
    """Also a rule that the proxy has refused, and that keeps every later one from it."""
    lab.checkpoint(STEM)
    one, file = new_key("one"), new_file()
    apply_with(lab, f"{STEM}/02-authentication.yaml", key_set(one))
    publish(lab, "<html>", file)
    assert "Jwks is an invalid JSON" in refusal(lab, lambda: apply_with(lab, f"{STEM}/11-by-uri.yaml", FILE=file))
    lab.checkpoint("12_traffic_shifting")
    assert not [why for each in istiod.proxies(lab.client) if each.namespace == lab.namespace for why in each.refused]
    assert lab.page().status == 200
    lab.checkpoint(STEM)
    assert keys_of(lab) == {} and ask(lab, mint(one)).status == 200
