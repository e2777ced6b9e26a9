"""Ambient mode beside sidecars: who is in it, how it is taken away, and what is installed: no cluster."""

import pytest
import yaml

from lab_helpers.core import paths
from lab_helpers.core.errors import ClusterError, MeshError
from lab_helpers.istio import installation, istiod, proxies
from lab_helpers.istio.installation import ambient, gateway_api
from lab_helpers.kube import mark
from lab_helpers.kube.kinds import CUSTOM_RESOURCE_DEFINITION, NAMESPACE, POD
from lab_helpers.lab import checkpoint
from lab_helpers.node.build.images import IMAGES
from tests.objects import Cluster, named, pod

PROXY = {"containers": [{"name": "istio-proxy", "image": "proxyv2:1.31.0"}]}


def redirected(name, namespace="default", state="enabled", **labels):
    found = pod(name, **labels)
    found["metadata"] |= {"namespace": namespace, "annotations": {ambient.REDIRECTION: state}}
    return found


class Node(Cluster):
    """Whose istio-cni lets pods go as soon as their namespace's label is gone, unless it is `stuck`."""

    stuck = False

    def patch(self, kind, name, change, namespace=None):
        self.objects.setdefault("patched", []).append((kind.kind, name, change["metadata"]["labels"]))
        for each in [] if self.stuck else self.objects[POD]:
            each["metadata"].pop("annotations", None)


def test_who_is_in_ambient_mode_and_who_else():
    leaving = redirected("gone", "team")
    leaving["metadata"]["deletionTimestamp"] = "now"
    lab = Cluster({POD: [redirected("a"), redirected("b", "team", "pending"), pod("c"), leaving]})
    assert [each["metadata"]["name"] for each in ambient.redirected(lab)] == ["a", "b"]
    assert ambient.others(lab) == ["team"]


def test_before_ztunnel_goes_everybody_leaves():
    own = redirected("alone", **{"istio.io/dataplane-mode": "ambient"})
    lab = Node({NAMESPACE: [named("default"), named("team")], POD: [own, pod("plain")]})
    lab.objects[NAMESPACE][1]["metadata"]["labels"] = {ambient.LABEL: "ambient"}
    assert [str(each.what) for each in ambient.leave(lab)] == ["Namespace team"]
    assert lab.objects["patched"] == [("Namespace", "team", {ambient.LABEL: None}), ("Pod", "alone", {ambient.LABEL: None})]


def test_a_pod_that_is_not_let_go_is_named(monkeypatch):
    monkeypatch.setattr(ambient, "LEFT", 0.0)
    agent = pod("istio-cni-node-x", **ambient.AGENT)
    lab = Node({NAMESPACE: [], POD: [redirected("held"), agent]})
    lab.stuck = True
    with pytest.raises(MeshError, match="(?s)held is still redirected.*istio-cni"):
        ambient.leave(lab)


def test_whom_istio_cni_has_left_behind_is_replaced():
    """Nobody gives such a pod its way out back, so it is not waited for."""
    held = redirected("held", app="ratings")
    lab = Node({NAMESPACE: [], POD: [held, pod("other", app="reviews")]})
    lab.stuck = True
    for each in lab.objects[POD]:
        each["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
    assert ambient.leave(lab) == [] and checkpoint._wrong(lab, injection=False) == [held]


@pytest.mark.parametrize(
    ("now", "wanted", "others", "done"),
    [
        ("demo", False, [], None),
        ("ambient", True, [], None),
        ("ambient", False, [], False),
        ("demo", True, [], True),
        ("changed", False, [], False),
        ("changed", True, [], True),
        ("ambient", False, ["team"], None),
        ("changed", False, ["team"], False),
    ],
)
def test_which_installation_a_chapter_gets(monkeypatch, now, wanted, others, done):
    notes, asked = {mark.INSTALLATION: "demo", mark.AMBIENT: "ambient"}, []
    monkeypatch.setattr(istiod, "open_to", lambda _: True)
    monkeypatch.setattr(mark, "noted_installation", lambda _, which=mark.INSTALLATION: notes[which])
    monkeypatch.setattr(installation, "digest", lambda _: now)
    monkeypatch.setattr(ambient, "others", lambda _: others)
    monkeypatch.setattr(installation, "ensure", lambda _, anew, ambient: asked.append(ambient) or [])
    assert installation.undo_changes(Cluster({}), wanted) == [] and asked == ([] if done is None else [done])


def test_ztunnel_has_no_envoy_and_is_waited_for():
    ztunnel, gateway = (pod(name, spec=PROXY, app=name) for name in ("ztunnel", "gateway"))
    for each in (ztunnel, gateway):
        each["metadata"]["namespace"] = "istio-system"
    assert not proxies.has_proxy(ztunnel) and proxies.has_proxy(gateway)
    assert proxies.concerned(Cluster({POD: [ztunnel, gateway, pod("app")]})) == {"ztunnel.istio-system", "gateway.istio-system"}


@pytest.mark.parametrize(("kind", "alone"), [("router", True), ("waypoint", True), ("ztunnel", True), ("sidecar", False)])
def test_who_serves_more_than_a_pod(kind, alone):
    assert istiod._proxy({"proxy": "a.b", "proxy_type": kind}).gateway is alone


def test_the_embedded_lab_runs_the_stand_in_and_its_image_says_what_it_is():
    told = yaml.safe_load(paths.OVERLAY.read_text())["spec"]["values"]["ztunnel"]["image"]
    [image] = [each for each in IMAGES if each.reference == told]
    assert image.folder == "ztunnel-stand-in"


def definition(name, established=True):
    return named(name, status={"conditions": [{"type": "Established", "status": str(established)}]})


@pytest.fixture
def fetched(tmp_path, monkeypatch):
    """Two kinds, fetched by `meshlab up`."""
    for name in ("gateways", "httproutes"):
        document = {**CUSTOM_RESOURCE_DEFINITION._asdict(), **named(f"{name}.gateway.networking.k8s.io")}
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(document))
    monkeypatch.setattr(paths, "GATEWAY_API", tmp_path)


def test_kinds_that_a_cluster_has_stay_as_they_are(fetched, monkeypatch):
    there = [definition("gateways.gateway.networking.k8s.io")]
    lab = Cluster({CUSTOM_RESOURCE_DEFINITION: there})

    def put(client, documents):
        there.extend(definition(each["metadata"]["name"]) for each in documents)
        return [(each["metadata"]["name"], each) for each in documents]

    monkeypatch.setattr(gateway_api, "put", put)
    assert gateway_api.ensure(lab) == ["httproutes.gateway.networking.k8s.io"] and gateway_api.ensure(lab) == []


def test_without_the_gateway_api_it_is_said_who_fetches_it(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "GATEWAY_API", tmp_path)
    with pytest.raises(ClusterError, match="(?s)no Gateway API.*meshlab up"):
        gateway_api.ensure(Cluster({}))
