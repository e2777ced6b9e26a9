"""The parts of `mesh` that need no cluster: reading answers, waiting, refusing what makes no sense."""

import socket
import time
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from lightkube.config.kubeconfig import KubeConfig
from lightkube.config.models import Cluster, User

from lab_helpers.core.errors import ClusterError, CommandError, MeshError, TrafficError
from lab_helpers.istio import apply, converge, envoy, gateway, istiod
from lab_helpers.kube import channels, commands
from lab_helpers.traffic import observe
from lab_helpers.mesh import wait
from lab_helpers.lab.lab import Lab


@pytest.fixture
def lab(tmp_path):
    return SimpleNamespace(bin="", kubeconfig=tmp_path / "none", context="none", namespace="default")


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("", "does not begin with kubectl, istioctl, curl"),
        ("rm -rf /", "does not begin with"),
        ("kubectl get pods | grep x", r"uses '\|'.*\.stdout is a str"),
        ("kubectl get pods > x", "uses '>'"),
        ("curl x && curl y", "uses '&&'"),
        ('kubectl get "pods', "cannot be read as a command"),
    ],
)
def test_a_line_that_cannot_be_run_says_why(lab, line, sentence):
    with pytest.raises(CommandError, match=f"(?s){sentence}"):
        commands.run(lab, line)


def test_a_command_that_fails_passes_its_error_on(lab):
    with pytest.raises(CommandError, match="(?s)exit code 2.*--no-such-option"):
        commands.run(lab, "curl --no-such-option")


def test_a_command_that_hangs_is_ended_at_its_deadline(lab):
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, and never answers
        start = time.monotonic()
        with pytest.raises(CommandError, match="did not end within 0.2 s"):
            commands.run(lab, f"curl http://127.0.0.1:{silent.getsockname()[1]}", deadline=0.2)
    assert time.monotonic() - start < 5


def test_a_program_that_is_not_there_says_where_it_comes_from(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(CommandError, match="(?s)istioctl is not installed.*meshlab up"):
        commands.find("istioctl")


def test_the_labs_own_program_comes_before_the_one_on_path(tmp_path):
    own = tmp_path / "kubectl"
    own.write_text("#!/bin/sh\n")
    own.chmod(0o755)
    assert commands.find("kubectl", tmp_path) == str(own)


def test_waiting_ends_as_soon_as_nobody_lags():
    answers = iter([["a"], ["a"], []])
    start = time.monotonic()
    wait.until_none(lambda: next(answers), "all", "do", seconds=5)
    assert time.monotonic() - start < 1


def test_waiting_too_long_names_who_lags():
    with pytest.raises(MeshError, match="(?s)After 0.05 s still waiting for all: a lacks b; c.*do this"):
        wait.until_none(lambda: ["a lacks b", "c"], "all", "do this", seconds=0.05)


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
    rule = {"kind": "VirtualService", "metadata": {"name": "r", "namespace": "default", "resourceVersion": "5"}}
    key = ("VirtualService", "default", "r")
    assert converge._unknown({key: "5"}, [rule], []) == [] and converge._unknown({}, [], [rule]) == []
    assert converge._unknown({key: "4"}, [rule], []) == ["VirtualService r"]
    assert converge._unknown({key: "5"}, [], [rule]) == ["VirtualService r (deleted)"]


def test_a_change_is_what_a_person_changed():
    old = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "a", "resourceVersion": "1"},
        "spec": {"x": 1},
        "status": {"y": 1},
    }
    new = {**old, "metadata": {"name": "a", "resourceVersion": "2"}, "status": {"y": 2}}
    assert apply._change(old, None, new).action == "created" and apply._change(old, old, new).action == "unchanged"
    change = apply._change(old, old, {**new, "spec": {"x": 2}})
    assert change.action == "configured" and "-  x: 1" in change.diff and "+  x: 2" in change.diff


def test_the_pod_that_served_a_page():
    assert gateway.served_by("<div>Reviews served by:\n   reviews-v3-6f-x\n </div>") == "reviews-v3-6f-x"
    assert gateway.served_by("Error fetching product reviews") is None


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ({"n": 0}, "n = 0, parallel = 1 is out of range"),
        ({"n": 1_000_000}, "out of range"),
        ({"parallel": 51}, "out of range"),
        ({"via": "tunnel"}, "no way 'tunnel' into the mesh.*mesh, plain, gateway"),
        ({"service": "unheard"}, "What to ask unheard for is not known"),
    ],
)
def test_requests_that_make_no_sense_are_refused(lab, how, sentence):
    with pytest.raises(TrafficError, match=f"(?s){sentence}"):
        observe.observe(lab, **{"service": "reviews", **how})


@pytest.mark.parametrize(
    "use",
    [
        lambda lab: lab.page(),
        lambda lab: lab.apply("04_bookinfo/01-productpage"),
        lambda lab: lab.checkpoint("04_bookinfo"),
        lambda lab: lab.observe("reviews"),
        lambda lab: lab.calls(),
    ],
)
def test_an_api_server_that_is_gone_is_named_whatever_was_asked(tmp_path, use):
    with socket.socket() as held:  # bound and not listening: connections are refused
        held.bind(("127.0.0.1", 0))
        cluster = Cluster(server=f"https://127.0.0.1:{held.getsockname()[1]}", insecure=True)
        config = KubeConfig.from_one(cluster=cluster, user=User(token="t")).get()
        with pytest.raises(ClusterError, match="(?s)the API server did not answer.*meshlab status"):
            use(Lab(config, tmp_path, "default"))


def test_a_kept_connection_that_broke_is_opened_anew(monkeypatch):
    opened, broken = [], set()

    @contextmanager
    def connection(*_):
        opened.append(len(opened))
        yield opened[-1]

    def ask(number, *_):
        if number in broken:
            raise ConnectionResetError("broken pipe")
        return 200, b"answer"

    monkeypatch.setattr(channels, "_connection", connection)
    monkeypatch.setattr(channels, "_ask", ask)
    question = (SimpleNamespace(context="c"), "ns", "pod", 1, "/")
    with channels.kept():
        assert channels.get(*question) == channels.get(*question) == b"answer" and opened == [0]
        broken.add(0)
        assert channels.get(*question) == b"answer" and opened == [0, 1]
        broken.update((1, 2))
        with pytest.raises(MeshError, match="broken pipe"):
            channels.get(*question)
        assert opened == [0, 1, 2], "once, not until it works"
