"""Chapter 05 without a cluster: who has a sidecar, what the tools make of it, and what the checks say."""

import pytest

from lab_helpers.chapters.c05_injection import injection, verdicts
from lab_helpers.core.errors import CheckError, LabError
from lab_helpers.kube.commands import Output
from lab_helpers.kube.kinds import DEPLOYMENT, NAMESPACE, POD
from lab_helpers.show.checks import check, numbers
from tests.objects import Cluster, named, pod

INJECTED = {"initContainers": [{"name": "istio-init"}, {"name": "istio-proxy"}]}


def test_verdicts_stand_beside_the_truth_and_whoever_leaves_is_left_out():
    leaving = pod("old-1-a")
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    there = [pod("quiet-1-b"), pod("details-1-a", spec=INJECTED), leaving]
    said = {
        "istioctl analyze": "Warning [IST0103] (Pod default/quiet-1-b) The pod is missing the Istio proxy.",
        "istioctl proxy-status": "details-1-a.default   Kubernetes",
        "istioctl experimental check-inject quiet-1-b": "✘",
        "istioctl experimental check-inject details-1-a": "✔",
    }
    table = verdicts(Cluster({POD: there}, lambda line: Output(line, said[line])))
    assert table.to_dict("index") == {
        "details-1-a": {"sidecar": True, "analyze": "", "check-inject": "✔", "proxy-status": True},
        "quiet-1-b": {"sidecar": False, "analyze": "IST0103", "check-inject": "✘", "proxy-status": False},
    }


def test_the_rules_are_read_from_a_pod_that_is_ready_and_has_a_sidecar():
    text = "before\nFinal iptables state (IPv4):\n# Generated\n*nat\n-A OUTPUT -j ISTIO_OUTPUT [5:300]\nCOMMIT\n"
    there = [pod("ratings-1-a"), pod("ratings-1-b", spec=INJECTED, ready=False), pod("ratings-1-c", spec=INJECTED)]
    rules = injection.redirection(Cluster({POD: there}, lambda line: Output(line, text)), "ratings")
    assert str(rules) == "$ kubectl logs ratings-1-c -c istio-init\n*nat\n-A OUTPUT -j ISTIO_OUTPUT\nCOMMIT"
    with pytest.raises(LabError, match="ratings has no ready pod with a sidecar"):
        injection.redirection(Cluster({POD: there[:2]}), "ratings")


def test_the_checks_of_injection_look_at_templates_pods_and_the_namespace():
    template = {"metadata": {"labels": {"sidecar.istio.io/inject": "true"}}, "spec": {"containers": [{"name": "app"}]}}
    deployment = named("productpage-v1", spec={"template": template})
    mine, other = pod("productpage-v1-1-a", spec=INJECTED), pod("details-v1-1-a")
    check("05.1", Cluster({NAMESPACE: [named("default")], POD: [other]}))
    check("05.3", Cluster({DEPLOYMENT: [deployment], POD: [mine, other]}))
    asking = {"metadata": {"name": "default", "labels": {"istio.io/rev": "canary"}}}
    hosted = named("quiet", spec={"template": {"metadata": {}, "spec": {"hostNetwork": True}}})
    for number, sentence, objects in (
        ("05.1", "namespace default asks for sidecars", {NAMESPACE: [asking]}),
        ("05.3", "there is no Deployment productpage-v1", {}),
        (
            "05.3",
            "productpage-v1-1-b is not ready",
            {DEPLOYMENT: [deployment], POD: [pod("productpage-v1-1-b", spec=INJECTED, ready=False)]},
        ),
        ("05.3", "productpage-v1-1-b has no sidecar", {DEPLOYMENT: [deployment], POD: [pod("productpage-v1-1-b")]}),
        ("05.8", "there is no Deployment quiet", {}),
        ("05.8", "quiet has no sidecar\n→ It is still on the node's network.", {DEPLOYMENT: [hosted]}),
    ):
        with pytest.raises(CheckError, match=sentence):
            check(number, Cluster(objects))


def test_the_chapter_has_a_check_for_each_step():
    assert numbers("05") == [f"05.{step}" for step in range(1, 9)]
