"""What a change has told a proxy: by dumps as Envoy writes them, cut down to what matters."""

import json

import pytest

from lab_helpers.istio import told
from lab_helpers.istio.istiod import Proxy
from lab_helpers.kube.apply import Outcome, Told
from lab_helpers.show import render

REVIEWS = "reviews.default.svc.cluster.local"


def pod(name, app, namespace="default", **labels):
    status = {"conditions": [{"type": "Ready", "status": "True"}]}
    metadata = {"name": f"{name}-1a-x", "namespace": namespace, "labels": {"app": app, "pod-template-hash": "1a", **labels}}
    return {"metadata": metadata, "spec": {"containers": [{"name": app}, {"name": "istio-proxy"}]}, "status": status}


def route(action):
    return {"match": {"prefix": "/"}, "name": "default", "decorator": {"operation": "x"}, "route": {**action, "timeout": "0s"}}


def routes(action):
    return [{"route_config": {"name": "9080", "virtual_hosts": [{"name": f"{REVIEWS}:9080", "domains": ["*"], "routes": [route(action)]}]}}]


def listener(name, *filters):
    chain = {"name": "0.0.0.0_9080", "filters": [{"name": told.MANAGER, "typed_config": {"http_filters": list(filters)}}]}
    return {"name": name, "version_info": "2026", "active_state": {"listener": {"name": name, "filter_chains": [chain]}}}


def rbac(action):
    return {"name": "envoy.filters.http.rbac", "typed_config": {"@type": "x", "rules": {"action": action}}}


ROUTER = {"name": "envoy.filters.http.router", "typed_config": {"@type": "y", "start_child_span": True}}


class Lab:
    """One namespace, in which a proxy runs what `dumps` say."""

    context, namespace = "test", "default"

    def __init__(self, *pods):
        self.client, self.pods, self.asked = self, pods, []
        self.dumps = {"dynamic_listeners": [], "dynamic_route_configs": [], "dynamic_active_clusters": [], "dynamic_endpoint_configs": []}
        self.nonces = dict.fromkeys(told.TYPES, "1")

    def list(self, kind, namespace="default", labels=None):
        wanted = (labels or {}).items()
        fits = lambda each: wanted <= each["metadata"]["labels"].items()  # noqa: E731
        return [each for each in self.pods if namespace in ("*", each["metadata"]["namespace"]) and fits(each)]

    def get_json(self, client, namespace, name, port, path):
        resource = path.partition("resource=")[2].partition("&")[0]
        self.asked.append(resource)
        return json.loads(json.dumps({"configs": self.dumps[resource]}))


@pytest.fixture(autouse=True)
def no_limits(monkeypatch):
    """Whoever asks may ask istiod."""
    monkeypatch.setattr(told.istiod, "open_to", lambda client: True)


@pytest.fixture
def lab(monkeypatch):
    made = Lab(pod("client", "client"), pod("details", "details"), pod("ingress", "ingress", "istio-system", istio="ingressgateway"))
    monkeypatch.setattr(told.channels, "get_json", made.get_json)
    monkeypatch.setattr(
        told.istiod,
        "proxies",
        lambda client: [Proxy(each["metadata"]["name"], each["metadata"]["namespace"], dict(made.nonces)) for each in made.pods],
    )
    monkeypatch.setattr(told, "_memories", {})
    return made


def change(lab, documents=({"kind": "VirtualService"},), **dumps):
    """What the proxy is told when its dumps become `dumps`."""
    watched = told.before(lab, list(documents))
    lab.asked.clear()
    for resource, configs in dumps.items():
        lab.dumps[resource] = configs
        kind = next(kind for kind, (_, path) in told.TYPES.items() if path.startswith(resource))
        lab.nonces[kind] += "1"
    return told.since(lab, watched)


def test_a_route_that_becomes_weighted(lab):
    lab.dumps["dynamic_route_configs"] = routes({"cluster": f"outbound|9080||{REVIEWS}"})
    weighted = {
        "weighted_clusters": {"clusters": [{"name": f"outbound|9080|{v}|{REVIEWS}", "weight": w} for v, w in (("v1", 25), ("v3", 75))]}
    }
    got = change(lab, dynamic_route_configs=routes(weighted))
    assert got.proxy == "client" and got.command == "istioctl proxy-config routes deployment/client.default -o json"
    assert got.differences == {
        "routes": [
            f"~ 9080 › {REVIEWS}:9080 › 1. prefix /",
            f"-   route.cluster: outbound|9080||{REVIEWS}",
            f"+   route.weighted_clusters.clusters[outbound|9080|v1|{REVIEWS}].weight: 25",
            f"+   route.weighted_clusters.clusters[outbound|9080|v3|{REVIEWS}].weight: 75",
        ]
    }
    assert lab.asked == ["dynamic_route_configs"], "only what istiod has sent anew is read"


def test_a_new_cluster_is_a_line_and_one_that_changes_says_how(lab):
    cluster = lambda name, **more: {"cluster": {"name": name, "metadata": {"a": 1}, "lb_policy": "LEAST_REQUEST", **more}}  # noqa: E731
    lab.dumps["dynamic_active_clusters"] = [cluster("a")]
    new = [cluster("a", lb_policy="ROUND_ROBIN"), cluster("b")]
    assert change(lab, dynamic_active_clusters=new).differences == {
        "clusters": ["~ a", "-   lb_policy: LEAST_REQUEST", "+   lb_policy: ROUND_ROBIN", "+ b"]
    }


def test_a_filter_that_comes_between_moves_no_other(lab):
    lab.dumps["dynamic_listeners"] = [listener("virtualInbound", ROUTER)]
    got = change(lab, dynamic_listeners=[listener("virtualInbound", rbac("DENY"), ROUTER), listener("192.0.2.7_80", ROUTER)])
    assert got.differences == {
        "listeners": ["+ ADDRESS_80", "+ virtualInbound › 0.0.0.0_9080 › envoy.filters.http.rbac", "+   rules.action: DENY"]
    }
    again = change(lab, dynamic_listeners=[listener("virtualInbound", rbac("ALLOW"), ROUTER)])
    assert again.differences["listeners"] == [
        "- ADDRESS_80", "~ virtualInbound › 0.0.0.0_9080 › envoy.filters.http.rbac", "-   rules.action: DENY", "+   rules.action: ALLOW",
    ]  # fmt: skip


def test_endpoints_are_counted(lab):
    def table(count, name="outbound|80||a"):
        return [{"endpoint_config": {"cluster_name": name, "endpoints": [{"lb_endpoints": [{}] * count}]}}]

    lab.dumps["dynamic_endpoint_configs"] = table(1)
    lines = ["~ outbound|80||a", "-   endpoints: 1", "+   endpoints: 3"]
    assert change(lab, dynamic_endpoint_configs=table(3)).differences == {"endpoints": lines}
    # Whoever calls a pod by its address makes an endpoint of that: it is not istiod that has told it.
    assert change(lab, dynamic_endpoint_configs=[*table(3), *table(1, "PassthroughCluster")]) is None


def test_who_has_asked_lately_is_nothing_that_a_proxy_was_told(lab):
    """The hosts of an inbound cluster are made by the connections that came in."""
    table = lambda count: [{"endpoint_config": {"cluster_name": "inbound|9080||", "endpoints": [{"lb_endpoints": [{}] * count}]}}]  # noqa: E731
    lab.dumps["dynamic_endpoint_configs"] = table(1)
    assert change(lab, dynamic_endpoint_configs=table(3)) is None


def test_what_only_has_another_version_is_nothing(lab):
    lab.dumps["dynamic_route_configs"] = routes({"cluster": "a"})
    assert change(lab, dynamic_route_configs=[{**routes({"cluster": "a"})[0], "version_info": "later"}]) is None
    assert change(lab) is None and lab.asked == []


@pytest.mark.parametrize("resource", ["dynamic_listeners", "dynamic_route_configs", "dynamic_active_clusters", "dynamic_endpoint_configs"])
def test_what_a_proxy_has_only_refused_is_nothing(lab, resource):
    assert change(lab, **{resource: [{"error_state": {"details": "no"}}]}) is None


def test_few_proxies_are_remembered(lab):
    for number in range(12):
        lab.pods = (pod(f"client{number}", "client"),)
        told.before(lab, [{"kind": "VirtualService"}])
    assert len(told._memories) == told.KEPT


def test_what_changes_in_other_namespaces_is_somebody_elses(lab):
    """Learners who share a mesh change theirs at the same time, and every proxy is told of it."""

    def table(port, *hosts):
        return {"route_config": {"name": port, "virtual_hosts": [{"name": name, "routes": [route(to)]} for name, to in hosts]}}

    def cluster(host):
        return {"cluster": {"name": f"outbound|9080||{host}", "type": "EDS"}}

    theirs, here = "reviews.another.svc.cluster.local", {"cluster": f"outbound|9080||{REVIEWS}"}
    anywhere, there = ("allow_any", {"cluster": "PassthroughCluster"}), {"cluster": f"outbound|9080||{theirs}"}
    lab.dumps["dynamic_route_configs"] = [table("9080", (f"{REVIEWS}:9080", here), (f"{theirs}:9080", there), anywhere)]
    after = [
        table("9080", (f"{REVIEWS}:9080", {"cluster": "x"}), (f"{theirs}:9080", {"cluster": "y"}), anywhere),
        table("8000", ("httpbin.another.svc.cluster.local:8000", there), anywhere),
        table("http.8080", ("another.lab:80", there)),
        table("443", ("shop.example:443", {"cluster": "outbound|443||shop.example"}), anywhere),
    ]
    found = change(lab, dynamic_route_configs=after, dynamic_active_clusters=[cluster(REVIEWS), cluster(theirs)])
    assert [line for line in found.differences["routes"] if line[2] != " "] == [
        "+ 443 › allow_any › 1. prefix /", "+ 443 › shop.example:443 › 1. prefix /", f"~ 9080 › {REVIEWS}:9080 › 1. prefix /",
    ]  # fmt: skip
    assert found.differences["clusters"] == [f"+ outbound|9080||{REVIEWS}"]
    change(lab, dynamic_route_configs=[])
    both = [{"kind": "VirtualService", "metadata": {"name": "x", "namespace": "another"}}]
    told_of_both = change(lab, both, dynamic_route_configs=after).differences["routes"]
    assert f"+ 9080 › {theirs}:9080 › 1. prefix /" in told_of_both and "+ 8000 › allow_any › 1. prefix /" in told_of_both


def test_what_others_have_changed_meanwhile_is_not_ones_own(lab):
    change(lab)
    lab.dumps["dynamic_route_configs"], lab.nonces["RouteConfiguration"] = routes({"cluster": "a"}), "other"
    assert change(lab) is None


@pytest.mark.parametrize(
    ("document", "proxy"),
    [
        ({"kind": "VirtualService", "spec": {"hosts": ["reviews"]}}, "client"),
        ({"kind": "VirtualService", "spec": {"gateways": ["bookinfo"]}}, "ingress"),
        ({"kind": "VirtualService", "spec": {"gateways": ["mesh"]}}, "client"),
        ({"kind": "Gateway"}, "ingress"),
        ({"kind": "AuthorizationPolicy", "spec": {"selector": {"matchLabels": {"app": "details"}}}}, "details"),
        ({"kind": "PeerAuthentication"}, "client"),
    ],
)
def test_whose_proxy_is_told(lab, document, proxy):
    assert told._workload(told.before(lab, [document]).pod) == proxy


def test_what_comes_with_a_policy_does_not_say_whose_it_is(lab):
    policy = {"kind": "AuthorizationPolicy", "spec": {"selector": {"matchLabels": {"app": "details"}}}}
    assert told._workload(told.before(lab, [{"kind": "VirtualService"}, policy]).pod) == "details"


def test_where_there_is_no_proxy_nobody_is_told(lab):
    lab.pods = ()
    assert told.before(lab, [{"kind": "VirtualService"}]) is None and told.since(lab, None) is None


def test_it_is_folded_and_long_ones_are_cut():
    of = Told("client", {"routes": ["~ <a>", *[f"+   {number}: x" for number in range(40)]], "clusters": ["+ b"]}, "istioctl proxy-config")
    html = render.outcome(Outcome("kubectl", [], told=of))
    assert "what the proxy of client was told: 1 route, 1 cluster" in html and "&lt;a&gt;" in html and "⋯ 17 more lines" in html
    assert "<details" in html and " open" not in html
