"""Chapter 04: wrong answers in its own run."""

from lab_helpers.chapters.c04_bookinfo import check
from lab_helpers.lab.chapters import BOOKINFO
from tests.wrong_answers import before, fails

STEM = "04_bookinfo"


@before('check("04.1"')
def a_piece_is_missing(lab):
    for command, sentence in {
        "kubectl delete service ratings": "there is no Service ratings",
        """kubectl patch service details -p '{"spec": {"selector": {"app": "detials"}}}'""": "selects pods labelled app=detials",
        "kubectl scale deployment reviews-v2 --replicas=0": "has no pod with label version=v2",
    }.items():
        lab.run(command)
        if "scale" in command:
            lab.run("kubectl wait --for=delete pod -l app=reviews,version=v2 --timeout=50s")
        fails("04.1", lab, sentence=sentence)
        lab.apply(*BOOKINFO)
        check("04.1", lab)


@before('pages = [lab.page("/productpage")')
def a_pod_without_sidecar(lab):
    lab.run(f"kubectl label namespace {lab.namespace} istio-injection-")
    lab.restart("details-v1")
    fails("04.1", lab, sentence="details-v1-.* has no sidecar")
    lab.run(f"kubectl label namespace {lab.namespace} istio-injection=enabled")
    lab.restart("details-v1")
    check("04.1", lab)


@before('check("04.3"')
def nobody_has_called(calls):
    fails("04.3", calls.iloc[:0], "reviews-v2", sentence="no proxy has counted a call")


@before('plain = lab.observe("reviews", n=60, via="plain")')
def counts_of_a_busy_mesh_are_not_thirds(busy):
    fails("04.4", busy, sentence="contradicts")


@before('lab.apply("my/round-robin.yaml")')
def no_rule_another_host_and_another_policy(lab, tmp_path):
    rule = "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: mine}\nspec: "
    fails("04.5", lab, sentence="there is no DestinationRule")
    path = tmp_path / "mine.yaml"
    for spec, sentence in {
        "{host: ratings, trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}}}": "no DestinationRule is for the host reviews",
        "{host: reviews}": "asks for nothing",
        "{host: reviews, trafficPolicy: {loadBalancer: {simple: RANDOM}}}": "asks for RANDOM",
    }.items():
        path.write_text(rule + spec + "\n")
        lab.apply(path)
        fails("04.5", lab, sentence=sentence)
    lab.delete(path)
