"""A learner whose rights end at a namespace, as the account that the course ships for it: what it can do, and what it is told."""

from __future__ import annotations

import base64

import pytest
import yaml

from lab_helpers.core import paths
from lab_helpers.core.errors import ClusterError, LabError
from lab_helpers.istio import istiod
from lab_helpers.kube import mark
from lab_helpers.lab import checkpoint, connect
from lab_helpers.lab.chapters import BOOKINFO, CLIENTS
from tests.live import kubectl, kubectl_json

pytestmark = pytest.mark.lab
NAME = "learner1"
SUBSETS, ALL_TO_V1 = "12_traffic_shifting/01-subsets.yaml", "12_traffic_shifting/02-all-v1.yaml"


@pytest.fixture(scope="module")
def account(tmp_path_factory):
    """A kubeconfig of the account, and nothing of the administrator's."""
    shipped = (paths.ROOT / "book" / "learner.yaml").read_text(encoding="utf-8").replace("alice", NAME)
    kubectl("apply", "-f", "-", stdin=shipped)
    administrator = connect(quiet=True)
    mark.note_gateway(administrator.client, administrator.url)  # as `up` does; another test may have made the mark anew
    token = kubectl("create", "token", "learner", "--namespace", NAME, "--duration", "1h").strip()
    document = yaml.safe_load(paths.KUBECONFIG.read_text(encoding="utf-8"))
    [cluster] = document["clusters"]
    document |= {
        "users": [{"name": "learner", "user": {"token": token}}],
        "contexts": [{"name": "learner", "context": {"cluster": cluster["name"], "user": "learner"}}],
        "current-context": "learner",
    }
    file = tmp_path_factory.mktemp("learner") / "config"
    file.write_text(yaml.safe_dump(document), encoding="utf-8")
    yield file
    kubectl("delete", "--ignore-not-found", "-f", "-", stdin=shipped, timeout=180)


@pytest.fixture
def lab(account, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", str(account))
    return connect("learner", namespace=NAME, quiet=True)


def test_the_account_has_no_right_in_istio_system_and_none_for_the_whole_cluster(lab):
    assert not istiod.open_to(lab.client)
    for line in ("kubectl get pods --namespace istio-system", "kubectl get nodes", "kubectl get namespaces"):
        with pytest.raises(LabError, match="(?i)forbidden"):
            lab.run(line)
    reviewed = kubectl_json("get", "rolebindings,clusterrolebindings", "--all-namespaces")["items"]
    ours = [each for each in reviewed if any(one.get("namespace") == NAME for one in each.get("subjects") or [])]
    assert {(each["kind"], each["metadata"]["namespace"]) for each in ours} == {("RoleBinding", NAME), ("RoleBinding", "kube-public")}


def test_what_connect_says(account, monkeypatch, capsys):
    monkeypatch.setenv("KUBECONFIG", str(account))
    connect("learner", namespace=NAME)
    assert "your account may look no farther" in capsys.readouterr().out


def test_a_chapter_begins_and_a_rule_is_in_effect_when_apply_returns(lab):
    checkpoint.reach(lab, "Bookinfo", [*CLIENTS[:1], *BOOKINFO])
    assert lab.page().status == 200
    for _ in range(5):
        done = lab.apply(SUBSETS, ALL_TO_V1)
        assert done.proxies >= 6 and set(lab.observe("reviews", n=60)["version"]) == {"v1"}
        gone = lab.delete(ALL_TO_V1, SUBSETS)
        assert gone.proxies >= 6 and set(lab.observe("reviews", n=90)["version"]) == {"v1", "v2", "v3"}
    assert "in-effect" not in lab.run("kubectl get serviceentries").shown
    assert not lab.calls().empty and {each.action for each in lab.diff(SUBSETS).changes} == {"created"}


def test_a_whole_checkpoint_as_the_account(lab):
    assert "cannot be seen by your account" in str(lab.checkpoint("04_bookinfo"))


def test_what_an_own_proxy_refuses_is_told(lab, tmp_path):
    patch = {"operation": "MERGE", "value": {"connect_timeout": "-5s"}}  # Istio does not look at it, and no proxy takes it
    document = {
        "apiVersion": "networking.istio.io/v1alpha3", "kind": "EnvoyFilter", "metadata": {"name": "refused"},
        "spec": {"configPatches": [{"applyTo": "CLUSTER", "match": {"context": "SIDECAR_OUTBOUND"}, "patch": patch}]},
    }  # fmt: skip
    path = tmp_path / "refused.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    try:
        with pytest.raises(LabError, match="A proxy did not take the configuration: .* refused"):
            lab.apply(path)
    finally:
        lab.delete(path)


@pytest.mark.parametrize(
    "use",
    [
        lambda lab: lab.promql("up"),
        lambda lab: lab.checkpoint("03_install"),
        lambda lab: lab.graph(),
        lambda lab: lab.uis(),
        lambda lab: connect("learner", namespace="default", quiet=True).apply(SUBSETS),
    ],
    ids=["Prometheus", "an installation", "the graph", "the pages", "another namespace"],
)
def test_what_ends_elsewhere_is_told_in_a_sentence(lab, use):
    with pytest.raises(LabError) as caught:
        use(lab)
    assert caught.value.do and "forbidden" in str(caught.value).lower()


def test_a_right_that_is_taken_away_meanwhile_is_named(lab):
    kubectl("delete", "rolebinding", "learner", "--namespace", NAME)
    try:
        with pytest.raises(ClusterError, match="(?s)your account may not do that.*Ask whoever runs the cluster"):
            lab.apply(SUBSETS)
    finally:
        kubectl("apply", "-f", "-", stdin=(paths.ROOT / "book" / "learner.yaml").read_text(encoding="utf-8").replace("alice", NAME))


def test_a_token_that_is_none_gets_a_sentence(account, monkeypatch, tmp_path):
    document = yaml.safe_load(account.read_text(encoding="utf-8"))
    document["users"][0]["user"]["token"] = base64.b64encode(b"nobody").decode()
    (tmp_path / "config").write_text(yaml.safe_dump(document), encoding="utf-8")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    with pytest.raises(ClusterError, match="(?s)does not accept the kubeconfig's credentials .401.*fetch new ones"):
        connect("learner", namespace=NAME, quiet=True)
