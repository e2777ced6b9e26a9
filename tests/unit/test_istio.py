"""What istiod, Envoy and the gateway answer, read without any of them."""

import pytest

from lab_helpers.istio import converge, envoy, gateway, istiod
from lab_helpers.kube.kinds import NODE
from tests.objects import Cluster


@pytest.mark.parametrize(
    ("cluster", "service"),
    [
        ("outbound|9080|v1|reviews.default.svc.cluster.local", ("reviews", "default")),
        ("outbound|9080||reviews.team.svc.example.org", ("reviews", "team")),
        ("outbound|443||www.example.com", ("", "")),
        ("inbound|9080||", ("", "")),
        ("BlackHoleCluster", ("", "")),
    ],
)
def test_the_service_behind_a_cluster(cluster, service):
    assert envoy.service_of(cluster) == service


def test_hosts_of_a_cluster_with_and_without_counters():
    status = {
        "address": {"socket_address": {"address": "10.0.0.1"}},
        "stats": [{"name": "rq_total", "value": "7"}, {"name": "rq_error"}],
        "health_status": {"eds_health_status": "DRAINING"},
    }
    assert envoy.hosts({"host_statuses": [status]}) == [{"address": "10.0.0.1", "healthy": False, "requests": 7, "errors": 0}]
    assert envoy.hosts({}) == []


def test_a_proxy_is_behind_in_what_it_was_sent_and_did_not_accept():
    proxy = istiod.Proxy("a", "default", {"Cluster": "2", "Listener": "2", "Secret": ""}, {"Cluster": "1", "Listener": "2"})
    assert proxy.behind == ["Cluster"] and str(proxy) == "a.default"


def test_istiods_answer_is_read_by_xds_type():
    kind = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
    proxy = istiod._proxy({"proxy": "a.default", "resources": {kind: {"sent": "2", "acked": "1", "lastError": "no"}}})
    assert proxy.behind == ["Cluster"] and proxy.errors == {"Cluster": "no"}


def test_what_istiod_does_not_hold_yet_is_named():
    rule = {"kind": "VirtualService", "metadata": {"name": "r", "namespace": "default", "resourceVersion": "5", "uid": "u"}}
    key = ("VirtualService", "default", "r")
    held = lambda version, uid="u": {key: {"resourceVersion": version, "uid": uid}}  # noqa: E731
    assert converge._late([held("5")], [rule]) == [] and converge._kept([{}], [rule]) == []
    assert converge._late([held("4")], [rule]) == converge._late([{}], [rule]) == ["VirtualService r"]
    assert converge._kept([held("5")], [rule]) == ["VirtualService r (deleted)"]
    assert converge._kept([held("9", "another")], [rule]) == [], "somebody has made one of that name since"


def test_a_service_that_istiod_still_knows_is_named(monkeypatch):
    """Of those it does not say the uid, but when they were made."""
    service = {
        "kind": "Service",
        "metadata": {"name": "s", "namespace": "default", "creationTimestamp": "2026-11-27T10:00:00Z", "uid": "u"},
    }
    known = {"Attributes": {"Name": "s", "Namespace": "default"}, "creationTime": "2026-11-27T10:00:00Z"}
    for answer, kept in (([known], ["Service s (deleted)"]), ([], []), ([{**known, "creationTime": "2026-11-27T10:00:01Z"}], [])):
        monkeypatch.setattr(istiod, "_ask", lambda client, path, answer=answer: [[], answer])
        assert converge._kept(istiod.services(None), [service]) == kept


def test_who_has_written_a_status_since_has_taken_nothing_back():
    """istiod itself does so for a ServiceEntry: the version that was written is never the one that it holds."""
    entry = {"kind": "ServiceEntry", "metadata": {"name": "e", "namespace": "default", "resourceVersion": "99", "uid": "u"}}
    for version, late in {"100": [], "99": [], "98": ["ServiceEntry e"], "": ["ServiceEntry e"], "x": ["ServiceEntry e"]}.items():
        assert converge._late([{istiod.key(entry): {"resourceVersion": version, "uid": "u"}}], [entry]) == late


def test_of_several_istiods_each_has_to_know():
    rule = {"kind": "VirtualService", "metadata": {"name": "r", "namespace": "default", "resourceVersion": "5", "uid": "u"}}
    new, old = ({istiod.key(rule): {"resourceVersion": version, "uid": "u"}} for version in ("5", "4"))
    assert converge._late([new, old], [rule]) == ["VirtualService r"] and converge._late([new, new], [rule]) == []
    assert converge._kept([{}, new], [rule]) == ["VirtualService r (deleted)"]


def test_the_pod_that_served_a_page():
    assert gateway.served_by("<div>Reviews served by:\n   reviews-v3-6f-x\n </div>") == "reviews-v3-6f-x"
    assert gateway.served_by("Error fetching product reviews") is None


V4, V6 = {"type": "InternalIP", "address": "192.0.2.7"}, {"type": "InternalIP", "address": "fd00::1"}


@pytest.mark.parametrize(
    ("addresses", "ingress", "found"),
    [
        ([V4], [], "192.0.2.7:30080"),
        ([V4, V6], [], "192.0.2.7:30080"),  # the last one used to count, without brackets
        ([V6, V4], [], "192.0.2.7:30080"),
        ([V6], [], "[fd00::1]:30080"),
        ([V4, {"type": "ExternalIP", "address": "198.51.100.1"}], [], "198.51.100.1:30080"),
        ([{"type": "Hostname", "address": "a"}], [], ""),
        ([V4], [{"ip": "198.51.100.9"}], "198.51.100.9:80"),
        ([V4], [{"ip": "2001:db8::9"}], "[2001:db8::9]:80"),
        ([V4], [{"hostname": "lb.example"}], "lb.example:80"),
    ],
)
def test_the_gateways_address_is_one_that_a_url_can_have(addresses, ingress, found):
    cluster = Cluster({NODE: [{"metadata": {"name": "n"}, "status": {"addresses": addresses}}]})
    service = {"metadata": {"name": "g"}, "spec": {}, "status": {"loadBalancer": {"ingress": ingress}}}
    assert gateway.address(cluster, service, {"port": 80, "nodePort": 30080}) == found
