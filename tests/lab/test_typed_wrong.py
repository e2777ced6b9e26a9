"""What a learner may type wrong in a manifest: applied where Kubernetes would, else a sentence with the line; warnings are passed on."""

import re

import pytest

from lab_helpers.core.errors import ManifestError
from lab_helpers.lab import checkpoint, connect
from tests.live import NAMESPACE

pytestmark = pytest.mark.lab
HEAD = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata:\n  name: reviews\n"
ROUTE = "spec:\n  hosts: [reviews]\n  http:\n  - route:\n    - destination: {host: reviews}\n"
FAULT = "spec:\n  hosts: [reviews]\n  http:\n  - route: [{destination: {host: reviews}}]\n    fault:\n      "


@pytest.fixture(scope="module")
def lab():
    found = connect(quiet=True, namespace=NAMESPACE)
    checkpoint.reach(found, "an empty namespace", [])
    return found


@pytest.mark.parametrize(
    ("text", "what", "do"),
    [
        (HEAD + ROUTE + "      weigth: 10\n", "line 10: there is no field weigth in spec.http.0..route.0.", "Did you mean weight"),
        (HEAD + FAULT + "abort: {percent: 30, httpStatus: 403}\n", "line 10: there is no field percent", "Did you mean percentage"),
        (HEAD + "spec:\n  hosts: reviews\n", "line 6: spec.hosts is something else", "is a list"),
        (HEAD + ROUTE + "    timeout: 5\n", "line 10: spec.http.0..timeout is something else", "in quotes.*as in 2s"),
        (HEAD + "spec:\n  hosts: [reviews]\nhttp: []\n", "line 7: there is no field http in the object itself", "belongs to spec"),
        (HEAD + "spec:\n\thosts: [reviews]\n", "line 6, column 1.*a tab: indent with spaces", "Correct that line"),
        (HEAD + "spec:\n  hosts: [reviews]\n   http: []\n", "line 7, column", "Correct that line"),
        (HEAD.replace("/v1", "/v1alpha1") + ROUTE, "knows no VirtualService in networking.istio.io/v1alpha1", "networking.istio.io/v1 "),
        (HEAD.replace("Service", "Servce") + ROUTE, "knows no VirtualServce", "Did you mean VirtualService"),
        ("apiVersion: extensions/v1beta1\nkind: Deployment\nmetadata: {name: x}\n", "knows no Deployment", "Deployment is in apps/v1"),
        ("# nothing\n---\n", "holds no object", "at least one"),
    ],
)
def test_a_mistake_is_refused_with_its_line_and_what_was_meant(lab, tmp_path, text, what, do):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    for try_it in (lab.diff, lab.apply):
        with pytest.raises(ManifestError, match=what) as caught:
            try_it(path)
        assert re.search(do, caught.value.do), caught.value.do


@pytest.mark.parametrize(
    "text",
    [
        (HEAD + ROUTE).replace("\n", "\r\n"),
        "\ufeff" + HEAD + ROUTE,
        HEAD.replace("/v1", "/v1alpha3") + ROUTE,
        HEAD + ROUTE + "---\n" + (HEAD + ROUTE).replace("reviews", "details"),
        "apiVersion: v1\nkind: List\nitems:\n- " + (HEAD + ROUTE).replace("\n", "\n  "),
    ],
    ids=["CRLF", "a BOM", "an old apiVersion", "two documents", "a List"],
)
def test_what_kubernetes_takes_is_applied(lab, tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_bytes(text.encode())
    assert {each.action for each in lab.apply(path).changes} == {"created"}
    assert {each.action for each in lab.delete(path).changes} == {"deleted"}


def test_what_is_taken_with_a_warning_says_it(lab, tmp_path):
    path = tmp_path / "mine.yaml"
    last = "  - match: [{uri: {exact: /x}}]\n    route: [{destination: {host: reviews, subset: nobody}}]\n"
    path.write_text(HEAD + ROUTE + last)
    try:
        done = lab.apply(path)
        (change,) = done.changes
        assert any("rule #1 not used" in each for each in change.warnings), "the webhook's"
        assert any("IST0101" in each and "reviews+nobody" in each for each in change.warnings), "the analyzers'"
        assert "warning: " in str(done) and done.proxies, "and it is in effect"
    finally:
        lab.delete(path)
