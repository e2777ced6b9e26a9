"""Chapter 04 on the live mesh: from its checkpoint and from a wreck, against its record, and its checks on wrong answers."""

from pathlib import Path

import nbformat
import pytest

from lab_helpers.mesh import checkpoint, observe
from lab_helpers.present import checks
from lab_helpers.present.checks import CheckError, check

STEM = "04_bookinfo"
ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.lab

# Everything that a learner's evening may leave behind, of Istio's and of Kubernetes' kinds.
WRECK = """
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: deny-all}
spec: {}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default}
spec: {mtls: {mode: STRICT}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: somebody-elses}
spec:
  hosts: [reviews]
  http:
    - route:
        - destination: {host: reviews, subset: nowhere}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews}
spec:
  host: reviews
  trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}}
---
apiVersion: v1
kind: Service
metadata: {name: details, labels: {app: details, service: details}}
spec:
  selector: {app: nobody}
  ports: [{name: tcp, port: 9080}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: reviews-v4, labels: {app: reviews}}
spec:
  replicas: 1
  selector: {matchLabels: {app: reviews, version: v4}}
  template:
    metadata: {labels: {app: reviews, version: v4}}
    spec:
      containers: [{name: reviews, image: "docker.io/curlimages/curl:8.16.0", imagePullPolicy: IfNotPresent, command: [sleep, infinity]}]
"""


@pytest.fixture
def bookinfo(lab):
    """Bookinfo and its two clients as the chapter leaves them."""
    checkpoint.reach(lab, "Bookinfo", [*checkpoint.BOOKINFO, *checkpoint.STARTS[STEM]])
    return lab


def wreck(lab, tmp_path):
    path = tmp_path / "wreck.yaml"
    path.write_text(WRECK)
    lab.run("kubectl label namespace default istio-injection-")
    lab.run(f"kubectl apply -f {path}")
    lab.run("kubectl scale deployment client --replicas=0")
    lab.run("kubectl rollout restart deployment plain-client")
    lab.run("kubectl delete service productpage --ignore-not-found")


def test_the_chapter_runs_from_a_wreck(bookinfo, run_chapter, tmp_path):
    wreck(bookinfo, tmp_path)
    assert run_chapter(STEM) == checks.numbers("04")


def test_the_record_is_what_the_mesh_does_today(lab, compare_with_record):
    assert compare_with_record(ROOT / "notebooks" / f"{STEM}.ipynb") == ""


@pytest.mark.parametrize(
    ("fresh", "same"),
    [
        ("Deployment reviews-v1 created\nin effect on all 12 proxies after 3.42 s", True),
        ("Deployment reviews-v1 unchanged\nin effect on all 9 proxies after 0.21 s", False),
        ("Deployment reviews-v1 created", False),
    ],
)
def test_a_record_that_differs_in_more_than_time_is_found(compare_with_record, tmp_path, fresh, same):
    cell = nbformat.v4.new_code_cell(f"print({fresh!r})", execution_count=1)
    recorded = "Deployment reviews-v1 created\nin effect on all 9 proxies after 0.21 s\n"
    cell.outputs = [nbformat.v4.new_output("stream", text=recorded)]
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), tmp_path / "record.ipynb")
    assert (compare_with_record(tmp_path / "record.ipynb") == "") is same


def fails(number, *state, sentence):
    with pytest.raises(CheckError, match=sentence) as caught:
        check(number, *state)
    assert caught.value.do


def test_check_1_fails_when_a_piece_is_missing(bookinfo):
    fails_on = {
        "kubectl delete service ratings": "there is no Service ratings",
        """kubectl patch service details -p '{"spec": {"selector": {"app": "detials"}}}'""": "selects pods labelled app=detials",
        "kubectl scale deployment reviews-v2 --replicas=0": "has no pod with label version=v2",
    }
    for command, sentence in fails_on.items():
        bookinfo.run(command)
        if "scale" in command:
            bookinfo.run("kubectl wait --for=delete pod -l app=reviews,version=v2 --timeout=50s")
        fails("04.1", bookinfo, sentence=sentence)
        bookinfo.apply(*checkpoint.BOOKINFO)
        check("04.1", bookinfo)


def test_check_1_fails_on_a_pod_without_sidecar(bookinfo):
    bookinfo.run("kubectl label namespace default istio-injection-")
    try:
        bookinfo.run("kubectl delete pod -l app=details --wait=true")
        bookinfo.run("kubectl rollout status deployment details-v1")
        fails("04.1", bookinfo, sentence="details-v1-.* has no sidecar")
    finally:
        checkpoint.reach(bookinfo, "Bookinfo", [*checkpoint.BOOKINFO, *checkpoint.STARTS[STEM]])
    check("04.1", bookinfo)


def test_check_3_fails_before_anybody_has_called(bookinfo):
    fails("04.3", bookinfo.calls().iloc[:0], "reviews-v2", sentence="no proxy has counted a call")


def test_check_4_fails_when_the_mesh_is_busy_and_the_counts_are_not_thirds(bookinfo):
    fails("04.4", observe.observe(bookinfo, "reviews", n=1000, parallel=16), sentence="contradicts")


def test_check_5_fails_without_a_rule_on_a_wrong_host_and_on_a_wrong_policy(bookinfo, tmp_path):
    rule = "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: mine}\nspec: "
    fails("04.5", bookinfo, sentence="there is no DestinationRule")
    for spec, sentence in {
        "{host: ratings, trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}}}": "no DestinationRule is for the host reviews",
        "{host: reviews}": "asks for nothing",
        "{host: reviews, trafficPolicy: {loadBalancer: {simple: RANDOM}}}": "asks for RANDOM",
    }.items():
        path = tmp_path / "mine.yaml"
        path.write_text(rule + spec + "\n")
        bookinfo.apply(str(path))
        fails("04.5", bookinfo, sentence=sentence)
    bookinfo.delete(str(path))
