"""Whose cluster is it? Nobody else's is touched, whatever the environment says; the lab's own is one, however it is spelled; and
without the course's mark any cluster may be looked at, and nothing else.
"""

from __future__ import annotations

import os
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import nbformat
import pytest
import yaml
from click.testing import CliRunner

from lab_helpers.cli import main
from lab_helpers.core import paths
from lab_helpers.core.errors import ClusterError
from lab_helpers.course import run, site
from lab_helpers.kube import mark
from lab_helpers.lab import checkpoint, connect
from lab_helpers.lab.chapters import BOOKINFO, CLIENTS
from lab_helpers.node.machine import MACHINE
from tests.live import kubectl, objects

pytestmark = [pytest.mark.lab, pytest.mark.alone("no object of the cluster is changed; the mark is taken off")]
STEM = "12_traffic_shifting"
RULE = "12_traffic_shifting/01-subsets.yaml"  # what it applies first


@pytest.fixture(scope="module", autouse=True)
def bookinfo():
    checkpoint.reach(connect(quiet=True), "Bookinfo", [*CLIENTS[:1], *BOOKINFO])


# Somebody else's cluster, which KUBECONFIG names.


@pytest.fixture
def production(tmp_path, monkeypatch):
    """An API server that writes down whatever it is asked, as the current context of the kubeconfig: a list of the requests."""
    asked: list[str] = []

    class Recorder(BaseHTTPRequestHandler):
        def answer(self):
            asked.append(f"{self.command} {self.path}")
            self.send_error(404)

        do_GET = do_HEAD = do_OPTIONS = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Recorder)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    document = {
        "current-context": "production",
        "clusters": [{"name": "production", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
        "users": [{"name": "production", "user": {"token": "none"}}],
        "contexts": [{"name": "production", "context": {"cluster": "production", "user": "production"}}],
    }
    (tmp_path / "config").write_text(yaml.safe_dump(document))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    yield asked
    server.shutdown()
    server.server_close()


@pytest.fixture
def short(monkeypatch, tmp_path):
    """The chapter as far as its first change, instead of the whole of it; what comes of it goes elsewhere than a run of the course."""
    notebook = nbformat.read(paths.ROOT / "notebooks" / f"{STEM}.ipynb", as_version=4)
    change = next(number for number, cell in enumerate(notebook.cells) if "lab.apply(" in cell.source)
    notebook.cells = notebook.cells[: change + 1]
    nbformat.write(notebook, tmp_path / f"{STEM}.ipynb")
    folder = paths.ROOT / "build" / "short"
    paths.make_folder(folder)  # by a test that may run under sudo: what stays of it is the user's
    monkeypatch.setattr(run, "find", lambda stem: tmp_path / f"{stem}.ipynb")
    monkeypatch.setattr(run, "RUN", folder)
    monkeypatch.setattr(run, "build_site", lambda *_: None)
    monkeypatch.setattr(site, "chapters", lambda: [STEM])
    yield lambda: nbformat.read(folder / f"{STEM}.ipynb", as_version=4).cells[-1]
    shutil.rmtree(folder, ignore_errors=True)
    connect(quiet=True).delete(RULE)


def test_connect_finds_the_lab_and_another_cluster_only_by_its_name(production):
    lab = connect(quiet=True)
    assert lab.client.context.server == f"https://{MACHINE.address}:6443" and lab.page().status == 200
    assert lab.run("kubectl get pods").stdout.count("Running") >= 7
    assert production == []
    with pytest.raises(ClusterError, match="production at http://127.0.0.1"):
        connect("production", quiet=True)
    assert production, "the other cluster hears nothing, so it proves nothing"


@pytest.mark.parametrize("command", [("run", STEM), ("course",)], ids=["run", "course"])
def test_chapters_run_on_the_lab_whatever_the_environment_says(production, short, command):
    done = CliRunner().invoke(main, command, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "DestinationRule" in str(short().outputs), "the last cell has applied nothing"
    assert production == []


def test_a_chapter_runs_elsewhere_where_it_is_told_to_and_changes_nothing_without_the_mark(production, short):
    done = CliRunner().invoke(main, ["run", STEM, "--context", "production"])
    assert done.exit_code == 1 and "production" in done.output and "Traceback" not in done.output
    assert production and {each.split()[0] for each in production} == {"GET"}


# The lab's own kubeconfig.


@pytest.mark.parametrize("spelling", ["the file", "a link", "a relative path", "the second of two files", "its context alone"])
def test_the_lab_is_one_however_its_kubeconfig_is_spelled(spelling, production, tmp_path, monkeypatch):
    other, link = os.environ["KUBECONFIG"], tmp_path / "link"
    link.symlink_to(paths.KUBECONFIG.parent)
    monkeypatch.chdir(tmp_path)
    variable = {
        "the file": str(paths.KUBECONFIG),
        "a link": f"{link}/{paths.KUBECONFIG.name}",
        "a relative path": os.path.relpath(paths.KUBECONFIG, tmp_path),
        "the second of two files": f"{other}:{paths.KUBECONFIG}",
        "its context alone": other,
    }[spelling]
    monkeypatch.setenv("KUBECONFIG", variable)
    own, lab = connect(quiet=True), connect("meshlab", quiet=True)
    assert (lab.overlay, lab.client.tools) == (own.overlay, own.client.tools) and own.overlay and own.client.tools
    for each in (own, lab):  # also a line that names a manifest of the course, and so runs in another folder
        assert each.run(f"kubectl get --ignore-not-found -f {RULE}").stdout == ""
        assert "productpage" in each.run("kubectl get services").stdout
    assert production == []


# A cluster without the mark.


@pytest.fixture
def unmarked():
    """The live lab without its mark, reached as another cluster is."""
    owner = connect(quiet=True).client
    noted = mark.noted_installation(owner)
    kubectl("delete", "configmap", mark.NAME, "--namespace", mark.NAMESPACE)
    try:
        yield connect("meshlab", quiet=True)
    finally:
        mark.set_mark(owner)
        mark.note_installation(owner, noted)


CHANGES = {
    "checkpoint": lambda lab: lab.checkpoint("12_traffic_shifting"),
    "checkpoint of 03": lambda lab: lab.checkpoint("03_install"),
    "apply": lambda lab: lab.apply(RULE),
    "delete": lambda lab: lab.delete("04_bookinfo/02-gateway.yaml"),
    "restart": lambda lab: lab.restart("reviews-v1"),
    "kubectl": lambda lab: lab.run("kubectl delete service ratings"),
    "kubectl, the namespace first": lambda lab: lab.run("kubectl --namespace default delete service ratings"),
    "istioctl": lambda lab: lab.run("istioctl install --skip-confirmation --set profile=minimal --dry-run"),
}


def test_without_the_mark_nothing_is_changed(unmarked):
    before = objects()
    for what, change in CHANGES.items():
        with pytest.raises(ClusterError, match="context meshlab at .* is not marked as one for the course") as caught:
            change(unmarked)
            pytest.fail(f"{what} was not refused")
        assert "meshlab up" in caught.value.do
    assert objects() == before


def test_without_the_mark_one_may_look(unmarked):
    before = objects()
    assert unmarked.page().status == 200
    assert "productpage" in unmarked.run("kubectl get pods").stdout
    assert "productpage" in unmarked.run("istioctl proxy-status").stdout
    assert {"source", "destination", "requests"} <= set(unmarked.graph("1m").columns)
    assert unmarked.diff(RULE).changes[0].action == "created"
    assert objects() == before


def test_with_the_mark_it_is_the_course_s_again():
    lab = connect("meshlab", quiet=True)
    assert lab.apply(RULE).changes[0].action == "created"
    assert lab.delete(RULE).changes[0].action == "deleted"


@pytest.mark.parametrize("namespace", ["istio-system", "kube-system"])
def test_a_systems_namespace_is_not_a_learners(namespace):
    before = objects()
    with pytest.raises(ClusterError, match=f"Namespace {namespace} belongs to the cluster itself"):
        connect(namespace=namespace)
    assert objects() == before
