"""Chapter 05: wrong answers in its own run, from no sidecar at all to sidecars everywhere."""

import pytest

from lab_helpers.chapters.c05_injection import dry_run, redirection, verdicts
from lab_helpers.core.errors import MeshError
from lab_helpers.kube.commands import Output
from tests.wrong_answers import before, fails

STEM = "05_injection"


def patched(lab, deployment, label):
    """Have the pods of a Deployment made anew, with another value of the label that asks for a sidecar; null takes it away."""
    change = f'{{"spec": {{"template": {{"metadata": {{"labels": {{"sidecar.istio.io/inject": {label}}}}}}}}}}}'
    lab.run(f"kubectl patch deployment {deployment} -p '{change}'")
    lab.run(f"kubectl rollout status deployment {deployment} --timeout=90s", deadline=100)


@before('check("05.1"')
def the_label_alone(lab):
    lab.run(f"kubectl label namespace {lab.namespace} istio-injection=enabled")
    fails("05.1", lab, sentence="asks for sidecars")
    lab.run(f"kubectl label namespace {lab.namespace} istio-injection-")


@before('check("05.2"')
def other_sets_of_containers(lab, before, after):
    fails("05.2", before, after, answer="istio-proxy", sentence="one more container")
    fails("05.2", before, after, answer={"istio-init", "istio-proxy", "hello"}, sentence="hello was there before")
    fails("05.2", before, after, answer={"istio-init", "envoy"}, sentence="no container envoy")
    # A dry run stores nothing, and says the same twice.
    assert dry_run(lab, f"{STEM}/02-pod-with-label.yaml").stdout == after.stdout and "istio-proxy" in after.stdout
    assert "hello" not in lab.run("kubectl get pods").stdout


@before("with_label =")
def no_label_and_a_label_elsewhere(lab):
    fails("05.3", lab, sentence="no label sidecar.istio.io/inject=true")
    lab.run("kubectl label deployment productpage-v1 sidecar.istio.io/inject=true")
    fails("05.3", lab, sentence="no label sidecar.istio.io/inject=true")
    lab.run("kubectl label deployment productpage-v1 sidecar.istio.io/inject-")


@before('check("05.3"')
def a_second_sidecar(lab):
    fails("05.1", lab, sentence="productpage-v1-.* has a sidecar")
    patched(lab, "ratings-v1", '"true"')
    fails("05.3", lab, sentence="ratings-v1-.* has a sidecar")
    fails("05.4", lab, sentence="does not mention istio-proxy")  # the webhook did it
    patched(lab, "ratings-v1", "null")


@before('lab.run(f"kubectl label namespace {namespace} istio-injection=enabled")')
def no_label(lab):
    fails("05.5", lab, sentence="does not ask for sidecars")


@before("lab.restart()")
def pods_that_are_older_than_the_label(lab):
    fails("05.5", lab, sentence="has no sidecar")


@before('check("05.5"')
def a_sidecar_that_is_written_out(lab, injected):
    lab.run("kubectl apply -f -", stdin=injected.stdout)
    lab.run("kubectl rollout status deployment ratings-v1 --timeout=60s", deadline=70)
    fails("05.5", lab, sentence="ratings-v1 has its sidecar written out")
    lab.run("kubectl apply -f 04_bookinfo/05-ratings.yaml")
    lab.run("kubectl rollout status deployment ratings-v1 --timeout=60s", deadline=70)


@before('check("05.6"')
def other_namespaces(lab, table):
    fails("05.6", table, answer="istio-injection=disabled", sentence="one more")
    fails("05.6", table, answer={*table.index}, sentence="gets its sidecar")
    asked = lab.run("kubectl get namespaces -l meshlab.io/asked-for -o jsonpath={.items[*].status.phase}").stdout
    assert set(asked.split()) <= {"Terminating"}, "a namespace that was only asked about is still there"


@before('check("05.7"')
def other_numbers(rules):
    right = {"outbound": 15001, "inbound": 15006, "exempt": 1337}
    for name, wrong in {"outbound": 15006, "inbound": 15001, "exempt": 0}.items():
        fails("05.7", rules, answer={**right, name: wrong}, sentence=f"{name} is not {wrong}")


@before('check("05.7"')
def rules_that_are_nowhere(lab):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lab, "run", lambda *_: Output("kubectl logs", "nothing of the kind\n"))
        with pytest.raises(MeshError, match="tells of no rules"):
            redirection(lab, "ratings-v1")


@before('lab.apply("05_injection/03-left-over-label.yaml"')
def nobody_is_broken(lab):
    fails("05.8", verdicts(lab), answer="hosted", sentence="there is no such workload")
    fails("05.9", lab, sentence="there is no Deployment quiet")


@before('check("05.8"')
def another_workload(table):
    fails("05.8", table, answer="quiet", sentence="one of the two says why not")


@before('lab.apply("my/mended.yaml")')
def one_of_two_is_mended(lab):
    fails("05.9", lab, sentence="quiet has no sidecar")
    patched(lab, "quiet", "null")
    fails("05.9", lab, sentence="hosted has no sidecar")
