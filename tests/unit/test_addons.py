"""What the embedded lab changes in Istio's add-ons, and how one that cannot run is refused."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from click.testing import CliRunner

from lab_helpers.cli import main
from lab_helpers.core.errors import ClusterError
from lab_helpers.node import machine
from lab_helpers.node.install import addon_manifests
from lab_helpers.traffic import addons

RULES = yaml.safe_load((addon_manifests.OVERLAY / "prometheus.yaml").read_text())["metric_relabel_configs"]
TABLE = (Path(__file__).parents[2] / "book" / "metrics.md").read_text()


def relabelled(**labels: str) -> dict[str, str]:
    """What Prometheus makes of a series by the rules: a label that is missing is empty, and a pattern has to match all of it."""
    for rule in RULES:
        if rule.get("action") == "labeldrop":
            labels = {name: value for name, value in labels.items() if not re.fullmatch(rule["regex"], name)}
        elif match := re.fullmatch(rule["regex"], ";".join(labels.get(name, "") for name in rule["source_labels"])):
            labels[rule["target_label"]] = match.expand(rule.get("replacement", "$1").replace("$1", r"\1"))
    return {name: value for name, value in labels.items() if value}


SERVICES = '[{"host":"reviews.shop.svc.cluster.local","name":"reviews","namespace":"shop"},{"host":"b","name":"b","namespace":"b"}]'
FRONT = "spiffe://cluster.local/ns/shop/sa/front"


def call(*fields: str, metric: str = "requests_total") -> dict[str, str]:
    """The labels that Prometheus makes of the fields of the tag "lab_call"."""
    return relabelled(__name__=f"envoy_istio_{metric}", lab_call="|".join(fields))


def test_a_call_is_taken_apart():
    reviews, client = "reviews-v3;shop;reviews;v3;Kubernetes", "client;shop;caller;r1;Kubernetes;front;v9"
    found = call("source", FRONT, reviews, "spiffe://b", SERVICES, "UF,URX", "503", "", "[", client)
    assert found["__name__"] == "istio_requests_total" and found["reporter"] == "source"
    own = {"workload": "client", "workload_namespace": "shop", "canonical_service": "caller", "canonical_revision": "r1"}
    assert {key: found[f"source_{key}"] for key in own} == own
    assert (found["source_app"], found["source_version"], found["source_cluster"]) == ("front", "v9", "Kubernetes")
    told = {"workload": "reviews-v3", "workload_namespace": "shop", "app": "reviews", "version": "v3", "cluster": "Kubernetes"}
    assert {key: found[f"destination_{key}"] for key in told} == told
    assert (found["source_principal"], found["destination_principal"]) == (FRONT, "spiffe://b")
    asked = [found[f"destination_{key}"] for key in ("service", "service_name", "service_namespace")]
    assert asked == ["reviews.shop.svc.cluster.local", "reviews", "shop"]
    assert (found["response_flags"], found["response_code"], found["request_protocol"]) == ("UF,URX", "503", "http")
    assert not [name for name in found if name == "lab_call" or name.startswith("__tmp_")] and "grpc_response_status" not in found


def test_the_revision_that_istiod_leaves_out_is_the_latest():
    """Both labels were absent at the sender."""
    found = call("source", FRONT, "sleep;shop;sleep;;Kubernetes", "spiffe://b", SERVICES, "-", "200", "", "-", "a;b;c;d;e")
    assert (found["destination_canonical_revision"], found["destination_version"]) == ("latest", "latest")
    assert (found["destination_workload"], found["destination_app"], found["destination_cluster"]) == ("sleep", "sleep", "Kubernetes")
    receiver = call(
        "destination", FRONT, "sleep;shop;sleep;latest;Kubernetes;sleep;unknown", "spiffe://b", SERVICES, "-", "200", "", "-", "-"
    )
    assert (receiver["destination_canonical_revision"], receiver["destination_version"]) == ("latest", "unknown")


@pytest.mark.parametrize(
    ("outside", "host", "name"),
    [
        ("example.com:80;PassthroughCluster;allow_any", "example.com:80", "PassthroughCluster"),
        ("example.com;-;block_all", "example.com", "BlackHoleCluster"),
        (";PassthroughCluster", "unknown", "PassthroughCluster"),
        (";BlackHoleCluster", "unknown", "BlackHoleCluster"),
    ],
)
def test_what_leaves_the_mesh_is_named_by_its_host_and_cluster(outside, host, name):
    found = call("source", "-", "-", "-", "-", "-", "200", "", outside, "a;b;c;d;e")
    assert (found["destination_service"], found["destination_service_name"]) == (host, name)
    assert found["destination_service_namespace"] == found["destination_workload"] == "unknown"
    assert call("source", "-", "-", "-", "-", "NR", "404", "", "any.host;-;-", "a;b;c;d;e")["destination_service"] == "unknown"


@pytest.mark.parametrize(
    ("reporter", "principal", "code", "status", "security", "protocol"),
    [
        ("destination", FRONT, "200", "", "mutual_tls", "http"),
        ("destination", "-", "200", "0", "none", "grpc"),
        ("source", FRONT, "200", "14", "unknown", "grpc"),
        ("destination", FRONT, "tcp", "", "mutual_tls", "tcp"),
    ],
)
def test_security_and_protocol_follow_from_the_rest(reporter, principal, code, status, security, protocol):
    found = call(reporter, principal, "-", "-", SERVICES, "-", code, status, "-", "-")
    assert (found["connection_security_policy"], found["request_protocol"]) == (security, protocol)
    assert found.get("response_code") == (None if code == "tcp" else code) and found.get("grpc_response_status", "") == status


@pytest.mark.parametrize("nobody", ["", "-"])
def test_who_is_not_known_is_unknown(nobody):
    found = call("destination", *[nobody] * 9)
    unknown = {name for name, value in found.items() if value == "unknown"}
    assert {"source_workload", "source_version", "destination_app", "source_principal", "destination_service"} <= unknown


def test_what_a_caller_claims_changes_no_other_label():
    found = call("destination", "-", "a;b;c;d;e", "-", SERVICES, "-", "200", "", "-", "x|y|z;forged|200")
    assert found["response_code"] == "200" and found["destination_workload"] == "a" and found["connection_security_policy"] == "none"


def test_a_certificate_tells_the_namespace_of_a_tcp_client():
    found = call("destination", FRONT, "a;b;c;d;e", "-", SERVICES, "-", "tcp", "", "-", "-", metric="tcp_sent_bytes_total")
    assert found["source_workload_namespace"] == "shop" and found["source_workload"] == "unknown"


@pytest.mark.parametrize("name", ["istio_agent_go_goroutines", "envoy_server_uptime", "pilot_xds_pushes", "http_requests_total"])
def test_other_metrics_stay_as_they_are_whatever_labels_they_have(name):
    ours = {"call": "a|b|c", "source": "a;b;c;d;e", "destination": "-", "services": SERVICES, "outside": "a;PassthroughCluster"}
    istios = {"reporter": "destination", "response_code": "tcp", "grpc_response_status": "0", "source_workload_namespace": "unknown"}
    labels = {"__name__": name, "pod": "a", "source_principal": FRONT, **ours, **istios}
    assert relabelled(**labels) == labels


def formats() -> dict[str, set[str]]:
    """How the one tag of each statistic is written that a stats access logger in the overlay counts."""
    [document] = yaml.safe_load_all((addon_manifests.OVERLAY / "metrics.yaml").read_text())
    loggers = [
        logger["typed_config"]
        for patch in document["spec"]["configPatches"]
        for logger in patch["patch"]["value"].get("typed_config", {}).get("access_log", [])
    ]
    assert len(loggers) == 6, "HTTP and TCP, each at the receiver, the sender and the gateways"
    found: dict[str, set[str]] = {}
    for each in [each for logger in loggers for each in [*logger["counters"], *logger.get("histograms", [])]]:
        [tag] = each["stat"]["tags"]
        assert tag["name"] == "lab_call"
        found.setdefault(f"istio_{each['stat']['name']}", set()).add(tag["value_format"])
    return found


def test_every_metric_of_the_books_table_is_written_with_every_label():
    labels = set(re.findall(r"^\| `([a-z_]+)` \|(?:[^|]*\|){5}$", TABLE, re.M))
    metrics = set(re.findall(r"`(istio_[a-z_]+)`", TABLE.split("## Where each label")[0]))
    assert set(formats()) == metrics and len(labels) == 25
    assert all(each.count("|") == 9 for written in formats().values() for each in written), "ten fields in each"
    made = {rule["target_label"] for rule in RULES if "target_label" in rule} - {"__name__"}
    assert {name for name in made if not name.startswith("__tmp_")} == labels | {
        "other_services"
    }  # the lab's own, of pods of several services


def test_prometheus_scrapes_proxies_by_the_overlay_and_all_else_as_published():
    jobs = [{"job_name": name, "scheme": "https"} for name in ("kubernetes-api-servers", "kubernetes-nodes-cadvisor", "kubernetes-pods")]
    config_map = {"data": {"prometheus.yml": yaml.safe_dump({"global": {"scrape_interval": "15s"}, "scrape_configs": jobs})}}
    addon_manifests._scrape(config_map)
    found = yaml.safe_load(config_map["data"]["prometheus.yml"])
    assert found["global"] == {"scrape_interval": "15s"}
    cadvisor, pods = found["scrape_configs"]
    assert cadvisor == jobs[1] and pods["scrape_interval"] == "2s" and pods["metric_relabel_configs"] == RULES


class Cluster:
    """A cluster that cannot pull images and has one of the objects already: what it was asked to delete is kept."""

    def __init__(self):
        self.there = {("ConfigMap", "kept"): {"kind": "ConfigMap", "metadata": {"name": "kept", "uid": "1"}}}
        self.deleted = []

    def get(self, kind, name, namespace=None):
        return self.there.get((kind.kind, name))

    def apply(self, document, dry_run=False, warn=None):
        applied = {**document, "metadata": {**document["metadata"], "uid": "2"}}
        return self.there.setdefault((document["kind"], document["metadata"]["name"]), applied)

    def list(self, kind, namespace=None, labels=None):
        assert labels == {"app": "kiali"}
        state = {"waiting": {"reason": "ErrImagePull", "message": "no such host"}}
        container = {"image": "docker.io/some/kiali:v2", "state": state}
        pod = {"metadata": {"name": "kiali-1"}, "status": {"containerStatuses": [container]}}
        return [pod] if ("Deployment", "kiali") in self.there else []

    def delete(self, kind, name, *arguments, **more):
        self.deleted.append((kind.kind, name))
        return self.there.pop((kind.kind, name), None) is not None


def test_an_image_that_cannot_be_pulled_ends_it_and_what_was_there_before_stays(monkeypatch):
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "kiali"}}
    deployment["spec"] = {"selector": {"matchLabels": {"app": "kiali"}}}
    documents = [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kept"}}, deployment]
    cluster = Cluster()
    monkeypatch.setattr(addon_manifests, "manifest", lambda name: documents)
    with pytest.raises(ClusterError, match="Kiali cannot run on this cluster: the image docker.io/some/kiali:v2 cannot be pulled"):
        addon_manifests.install(cluster, "kiali")
    assert cluster.deleted == [("Deployment", "kiali")]


def test_of_a_service_that_jaeger_and_zipkin_both_have_only_zipkins_is_applied(monkeypatch):
    def manifest(name):
        return [
            {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "tracing"}, "spec": {"selector": {"app": name}}},
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"{name}-dashboards"}},
        ]

    applied = []
    monkeypatch.setattr(addon_manifests, "manifest", manifest)
    monkeypatch.setattr(addon_manifests, "put", lambda client, documents: applied.extend(documents))
    addon_manifests.start(None)
    services = {each["metadata"]["name"]: each["spec"]["selector"] for each in applied if each["kind"] == "Service"}
    assert services["tracing"] == {"app": "zipkin"} and len(services) == sum(each["kind"] == "Service" for each in applied)
    assert "grafana-dashboards" in [each["metadata"]["name"] for each in applied]


def test_the_pages_of_the_addons_are_on_the_nodes_address():
    node = {"status": {"addresses": [{"type": "Hostname", "address": "n"}, {"type": "InternalIP", "address": "192.0.2.7"}]}}
    of_zipkin, of_jaeger = {"app": "zipkin"}, {"app": "jaeger"}
    services = {
        name: {"metadata": {"name": name}, "spec": {"selector": selector, "ports": [port]}, "status": {}}
        for name, selector, port in (
            ("prometheus", {}, {"port": 9090}),
            ("zipkin", of_zipkin, {"port": 9411}),
            ("tracing", of_zipkin, {"port": 80, "targetPort": 9411}),
            ("zipkin-ui", of_zipkin, {"port": 9411, "nodePort": 30011}),
            ("jaeger-ui", of_jaeger, {"port": 16686, "nodePort": 30086}),
        )
    }
    client = SimpleNamespace(list=lambda kind: [node], get=lambda kind, name, namespace: services.get(name))
    assert addons.addresses(client) == {"jaeger": "http://192.0.2.7:30086", "zipkin": "http://192.0.2.7:30011"}


@pytest.mark.parametrize(
    ("arguments", "sentence"), [(["addons", "loki"], "'loki' is not one of"), (["addons", "kiali"], "The embedded lab is not running")]
)
def test_a_wrong_call_gets_a_sentence(monkeypatch, arguments, sentence):
    monkeypatch.setattr(machine, "init_pid", lambda of: None)
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code in (1, 2) and sentence in done.output and "Traceback" not in done.output
