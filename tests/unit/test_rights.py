"""A learner whose rights end at their namespace: what they are told, and by whom; with a cluster that lets them do no more."""

import json
import re
from itertools import count

import pytest
import yaml
from kubernetes.client.rest import ApiException

from lab_helpers.core import paths
from lab_helpers.core.errors import ClusterError, MeshError
from lab_helpers.istio import converge, gateway, installation, istiod, told
from lab_helpers.istio.converge import own
from lab_helpers.kube import channels, kubeconfig, mark
from lab_helpers.kube.client import Client
from lab_helpers.kube.kinds import CONFIG_MAP, MUTATING_WEBHOOKS, NAMESPACE, NODE, POD, Kind
from lab_helpers.lab import checkpoint, connection
from lab_helpers.lab.checkpoint import labels
from lab_helpers.lab.lab import Lab
from lab_helpers.traffic.calls import calls
from tests.objects import Cluster, named, pod
from tests.web import serving

PROXIED = {"containers": [{"name": "app"}, {"name": "istio-proxy"}]}
ENTRIES = Kind("networking.istio.io/v1", "ServiceEntry")
OF_ALL = (NODE, MUTATING_WEBHOOKS)  # kinds of no namespace, of which a learner reads none


class Own(Cluster):
    """A cluster that lets somebody see and do what is in one namespace, and read the course's mark."""

    def __init__(self, *pods, mark_says=None, allowed=False):
        for each in pods:
            each["metadata"]["namespace"] = self.namespace
        objects = {POD: list(pods), NAMESPACE: [named("default", spec={})]}
        objects[CONFIG_MAP] = [named(mark.NAME, data=mark_says or {})]
        super().__init__(objects)
        self.allowed, self.asked, self.made, self.there = allowed, [], [], {}

    def list(self, kind, namespace=None, labels=None):
        if namespace not in (None, self.namespace) or kind in OF_ALL:
            self.asked.append((kind.kind, namespace))
            raise ApiException(403)
        return super().list(kind, namespace, labels)

    def get(self, kind, name, namespace=None):
        if namespace not in (None, self.namespace, "kube-public"):
            self.asked.append((kind.kind, namespace))
            raise ApiException(403)
        return self.there.get(name) if kind == ENTRIES else super().get(kind, name)

    def create(self, document):
        asked = document["spec"]["resourceAttributes"]
        self.asked.append(asked)
        return {"status": {"allowed": self.allowed or asked.get("namespace") == self.namespace}}

    def apply(self, document, **_):
        metadata = {**document["metadata"], "uid": "u", "resourceVersion": "1"}
        self.there[document["metadata"]["name"]] = {**document, "metadata": metadata}
        self.made.append(document)
        return self.there[document["metadata"]["name"]]

    def delete(self, kind, name, *_, **__):
        return self.there.pop(name, None) is not None

    def kinds(self, wanted):
        return [ENTRIES]

    def permitted(self):
        return channels.kept()  # anything that can be entered


@pytest.fixture
def proxies(monkeypatch):
    """What a proxy of each pod answers: of its clusters what the API server had so many looks ago, and how often it has refused."""

    class Proxies:
        late, rejected, why, looks = 2, {}, [], count()

        def __init__(self):
            self.past = []

        def get(self, client, namespace, name, port, path):
            assert (namespace, port) == ("default", 15000)
            if path == own.CLUSTERS:
                self.past.append([each["spec"]["hosts"][0] for each in client.there.values()])
                return json.dumps(self.past[max(0, len(self.past) - 1 - self.late)]).encode()
            if path == own.LISTENERS:
                return json.dumps({"configs": [{"name": "virtual", "error_state": {"details": each}} for each in self.why]}).encode()
            return json.dumps({"stats": [{"name": "cluster_manager.cds.update_rejected", "value": self.rejected.get(name, 0)}]}).encode()

    found = Proxies()
    monkeypatch.setattr(channels, "get", found.get)
    return found


def test_who_may_ask_istiod_is_asked_of_the_cluster_once():
    shut, opened = Own(), Own(allowed=True)
    assert istiod.open_to(shut) is istiod.open_to(shut) is False and istiod.visible(shut) == "default"
    assert shut.asked == [{"verb": "list", "resource": "pods"}]
    assert istiod.open_to(opened) and istiod.visible(opened) == "*" and len(opened.asked) == 3
    assert opened.asked[-1] == {"verb": "create", "resource": "pods", "subresource": "portforward", "namespace": "istio-system"}


def test_a_cluster_that_reviews_nothing_is_asked_itself():
    lab = Own()
    lab.create = lambda document: (_ for _ in ()).throw(ApiException(404))
    assert istiod.open_to(lab)


def test_a_change_is_in_effect_when_what_came_after_it_has_come_and_gone(proxies):
    """Before, the first question to istiod was a traceback."""
    lab = Own(pod("a", spec=PROXIED), pod("b", spec=PROXIED), pod("without"), pod("starting", ready=False, spec=PROXIED))
    since = converge.before(lab)
    assert converge.converged(lab, since, [], [], deadline=5) == 2
    [sign] = lab.made
    assert sign["spec"]["exportTo"] == ["."] and sign["spec"]["hosts"][0].endswith(".invalid") and not lab.there
    assert len(proxies.past) > 2 * proxies.late and converge.refused_elsewhere(lab) == []
    assert all(isinstance(each, dict) for each in lab.asked), "nothing was asked for that is refused"


def test_a_proxy_that_is_told_nothing_is_named_and_nothing_is_left(proxies):
    proxies.late = 10**6
    lab = Own(pod("a", spec=PROXIED))
    with pytest.raises(MeshError, match="(?s)proxies to learn of the change: a has not been told.*kubectl logs"):
        converge.settled(lab, deadline=0.3)
    assert not lab.there


def test_what_an_own_proxy_refuses_is_told_in_its_words(proxies):
    lab = Own(pod("a", spec=PROXIED), pod("b", spec=PROXIED))
    proxies.rejected = {"b": 2}  # of long ago
    since = converge.before(lab)
    assert converge.converged(lab, since, [], [], deadline=5) == 2
    proxies.rejected, proxies.why = {"b": 3}, ["no such filter"]
    with pytest.raises(MeshError, match="(?s)b refused no such filter.*Undo the last change"):
        converge.converged(lab, since, [], [], deadline=5)


def test_a_pod_that_goes_meanwhile_is_not_waited_for(proxies, monkeypatch):
    lab, going = Own(pod("a", spec=PROXIED), pod("b", spec=PROXIED)), []

    def get(client, namespace, name, *where):
        if name == "b":
            going.append(name)
            lab.objects[POD] = (
                [each for each in lab.objects[POD] if each["metadata"]["name"] != "b"] if len(going) > 4 else lab.objects[POD]
            )
            raise MeshError("default/b cannot be reached: pods b not found")
        return proxies.get(client, namespace, name, *where)

    monkeypatch.setattr(channels, "get", get)
    assert converge.converged(lab, converge.before(lab), [], [], deadline=5) == 1 and len(going) > 4


def test_without_pods_there_is_nothing_to_wait_for(proxies):
    lab = Own(pod("without"))
    assert converge.settled(lab) == 0 and not lab.made


def test_the_gateway_is_where_somebody_has_noted_it():
    assert gateway.url(Own(mark_says={"gateway": "http://192.0.2.1:30080"})) == "http://192.0.2.1:30080"
    with pytest.raises(ClusterError, match="(?s)nobody has noted where it is.*Ask whoever runs the cluster"):
        gateway.url(Own())


def test_nothing_of_the_whole_mesh_is_asked_for(monkeypatch):
    lab = Own(pod("a", spec=PROXIED, status={"podIP": "10.0.0.1"}), mark_says={"istio": "a digest"})
    monkeypatch.setattr("lab_helpers.istio.envoy.clusters", lambda *_: [])
    assert installation.undo_changes(lab) == []
    assert checkpoint._made_for_the_mesh(lab) == []
    assert "cannot be seen by your account" in checkpoint._mesh_wide(lab)[0]
    assert labels.injecting(lab, {"istio.io/rev": "1-31"}) == {"istio.io/rev": "1-31"}
    assert calls(lab).empty
    assert told._concerned(lab, [{"kind": "Gateway", "metadata": {"name": "g"}, "spec": {"selector": {"istio": "ingressgateway"}}}]) is None
    assert [each for each in lab.asked if isinstance(each, tuple)] == [("MutatingWebhookConfiguration", None)]


def test_connect_tells_how_far_one_sees(monkeypatch):
    lab = Own(pod("a", spec=PROXIED))
    monkeypatch.setattr(connection, "is_embedded", lambda context: True)
    lab.version, lab.context = "v1.36.3", type("Context", (), {"where": "The cluster"})()
    assert connection._ask(lab, True) == ("v1.36.3", "1 proxies of your own (your account may look no farther)")
    lab.kinds = lambda wanted: [Kind("gateway.networking.k8s.io/v1", "Gateway")]  # not one of Istio's
    assert connection._ask(lab, False) == ("v1.36.3", "no Istio yet")
    with pytest.raises(ClusterError, match="(?s)none of Istio's kinds.*Ask whoever runs it"):
        connection._ask(lab, True)


# What the course ships for such a learner.

SHIPPED = list(yaml.safe_load_all((paths.ROOT / "book" / "learner.yaml").read_text(encoding="utf-8")))
RULES = [(each["metadata"]["namespace"], rule) for each in SHIPPED if each["kind"] == "Role" for rule in each["rules"]]


def lets(verb: str, resource: str, group: str = "", namespace: str = "alice", name: str = "") -> bool:
    """Whether the shipped Roles allow something, by RBAC's own rules."""
    return any(
        where == namespace
        and {verb, "*"} & set(rule["verbs"])
        and {group, "*"} & set(rule["apiGroups"])
        and {resource, "*"} & set(rule["resources"])
        and (not rule.get("resourceNames") or name in rule["resourceNames"])
        for where, rule in RULES
    )


@pytest.mark.parametrize(
    ("verbs", "resource", "group"),
    [
        (("get", "list", "create", "patch", "delete"), "pods", ""),
        (("get", "list", "create", "patch", "delete"), "services", ""),
        (("get", "list", "create", "patch", "delete"), "serviceaccounts", ""),
        (("get", "list", "create", "patch", "delete"), "secrets", ""),
        (("get", "list", "create", "patch", "delete"), "deployments", "apps"),
        (("get", "list", "delete"), "replicasets", "apps"),
        (("get", "list", "create", "patch", "delete"), "horizontalpodautoscalers", "autoscaling"),
        (("get", "list", "create", "patch", "delete"), "networkpolicies", "networking.k8s.io"),
        (("get", "list", "create", "patch", "delete"), "roles", "rbac.authorization.k8s.io"),
        (("get", "list", "create", "patch", "delete"), "rolebindings", "rbac.authorization.k8s.io"),
        (("get", "list", "create", "patch", "delete"), "virtualservices", "networking.istio.io"),
        (("get", "list", "create", "patch", "delete"), "serviceentries", "networking.istio.io"),
        (("get", "list", "create", "patch", "delete"), "peerauthentications", "security.istio.io"),
        (("get", "list", "create", "patch", "delete"), "telemetries", "telemetry.istio.io"),
        (("get", "list", "create", "patch", "delete"), "wasmplugins", "extensions.istio.io"),
        (("get", "list", "create", "patch", "delete"), "httproutes", "gateway.networking.k8s.io"),
        (("list",), "endpointslices", "discovery.k8s.io"),
        (("get", "create"), "pods/exec", ""),
        (("get", "create"), "pods/portforward", ""),
        (("get",), "pods/log", ""),
        (("get", "patch"), "namespaces", ""),
    ],
)
def test_the_shipped_role_lets_a_learner_do_what_the_course_does_in_a_namespace(verbs, resource, group):
    assert all(lets(verb, resource, group) for verb in verbs)


def test_the_shipped_role_ends_at_the_namespace_but_for_the_mark():
    assert {namespace for namespace, _ in RULES} == {"alice", "kube-public"}
    assert {each["kind"] for each in SHIPPED} == {"Namespace", "ServiceAccount", "Role", "RoleBinding"}, "nothing of the whole cluster"
    assert lets("get", "configmaps", namespace="kube-public", name="meshlab")
    assert not any(lets(verb, "configmaps", namespace="kube-public", name="other") for verb in ("get", "list"))
    assert not any(lets(verb, "configmaps", namespace="kube-public", name="meshlab") for verb in ("patch", "update", "delete", "create"))
    subjects = [subject for each in SHIPPED if each["kind"] == "RoleBinding" for subject in each["subjects"]]
    assert {(each["kind"], each["namespace"], each["name"]) for each in subjects} == {("ServiceAccount", "alice", "learner")}
    assert not lets("impersonate", "users") and not lets("escalate", "roles", "rbac.authorization.k8s.io")


# The real client before a server that speaks HTTP, and that lets an account do what the shipped Roles say, as an API server does.

GROUPS = {
    "v1": (("pods", "Pod"), ("services", "Service"), ("configmaps", "ConfigMap"), ("serviceaccounts", "ServiceAccount")),
    "apps/v1": (("deployments", "Deployment"), ("replicasets", "ReplicaSet")),
    "networking.istio.io/v1": (("virtualservices", "VirtualService"), ("serviceentries", "ServiceEntry")),
    "authorization.k8s.io/v1": (("selfsubjectaccessreviews", "SelfSubjectAccessReview"),),
}
PATH = re.compile(
    r"/(?:api/(?P<core>v1)|apis/(?P<group>[^/]+)/(?P<version>v1))(?:/namespaces/(?P<namespace>[^/]+))?/(?P<kind>[^/]+)(?:/(?P<name>[^/]+))?"
)


def listed(version: str, kinds) -> dict:
    clusterwide = version.startswith("authorization")
    verbs = ["create"] if clusterwide else ["get", "list", "create", "patch", "delete"]
    resources = [{"name": name, "kind": kind, "namespaced": not clusterwide, "verbs": verbs} for name, kind in kinds]
    return {"kind": "APIResourceList", "groupVersion": version, "resources": resources}


def discovered() -> dict:
    """All groups at once, as servers have them since Kubernetes 1.30."""
    version = lambda kinds: [  # noqa: E731
        {"resource": name, "responseKind": {"kind": kind}, "scope": "Namespaced", "verbs": ["list"]} for name, kind in kinds
    ]
    items = [
        {"metadata": {"name": group.partition("/")[0]}, "versions": [{"version": "v1", "resources": version(kinds)}]}
        for group, kinds in GROUPS.items()
        if "/" in group
    ]
    return {"kind": "APIGroupDiscoveryList", "items": items}


@pytest.fixture
def alice():
    """A client of the account, and what was refused to it."""
    refused = []
    mark_ = {"metadata": {"name": "meshlab", "namespace": "kube-public"}, "data": {"gateway": "http://192.0.2.1:30080"}}
    versions = {each.partition("/")[0]: {"groupVersion": each, "version": "v1"} for each in GROUPS if "/" in each}
    groups = [{"name": name, "versions": [version], "preferredVersion": version} for name, version in versions.items()]
    pages = {"/version": {"gitVersion": "v1.36.3"}, "/api/v1": listed("v1", GROUPS["v1"])}
    pages |= {f"/apis/{each}": listed(each, kinds) for each, kinds in GROUPS.items() if "/" in each}

    def answer(request):
        if request.path == "/apis":
            new = "APIGroupDiscoveryList" in request.headers.get("accept", "")
            return 200, discovered() if new else {"kind": "APIGroupList", "groups": groups}
        if request.path in pages:
            return 200, pages[request.path]
        found = PATH.fullmatch(request.path)
        if found["kind"] == "selfsubjectaccessreviews":
            asked = json.loads(request.body)["spec"]["resourceAttributes"]
            resource = "/".join(filter(None, (asked["resource"], asked.get("subresource"))))
            return 201, {"metadata": {}, "status": {"allowed": lets(asked["verb"], resource, namespace=asked.get("namespace", ""))}}
        verb = {"GET": "get" if found["name"] else "list", "POST": "create", "PATCH": "patch", "DELETE": "delete"}[request.method]
        if not lets(verb, found["kind"], found["group"] or "", found["namespace"] or "", found["name"] or ""):
            refused.append(request.path)
            said = f'{found["kind"]} is forbidden: User "learner" cannot {verb} resource "{found["kind"]}"'
            return 403, {"kind": "Status", "message": said}
        if found["name"] == "meshlab":
            return 200, mark_
        return (404, {"kind": "Status", "message": "not found"}) if found["name"] else (200, {"metadata": {}, "items": []})

    with serving(answer) as (address, _):
        yield Lab(Client(kubeconfig.Context("alice", {"server": address}, {"token": "t"}, ""), "alice")), refused


def test_whoever_has_these_rights_is_never_told_of_others_that_they_lack(alice):
    lab, refused = alice
    assert connection._ask(lab, True) == ("v1.36.3", "0 proxies of your own (your account may look no farther)")
    assert lab.url == "http://192.0.2.1:30080"
    assert lab.delete("12_traffic_shifting/02-all-v1.yaml").changes[0].action == "absent"
    assert lab.calls().empty
    lab.client.require_mark()
    assert refused == [], "nothing was tried that is not allowed"


def test_what_they_lack_is_told_in_a_sentence(alice):
    lab, refused = alice
    with pytest.raises(ClusterError, match="(?s)lab.promql: your account may not do that. services is forbidden.*Ask whoever runs"):
        lab.promql("up")
    assert refused == ["/api/v1/namespaces/istio-system/services/prometheus"]
