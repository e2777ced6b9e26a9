"""Chapter 05 on the live mesh: its checks on right and wrong answers."""

from pathlib import Path

import pytest

from lab_helpers.chapters.c05_injection import check, dry_run, redirection, verdicts
from lab_helpers.core.errors import CheckError, MeshError
from lab_helpers.kube.commands import Output

STEM = "05_injection"
ROOT = Path(__file__).parents[2]
INJECT = """kubectl patch deployment {} -p '{{"spec": {{"template": {{"metadata": {{"labels": {{"sidecar.istio.io/inject": {}}}}}}}}}}}'"""
pytestmark = pytest.mark.lab


@pytest.fixture
def unmeshed(lab):
    """Three services and a client without sidecars, as the chapter begins."""
    lab.checkpoint(STEM)
    return lab


@pytest.fixture
def meshed(unmeshed):
    """The same with sidecars, as in the chapter's second half."""
    unmeshed.run(f"kubectl label namespace {unmeshed.namespace} istio-injection=enabled")
    unmeshed.restart()
    return unmeshed


def fails(number, *state, sentence, **answers):
    with pytest.raises(CheckError, match=sentence) as caught:
        check(number, *state, **answers)
    assert caught.value.do


def rolled_out(lab, deployment):
    lab.run(f"kubectl rollout status deployment {deployment} --timeout=90s", deadline=100)


def test_the_start_has_no_sidecar_and_check_1_finds_a_label_and_a_sidecar(unmeshed):
    check("05.1", unmeshed)
    unmeshed.run(f"kubectl label namespace {unmeshed.namespace} istio-injection=enabled")
    fails("05.1", unmeshed, sentence="asks for sidecars")
    unmeshed.run(f"kubectl label namespace {unmeshed.namespace} istio-injection-")
    unmeshed.run(INJECT.format("ratings-v1", '"true"'))
    rolled_out(unmeshed, "ratings-v1")
    fails("05.1", unmeshed, sentence="ratings-v1-.* has a sidecar")


def test_check_2_fails_on_each_wrong_set_of_containers(unmeshed):
    asked = [dry_run(unmeshed, f"{STEM}/{name}.yaml") for name in ("01-pod", "02-pod-with-label")]
    fails("05.2", *asked, answer="istio-proxy", sentence="one more container")
    fails("05.2", *asked, answer={"istio-init", "istio-proxy", "hello"}, sentence="hello was there before")
    fails("05.2", *asked, answer={"istio-init", "envoy"}, sentence="no container envoy")


def test_a_dry_run_stores_nothing_and_says_the_same_twice(unmeshed):
    once, again = (dry_run(unmeshed, f"{STEM}/02-pod-with-label.yaml").stdout for _ in range(2))
    assert once == again and "istio-proxy" in once
    assert "hello" not in unmeshed.run("kubectl get pods").stdout


def test_check_3_fails_without_label_with_a_label_elsewhere_and_on_a_second_sidecar(unmeshed):
    fails("05.3", unmeshed, sentence="no label sidecar.istio.io/inject=true")
    unmeshed.run("kubectl label deployment productpage-v1 sidecar.istio.io/inject=true")
    fails("05.3", unmeshed, sentence="no label sidecar.istio.io/inject=true")
    for deployment in ("productpage-v1", "details-v1"):
        unmeshed.run(INJECT.format(deployment, '"true"'))
        rolled_out(unmeshed, deployment)
    fails("05.3", unmeshed, sentence="details-v1-.* has a sidecar")


def test_check_4_fails_where_the_webhook_did_it(unmeshed):
    unmeshed.run(INJECT.format("ratings-v1", '"true"'))
    rolled_out(unmeshed, "ratings-v1")
    fails("05.4", unmeshed, sentence="does not mention istio-proxy")


def test_check_5_fails_before_the_label_before_new_pods_and_on_a_sidecar_that_is_written_out(unmeshed):
    fails("05.5", unmeshed, sentence="does not ask for sidecars")
    unmeshed.run(f"kubectl label namespace {unmeshed.namespace} istio-injection=enabled")
    fails("05.5", unmeshed, sentence="has no sidecar")
    injected = unmeshed.run("istioctl kube-inject -f 04_bookinfo/05-ratings.yaml")
    unmeshed.run("kubectl apply -f -", stdin=injected.stdout)
    unmeshed.restart()
    fails("05.5", unmeshed, sentence="ratings-v1 has its sidecar written out")


def test_check_6_fails_on_each_wrong_number_and_rules_that_are_nowhere_are_missed(meshed, monkeypatch):
    rules = redirection(meshed, "ratings-v1")
    right = {"outbound": 15001, "inbound": 15006, "exempt": 1337}
    for name, wrong in {"outbound": 15006, "inbound": 15001, "exempt": 0}.items():
        fails("05.6", rules, answer={**right, name: wrong}, sentence=f"{name} is not {wrong}")

    monkeypatch.setattr(meshed, "run", lambda *_: Output("kubectl logs", "nothing of the kind\n"))
    with pytest.raises(MeshError, match="tells of no rules"):
        redirection(meshed, "ratings-v1")


def test_check_7_and_8_on_wrong_answers(meshed):
    fails("05.7", verdicts(meshed), answer="hosted", sentence="there is no such workload")
    fails("05.8", meshed, sentence="there is no Deployment quiet")
    meshed.apply(f"{STEM}/03-left-over-label.yaml", f"{STEM}/04-host-network.yaml")
    fails("05.7", verdicts(meshed), answer="quiet", sentence="one of the two says why not")
    fails("05.8", meshed, sentence="quiet has no sidecar")
    meshed.run(INJECT.format("quiet", "null"))
    rolled_out(meshed, "quiet")
    fails("05.8", meshed, sentence="hosted has no sidecar")
