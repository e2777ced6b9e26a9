"""Chapter 09: wrong answers, in its own run. (That it runs, and does what its record says, is in test_every_chapter.py.)"""

import re

import pytest

from lab_helpers.core.errors import ManifestError
from tests.wrong_answers import before, fails

STEM = "09_virtual_service"


def rule(folder, host, http, name=None):
    """A VirtualService for `host` in a file."""
    path = folder / f"{name or host}.yaml"
    head = f"apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {name or host}}}\n"
    path.write_text(f"{head}spec:\n  hosts: [{host}]\n  http: {http}\n")
    return str(path)


@before('lab.apply("09_virtual_service/02-productpage.yaml")')
def nothing_is_closed_yet(lab):
    fails("09.2", lab, sentence="/ is answered 200 for client")


@before('check("09.2"')
def everything_is_let_through_or_nothing(lab, tmp_path):
    all_ = rule(tmp_path, "productpage", "[{route: [{destination: {host: productpage}}]}]")
    lab.apply(all_)
    fails("09.2", lab, sentence="/ is answered 200 for client")
    lab.apply(rule(tmp_path, "productpage", "[{match: [{uri: {exact: /}}], directResponse: {status: 404}}]"))
    fails("09.2", lab, sentence="/productpage is answered 404")
    lab.apply(f"{STEM}/02-productpage.yaml")


@before('lab.apply("09_virtual_service/04-without-header.yaml")')
def the_header_is_there(lab):
    fails("09.3", lab, sentence="still has x-envoy-upstream-service-time")


@before('lab.apply("09_virtual_service/05-httpbin.yaml")')
def what_istio_refuses_and_what_it_takes_with_a_warning(lab, tmp_path):
    with pytest.raises(ManifestError, match="regex"):
        lab.apply(rule(tmp_path, "ratings", '[{match: [{uri: {regex: "/(a"}}], route: [{destination: {host: ratings}}]}]'))
    with pytest.raises(ManifestError, match="weight"):
        lab.apply(rule(tmp_path, "ratings", "[{route: [{destination: {host: ratings}, weight: many}]}]"))
    one = rule(tmp_path, "ratings", "[{route: [{destination: {host: nobody}}]}]")
    done = lab.apply(one)
    assert any(re.search("nobody.*IST0101", each) for change in done.changes for each in change.warnings), done
    two = rule(tmp_path, "ratings", "[{route: [{destination: {host: ratings}}]}]", "other")
    done = lab.apply(two)
    assert any("IST0109" in each for change in done.changes for each in change.warnings), done
    lab.delete(one, two)


@before('lab.apply("09_virtual_service/13-shop-mended.yaml")')
def the_shop_is_still_wrong(lab):
    fails("09.7", lab, sentence="httpbin heard //get")


@before('lab.apply("my/payments.yaml")')
def contracts_that_are_not_kept(lab, tmp_path):
    to, gone = "route: [{destination: {host: httpbin}}]", "headers: {response: {remove: [x-envoy-upstream-service-time]}}"
    pay = f"match: [{{uri: {{prefix: /pay/}}}}], rewrite: {{uri: /status/}}, timeout: 1s, {gone}, {to}"
    again, never = 'retries: {attempts: 1, retryOn: "503"}', "retries: {attempts: 0}"
    for http, sentence in {
        f"[{{{pay}, {again}}}, {{{to}, {again}}}]": "one payment came to httpbin 2 times",
        f"[{{{pay}, {never}}}, {{{to}}}]": "comes to httpbin 1 times, not twice",
        f"[{{{pay}, {never}}}, {{{to}, {again}}}]": r"/delay/2 ends after 2\.\d s with 200",
        f"[{{{pay}, {never}}}, {{{to}, {again}, timeout: 1s}}]": "an answer still has",
    }.items():
        lab.apply(rule(tmp_path, "httpbin", http))
        fails("09.9", lab, sentence=sentence)
