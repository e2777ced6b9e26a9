"""Who may ask whom for what, under the policies of chapters 19 and 20: every cell of a matrix; and what is said of rules in passing."""

import itertools
import json

import pytest
import yaml

from lab_helpers.chapters.c19_access_control.asking import OUTSIDE, ask
from lab_helpers.istio import converge
from lab_helpers.kube.kinds import POD
from lab_helpers.lab import checkpoint, connect
from lab_helpers.lab.chapters import BOOKINFO, CLIENTS
from tests.live import NAMESPACE

pytestmark = pytest.mark.lab
CALLERS = ("productpage", "reviews", "ratings", "client")
METHODS = ("GET", "POST")
# Of each service: what the page asks it for, what else it answers, and the first once more, in another spelling.
PATHS = {
    "productpage": ("/productpage", "/login", "//productpage"),
    "details": ("/details/0", "/health", "//details/0"),
    "reviews": ("/reviews/0", "/health", "//reviews/0"),
    "ratings": ("/ratings/0", "/health", "//ratings/0"),
}
CELLS = [(*cell, path) for cell in itertools.product(CALLERS, PATHS, METHODS) for path in PATHS[cell[1]]]
FRESH = "19_access_control/02-fresh-connections.yaml"  # no connection lives by the rules of a policy before
OF_19 = [f"19_access_control/{name}.yaml" for name in ("01-allow-nothing", "03-allow-productpage", "04-allow-the-rest")]
OF_20 = [f"20_service_accounts/{name}.yaml" for name in ("01-closed", "02-details", "03-reviews", "04-ratings")]
# What is said in prose, and not read from a manifest: of each service the requests that are let in; by chapter 20 also from whom.
LET_IN = {
    "productpage": {("GET", "/productpage"), ("POST", "/login")},
    "details": {("GET", "/details/0")},
    "reviews": {("GET", "/reviews/0")},
    "ratings": {("GET", "/ratings/0")},
}
FROM = {"productpage": set(CALLERS), "details": {"productpage"}, "reviews": {"productpage"}, "ratings": {"reviews"}}


@pytest.fixture(scope="module")
def lab():
    found = connect(quiet=True, namespace=NAMESPACE)
    checkpoint.reach(found, "Bookinfo, and two who ask", (*CLIENTS, *BOOKINFO))
    found.apply(FRESH)
    yield found
    found.delete(FRESH)


@pytest.mark.parametrize(("manifests", "whoever"), [(OF_19, True), (OF_20, False)], ids=["chapter 19", "chapter 20"])
def test_every_caller_gets_from_every_service_what_the_policies_say_and_nothing_else(lab, manifests, whoever):
    lab.apply(*manifests)
    try:
        seen = {}
        for caller in CALLERS:
            own = [(service, method, path) for who, service, method, path in CELLS if who == caller]
            statuses = ask(lab, caller, *(f"{method} http://{service}:9080{path}" for service, method, path in own)).status
            seen |= {(caller, *each): status for each, status in zip(own, statuses, strict=True)}
    finally:
        lab.delete(*manifests)
    assert len(seen) == 96 and 0 not in seen.values()
    expected = {
        (caller, service, method, path): (method, path) in LET_IN[service] and (whoever or caller in FROM[service])
        for caller, service, method, path in CELLS
    }
    assert {cell: status != 403 for cell, status in seen.items()} == expected


def rule(tmp_path, app: str = "", rules: list | None = None, **spec) -> str:
    """A policy for a service, or for all of them."""
    document = {"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy", "metadata": {"name": "mine"}}
    document["spec"] = {**({"selector": {"matchLabels": {"app": app}}} if app else {}), **({"rules": rules} if rules else {}), **spec}
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(document))
    return str(path)


def test_hosts_are_compared_as_they_come_with_their_port(lab, tmp_path):
    asked = ("GET http://details:9080/details/0", f"GET http://details.{NAMESPACE}:9080/details/0")
    for host, statuses in (("details", [403, 403]), ("details:9080", [200, 403]), ("details*", [200, 200])):
        mine = rule(tmp_path, "details", [{"to": [{"operation": {"hosts": [host]}}]}])
        lab.apply(mine)
        assert ask(lab, "client", *asked).status.tolist() == statuses, host
    lab.delete(mine)


def test_a_list_that_is_empty_lets_everybody_in(lab, tmp_path):
    mine = rule(tmp_path, "details", [{"from": []}])
    lab.apply(mine)
    assert ask(lab, "client", "POST http://details:9080/health").status.iloc[0] == 200
    lab.delete(mine)


def test_behind_the_gateway_everybody_has_the_gateways_address(lab, tmp_path):
    gateway = next(each["status"]["podIP"] for each in lab.client.list(POD, "istio-system", {"istio": "ingressgateway"}))
    mine = rule(tmp_path, "productpage", [{"from": [{"source": {"ipBlocks": [gateway]}}]}])
    lab.apply(mine)
    seen = (
        ask(lab, OUTSIDE, "GET /productpage").status.tolist()
        + ask(lab, "client", "GET http://productpage:9080/productpage").status.tolist()
    )
    lab.delete(mine)
    assert seen == [200, 403]


STREAM = """
apiVersion: v1
kind: Service
metadata: {name: stream, labels: {app: stream}}
spec: {selector: {app: stream}, ports: [{name: tcp-stream, port: 9080}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: stream, labels: {app: stream}}
spec:
  selector: {matchLabels: {app: stream}}
  template:
    metadata: {labels: {app: stream}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: stream, image: IMAGE, imagePullPolicy: IfNotPresent}]
"""


def test_on_a_port_that_is_not_http_an_allow_by_method_never_matches_and_a_deny_by_path_always_does(lab, tmp_path):
    """The same program as details, at a port of which the mesh is told that it carries bytes."""
    image = next(each for each in lab.client.list(POD, labels={"app": "details"}))["spec"]["containers"]
    stream = tmp_path / "stream.yaml"
    stream.write_text(STREAM.replace("IMAGE", next(each["image"] for each in image if each["name"] == "details")))
    lab.apply(stream)
    cases = {
        ("ALLOW", "methods"): 0, ("ALLOW", "ports"): 200, ("DENY", "paths"): 0, ("DENY", "paths, another port"): 200,
    }  # fmt: skip
    values = {"methods": {"methods": ["GET"]}, "ports": {"ports": ["9080"]}, "paths": {"paths": ["/other"]}}
    values["paths, another port"] = {**values["paths"], "ports": ["1"]}
    seen = {}
    for action, what in cases:
        mine = rule(tmp_path, "stream", [{"to": [{"operation": values[what]}]}], action=action)
        lab.apply(mine)
        (seen[action, what],) = ask(lab, "client", "GET http://stream:9080/details/0").status
    lab.delete(mine, stream)
    assert seen == cases


def test_a_policy_that_selects_nothing_and_one_that_shuts_its_author_out_are_told(lab, tmp_path):
    """With what to do; what the webhook says of a DENY without ports is passed on."""
    mine = rule(tmp_path, "detials", [{"to": [{"operation": {"paths": ["/details/*"]}}]}], action="DENY")
    said = lab.apply(mine).changes[0].warnings
    assert any("IST0127" in each for each in said) and any("will deny all traffic to TCP ports" in each for each in said)
    lab.delete(mine)
    with open(mine, "w", encoding="utf-8") as file:
        yaml.safe_dump(
            {"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy", "metadata": {"name": "mine"}, "spec": {}}, file
        )
    said = next(each for each in lab.apply(mine).changes[0].warnings if "closes every workload" in each)
    lab.delete(mine)
    assert f"kubectl delete authorizationpolicy mine --namespace {NAMESPACE}" in said


def test_a_workload_may_have_slashes_merged_before_a_deny_looks_at_them(lab):
    """By its annotation, as chapter 19 has it in passing."""
    settings = "connectionSettings: {httpMergeSlashes: true, httpPathWithEscapedSlashesAction: UNESCAPE_AND_FORWARD}"
    spellings = [f"GET http://details:9080{path}" for path in ("/details/0", "//details/0", "/details%2f0", "/.//details/0")]
    lab.apply("19_access_control/10-deny-details.yaml")
    assert ask(lab, "client", *spellings).status.tolist() == [403, 200, 200, 200]
    patch = {"spec": {"template": {"metadata": {"annotations": {"proxy.istio.io/config": settings}}}}}
    lab.run(f"kubectl patch deployment details-v1 --patch '{json.dumps(patch)}'")
    lab.run("kubectl rollout status deployment details-v1")
    converge.settled(lab)
    seen = ask(lab, "client", *spellings).status.tolist()
    lab.delete("19_access_control/10-deny-details.yaml")
    checkpoint.reach(lab, "as before", (*CLIENTS, *BOOKINFO))
    assert seen == [403] * 4
