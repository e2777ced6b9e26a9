"""Chapter 05 without a cluster: who has a sidecar, who wins, what the tools make of it, and what the checks say."""

import pandas as pd
import pytest

from lab_helpers.chapters.c05_injection import draw_way, injection, line_by_line, lines, precedence, renewed, verdicts
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
        ("05.9", "there is no Deployment quiet", {}),
        ("05.9", "quiet has no sidecar\n→ It is still on the node's network.", {DEPLOYMENT: [hosted]}),
    ):
        with pytest.raises(CheckError, match=sentence):
            check(number, Cluster(objects))


class Labelled(Cluster):
    """A cluster whose webhook's selectors are those of Istio 1.31's chart: enough of them for labels to be weighed by."""

    def __init__(self, left=()):
        super().__init__({NAMESPACE: list(left)})
        self.namespaces, self.deleted = {}, []

    def create(self, document):
        name = f"{document['metadata']['generateName']}{len(self.namespaces)}"
        self.namespaces[name] = document["metadata"]["labels"]
        return {**document, "metadata": {**document["metadata"], "name": name}}

    def delete(self, kind, name):
        self.deleted.append(name)

    def apply(self, document, namespace, dry_run):
        assert dry_run, "a pod that is only asked for must not be stored"
        asks, said = self.namespaces[namespace], document["metadata"]["labels"].get("sidecar.istio.io/inject")
        silent = not {"istio-injection", "istio.io/rev"} & set(asks)
        invited = asks.get("istio-injection", "enabled") == "enabled" and asks.get("istio.io/rev", "default") == "default" and not silent
        injected = said != "false" and (invited or (silent and said == "true"))
        return pod("hello", spec=INJECTED if injected else None)


def test_a_no_always_wins_and_a_yes_of_the_pod_counts_where_its_namespace_is_silent():
    left = named("default-asked-x")
    left["metadata"]["labels"] = {"meshlab.io/asked-for": "default"}
    cluster = Labelled([left, named("somebody's")])
    table = precedence(cluster)
    assert table['"false"'].tolist() == [""] * 5
    assert table['"true"'].tolist() == ["sidecar", "sidecar", "", "sidecar", ""]
    assert table["no label"].tolist() == ["", "sidecar", "", "sidecar", ""]
    assert cluster.deleted == ["default-asked-x", *cluster.namespaces], "what a killed run has left goes first, and nothing stays"
    check("05.6", table, answer=["istio-injection=disabled", "istio.io/rev=nowhere"])
    for answer, sentence in (
        ("istio.io/rev=nowhere", "one more"),
        ({"istio-injection=disabled", "istio.io/rev=nowhere", "no label"}, "with no label a pod that says"),
        ("disabled", "there is no row disabled"),
    ):
        with pytest.raises(CheckError, match=sentence):
            check("05.6", table, answer=answer)
    with pytest.raises(CheckError, match="makes no difference"):
        check("05.6", pd.DataFrame({'"true"': [""], '"false"': [""]}, index=["no label"]), answer="no label")


def test_a_diff_of_yaml_is_one_of_what_it_says_not_of_how_it_is_written():
    assert line_by_line("b: {c: 1}\na: 2  # two\n", "a: 2\nb:\n  c: 1\n", "x").changes[0].diff == ""
    assert "+a: 3" in line_by_line("a: 2", "a: 3", "x").changes[0].diff
    assert lines("# nothing\na: {b: 1, c: 2}\n") == 3


RULES = Output(
    "kubectl logs",
    "-A ISTIO_OUTPUT -m owner --uid-owner 7 -j RETURN\n-A ISTIO_REDIRECT -p tcp --to-ports 1\n-A ISTIO_IN_REDIRECT -p tcp --to-ports 2\n",
)


def test_the_way_is_drawn_by_the_rules_that_were_read():
    drawn = draw_way(RULES)
    assert "Envoy at port 1 first, and from there, sent by user 7" in repr(drawn)
    assert "OUTPUT: to 1<" in drawn.svg and "PREROUTING: to 2 first" in drawn.svg and "user 7" in drawn.svg
    with pytest.raises(LabError, match="no rule for outbound"):
        draw_way(Output("kubectl logs", ""))


def test_pods_are_shown_once_the_old_ones_have_ended(monkeypatch):
    old = pod("productpage-v1-1-a")
    old["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    there = [old, pod("productpage-v1-2-b"), pod("ratings-v1-1-a")]
    monkeypatch.setattr(injection.rollout, "complete", lambda client, names: names == ["productpage-v1"] or pytest.fail("another one"))
    monkeypatch.setattr(injection, "ENDED", 0.1)
    lab = Cluster({POD: there}, lambda line: Output(line, "pods"))
    with pytest.raises(LabError, match="productpage-v1-1-a"):
        renewed(lab, "productpage-v1")
    there.remove(old)
    assert renewed(lab, "productpage-v1").command == "kubectl get pods"


def test_the_chapter_has_a_check_for_each_step():
    assert numbers("05") == [f"05.{step}" for step in range(1, 10)]
