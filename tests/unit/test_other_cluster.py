"""Whether a cluster that is there already may be changed, and what its mark keeps: a cluster that is a dictionary."""

import json
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import yaml
from click.testing import CliRunner

from lab_helpers.cli import main
from lab_helpers.core import paths
from lab_helpers.core.errors import ClusterError, ManifestError
from lab_helpers.kube import mark
from lab_helpers.kube.kubeconfig import Context
from lab_helpers.lab import connection
from lab_helpers.lab.lab import Lab
from lab_helpers.node.build import binaries, store
from lab_helpers.node.build.versions import VERSIONS
from lab_helpers.node.install import addon_manifests, other_cluster

CONTEXT = Context("kind", {"server": "https://192.0.2.5:6443"}, {}, "")


class Cluster:
    """A client whose cluster holds at most the mark and an istiod."""

    def __init__(self, istiod: bool = False, version: str = "v1.36.3"):
        self.context, self.namespace, self.version, self.tools = CONTEXT, "default", version, ""
        self.mark, self.istiod, self.allowed = None, istiod, False

    def get(self, kind, name, namespace=None):
        return self.mark if (kind.kind, name, namespace) == ("ConfigMap", mark.NAME, mark.NAMESPACE) else None

    def list(self, kind, namespace=None, labels=None):
        found = {"metadata": {"name": "istiod-1-29", "namespace": "mesh"}}
        return [found] if self.istiod and (kind.kind, namespace, labels) == ("Deployment", "*", {"app": "istiod"}) else []

    def apply(self, document):
        assert self.allowed, "changed without permission"
        self.mark = document

    @contextmanager
    def permitted(self):
        self.allowed = True
        yield
        self.allowed = False


@pytest.fixture
def cluster(monkeypatch):
    """A function that makes `look` find such a cluster."""

    def make(**how) -> Cluster:
        made = Cluster(**how)
        monkeypatch.setattr(other_cluster.kubeconfig, "choose", lambda name, candidates: CONTEXT)
        monkeypatch.setattr(other_cluster, "connect", lambda context, **more: Lab(made))
        monkeypatch.setattr(other_cluster, "is_embedded", lambda context: False)
        return made

    return make


def test_a_cluster_too_old_for_this_istio(cluster):
    minimum = VERSIONS["istio"]["minimum_kubernetes"]
    before = f"1.{int(minimum.split('.')[1]) - 1}"
    assert (
        other_cluster.supported("v1.36.3") and other_cluster.supported(f"{minimum}.0-gke.7") and not other_cluster.supported(f"v{before}.9")
    )
    cluster(version="v1.29.1")
    with pytest.raises(ClusterError, match=f"runs Kubernetes v1.29.1; Istio .* needs {minimum} or later"):
        other_cluster.look("kind")


def test_somebodys_istio_is_left_alone_unless_it_is_to_be_taken_over(cluster):
    cluster(istiod=True)
    with pytest.raises(
        ClusterError, match="(?s)kind at https://192.0.2.5:6443 has an Istio already.*istiod-1-29 in namespace mesh"
    ) as caught:
        other_cluster.look("kind")
    assert "--take-over" in caught.value.do
    assert "in place of the one that is there (istiod-1-29 in namespace mesh)" in other_cluster.plan(
        other_cluster.look("kind", take_over=True)
    )


def test_on_a_cluster_with_the_mark_nothing_is_asked(cluster):
    made = cluster(istiod=True)
    mark.set_mark(made)
    assert other_cluster.plan(other_cluster.look("kind")) == ""


def test_the_plan_names_the_cluster_and_all_that_will_be_changed(cluster):
    cluster()
    plan = other_cluster.plan(other_cluster.look("kind"), ["mine.yaml"])
    for each in (
        "context kind at https://192.0.2.5:6443",
        "demo profile",
        "istio-system, with mine.yaml on top",
        "every request of the mesh is traced",
        "Prometheus, Zipkin and Jaeger are installed",
        "Bookinfo",
        "kube-public",
    ):
        assert each in plan, each
    assert "in place of" not in plan


def test_without_a_terminal_nothing_happens_unless_it_was_agreed_to_beforehand(cluster, monkeypatch):
    made, went = cluster(), []
    monkeypatch.setattr(other_cluster, "up", lambda report, lab, overlays: went.append(lab) or "http://192.0.2.5/productpage")
    done = CliRunner().invoke(main, ["up", "--context", "kind"])
    assert done.exit_code == 1 and "https://192.0.2.5:6443" in done.output and "--yes" in done.output
    assert not went and made.mark is None
    done = CliRunner().invoke(main, ["up", "--context", "kind", "--yes"])
    assert done.exit_code == 0 and len(went) == 1, done.output


def test_the_embedded_lab_has_an_overlay_of_its_own(cluster, monkeypatch, tmp_path):
    cluster()
    monkeypatch.setattr(other_cluster, "is_embedded", lambda context: True)
    with pytest.raises(ClusterError, match="is the embedded lab"):
        other_cluster.look("kind", [tmp_path / "mine.yaml"])


@pytest.fixture
def installed(monkeypatch):
    """What `up` would install, without doing so: a list of the overlays of the labs that it was asked for."""
    asked = []
    monkeypatch.setattr(other_cluster, "_bring_tools", lambda report: None)
    monkeypatch.setattr(other_cluster.mesh, "install_istio", lambda report, lab, seconds: asked.append(mark.overlays(lab.client)))
    monkeypatch.setattr(other_cluster, "watch", lambda report, lab: None)
    monkeypatch.setattr(other_cluster.mesh, "deploy_bookinfo", lambda lab: None)
    monkeypatch.setattr(other_cluster.mesh, "wait_page", lambda lab: "a page")
    return asked


class Silent:
    @contextmanager
    def step(self, name):
        yield lambda line: None


def test_overlays_are_kept_with_the_mark_in_their_order_until_others_are_given(cluster, installed, tmp_path):
    made, files = cluster(), [tmp_path / "b.yaml", tmp_path / "a.yaml"]
    for number, file in enumerate(files):
        file.write_text(f"number: {number}\n")
    for overlays in (files, [], files[1:]):
        assert other_cluster.up(Silent(), other_cluster.look("kind"), overlays) == "a page"
    ours = other_cluster.providers()
    assert installed == [[ours, "number: 0\n", "number: 1\n"], [ours, "number: 0\n", "number: 1\n"], [ours, "number: 1\n"]]
    assert set(made.mark["data"]) == {"about", "since", "overlay-01.yaml", "overlay-02.yaml"}


def test_a_cluster_that_was_marked_before_gets_the_providers_below_its_own_overlays(cluster, installed):
    made = cluster()
    mark.set_mark(made, ["number: 0\n"])
    other_cluster.up(Silent(), other_cluster.look("kind"))
    assert installed == [[other_cluster.providers(), "number: 0\n"]]
    marked = made.mark
    other_cluster.up(Silent(), other_cluster.look("kind"))
    assert made.mark is marked, "what does not change is not marked anew: the installation that was noted there would be lost"


def test_the_providers_are_those_of_the_embedded_lab_and_nothing_else_of_it(cluster):
    told = yaml.safe_load(other_cluster.providers())
    assert told["kind"] == "IstioOperator" and list(told["spec"]) == ["meshConfig"]
    assert [each["name"] for each in told["spec"]["meshConfig"]["extensionProviders"]] == ["zipkin", "jaeger"]


@pytest.fixture
def watched(cluster, monkeypatch):
    """`watch` on a cluster whose mesh has some providers and which has some add-ons: what was put there, what installed."""

    def watch(providers=("zipkin", "jaeger"), there=()) -> tuple[dict[str, dict], dict[str, list[dict]]]:
        made, put, installed = cluster(), {}, {}
        mesh = yaml.safe_dump({"extensionProviders": [{"name": each} for each in providers]})
        monkeypatch.setattr(made, "get", lambda kind, name, namespace=None: {"data": {"mesh": mesh}})
        monkeypatch.setattr(other_cluster.addons, "find", lambda client, name: {} if name in there or f"{name}-ui" in put else None)
        monkeypatch.setattr(addon_manifests, "manifest", MANIFESTS.__getitem__)
        monkeypatch.setattr(
            addon_manifests, "put", lambda client, documents: put.update({each["metadata"]["name"]: each for each in documents})
        )
        monkeypatch.setattr(
            addon_manifests, "install", lambda client, name, seconds, adapted: installed.update({name: [*map(adapted, MANIFESTS[name])]})
        )
        other_cluster.watch(Silent(), Lab(made))
        return put, installed

    return watch


def document(kind, name, **more):
    return {"kind": kind, "metadata": {"name": name}, **more}


JOBS = {"scrape_configs": [{"job_name": "others", "scrape_interval": "5m"}, {"job_name": "kubernetes-pods", "relabel_configs": ["kept"]}]}
MANIFESTS = {
    "prometheus": [
        document("ConfigMap", "prometheus", data={"prometheus.yml": yaml.safe_dump(JOBS)}),
        document(
            "Deployment", "prometheus", spec={"template": {"spec": {"containers": [{"name": "prometheus-server"}, {"name": "reloads"}]}}}
        ),
    ],
    "jaeger": [document("Deployment", "jaeger", spec={})],
    "zipkin": [document("Deployment", "zipkin", spec={})],
    "grafana": [document("ConfigMap", "istio-grafana-dashboards"), document("Deployment", "grafana")],
}


def test_on_any_cluster_every_request_is_traced_and_counted_as_on_the_embedded_lab(watched):
    put, installed = watched()
    (tracing,) = put["mesh-default"]["spec"]["tracing"]
    assert tracing == {"randomSamplingPercentage": 100, "providers": [{"name": "zipkin"}]}
    assert set(put) == {"mesh-default", "jaeger-ui", "istio-grafana-dashboards"} and "nodePort" not in str(put["jaeger-ui"])
    assert list(installed) == ["prometheus", "jaeger", "zipkin"], "Zipkin's Services have to come last"
    config, deployment = installed["prometheus"]
    others, pods = yaml.safe_load(config["data"]["prometheus.yml"])["scrape_configs"]
    assert others["scrape_interval"] == "5m" and pods["scrape_interval"] == pods["scrape_timeout"] == "2s"
    assert pods["relabel_configs"] == ["kept"]
    assert [each["name"] for each in deployment["spec"]["template"]["spec"]["containers"]] == ["prometheus-server"]


def test_an_addon_that_is_there_stays_as_it_is(watched):
    put, installed = watched(there=("prometheus", "zipkin"))
    assert list(installed) == ["jaeger"] and "mesh-default" in put


def test_a_mesh_without_the_provider_that_chapters_trace_to_gets_a_sentence(watched):
    with pytest.raises(ClusterError, match="no tracing provider zipkin, but mine") as caught:
        watched(providers=["mine"])
    assert "extensionProviders of an overlay" in caught.value.do


def test_an_overlay_that_is_no_text_is_refused_before_anything_is_changed(cluster, installed, tmp_path):
    made = cluster()
    (tmp_path / "mine.yaml").write_bytes("spec: {}".encode("utf-16"))
    with pytest.raises(ManifestError, match="mine.yaml is not a text in UTF-8"):
        other_cluster.up(Silent(), other_cluster.look("kind"), [tmp_path / "mine.yaml"])
    assert made.mark is None and installed == []


def test_a_lab_takes_the_overlays_and_the_tools_that_go_with_the_mark(monkeypatch, tmp_path):
    monkeypatch.setattr(paths, "CACHE", tmp_path / "a cache")
    lab = Lab(Cluster())
    connection._as_marked(lab)
    assert (lab.overlay, lab.client.tools) == ("", "")
    mark.set_mark(lab.client, ["first: 1\n", "second: 2\n"])
    connection._as_marked(lab)
    assert lab.client.tools == paths.BIN
    files = sorted((tmp_path / "a cache" / "overlays").iterdir(), key=lambda each: each.read_text())
    assert [each.read_text() for each in files] == ["first: 1\n", "second: 2\n"]
    assert lab.overlay == f"-f '{files[0]}' -f '{files[1]}'"


def test_an_addon_goes_only_where_the_mark_is(cluster, monkeypatch):
    made = cluster()
    made.require_mark = lambda: mark.require(made)
    monkeypatch.setattr(other_cluster, "_bring_tools", lambda report: pytest.fail("built for nothing"))
    with pytest.raises(ClusterError, match="is not marked as one for the course"):
        other_cluster.add(SimpleNamespace(), "kiali", "kind")


ISTIOCTL = {"clientVersion": {"version": VERSIONS["istio"]["version"]}}
KUBECTL = {"clientVersion": {"major": "1", "minor": "33+", "gitVersion": "v1.33.1"}}


@pytest.fixture
def tools(monkeypatch, tmp_path):
    """A function that brings the tools to a machine with these programs: what was built, and where the tools are."""
    for name in ("PARTS", "UNFINISHED", "BUILD_LOGS"):
        monkeypatch.setattr(store, name, tmp_path / name)
    monkeypatch.setattr(paths, "BIN", tmp_path / "bin")
    monkeypatch.setattr(other_cluster.lock, "CACHE", tmp_path / "lock")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{tmp_path / 'programs'}")  # as the page on setup says
    (tmp_path / "programs").mkdir()
    built = []
    monkeypatch.setattr(store, "ensure", lambda parts, report: built.extend(part.name for part in parts))

    def bring(**said) -> tuple[list[str], list[str]]:
        for name, version in said.items():
            (tmp_path / "programs" / name).write_text(f"#!/bin/sh\necho '{json.dumps(version)}'\n")
            (tmp_path / "programs" / name).chmod(0o755)
        for _ in range(2):  # the second time its own links are on PATH, which are not for it to find
            built.clear()
            other_cluster._bring_tools(None)
        return sorted(built), [str((tmp_path / "bin" / name).readlink().parent.relative_to(tmp_path)) for name in ("kubectl", "istioctl")]

    return bring


def test_nothing_is_compiled_where_the_tools_are_there(tools):
    """All of Kubernetes and Istio were, for two commands."""
    assert tools(kubectl=KUBECTL, istioctl=ISTIOCTL) == (["gateway-api", "istio-sources"], ["programs", "programs"])


@pytest.mark.parametrize(
    ("said", "built"),
    [
        ({}, ["kubectl", "istioctl"]),
        ({"kubectl": KUBECTL, "istioctl": {"clientVersion": {"version": "1.30.0"}}}, ["istioctl"]),
        ({"kubectl": {"clientVersion": {"major": "1", "minor": "29"}}, "istioctl": ISTIOCTL}, ["kubectl"]),
        ({"kubectl": [], "istioctl": "broken"}, ["kubectl", "istioctl"]),
    ],
    ids=["none", "another istioctl", "an old kubectl", "odd ones"],
)
def test_of_tools_that_do_not_fit_only_these_are_compiled(tools, said, built):
    parts, places = tools(**said)
    assert parts == sorted(["gateway-api", "istio-sources", *built])
    assert [place.startswith("PARTS/") for place in places] == ["kubectl" in built, "istioctl" in built]


def test_the_embedded_labs_tools_are_taken_where_it_has_been_built(tools):
    for part in (binaries.KUBERNETES, binaries.ISTIO):
        part.path.mkdir(parents=True)
    parts, places = tools(kubectl=KUBECTL, istioctl=ISTIOCTL)
    assert parts == sorted(["istio", "gateway-api", "istio-sources", "kubernetes"]) and all(place.startswith("PARTS/") for place in places)
