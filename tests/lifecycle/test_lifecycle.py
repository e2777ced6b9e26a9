"""The lab comes, is used as somebody else's cluster, and goes without a trace. Takes the lab of this machine down."""

from __future__ import annotations

import base64
import os
import pty
import subprocess
from pathlib import Path

import pytest
import yaml

from lab_helpers.core import paths
from lab_helpers.istio import installation
from lab_helpers.istio.gateway import fetch
from lab_helpers.kube import mark
from lab_helpers.lab import connect
from lab_helpers.node.machine import MACHINE, boot
from tests.live import MESHLAB, kubectl, kubectl_json, meshlab, objects, on_node
from tests.live_traces import SETTINGS, difference, traces

pytestmark = pytest.mark.lab
# With the images of the lab the overlay has to be asked for: on stock Envoy nothing works without it.
UP = ("up", "--context", "theirs", "--overlay", paths.OVERLAY)


# Values that the kubelet would change; none of them changes what the machine does as long as it is well.
OTHERS = {
    "vm/overcommit_memory": "0",
    "kernel/panic": "7",
    "kernel/panic_on_oops": "0",
    "kernel/keys/root_maxkeys": "1000001",
    "kernel/keys/root_maxbytes": "25000001",
}


@pytest.fixture(scope="module")
def nothing():
    """The machine without a lab, with settings of its kernel that are not those that a kubelet wants."""
    meshlab("down")
    before = {name: (SETTINGS / name).read_text() for name in OTHERS}
    try:
        for name, value in OTHERS.items():
            (SETTINGS / name).write_text(value)
        yield traces()
    finally:
        for name, value in before.items():
            (SETTINGS / name).write_text(value)


@pytest.fixture(scope="module")
def bare(nothing):
    """A Kubernetes without Istio, its images on the node, in a kubeconfig: anybody's cluster."""
    meshlab("up", "--only", "kubernetes")
    yield
    meshlab("down")


@pytest.fixture
def theirs(bare, tmp_path, monkeypatch):
    """An environment whose kubeconfig does not let on that it is the embedded lab: its authority is in a file."""
    config = yaml.safe_load(paths.KUBECONFIG.read_text())
    cluster = config["clusters"][0]["cluster"]
    (tmp_path / "ca.crt").write_bytes(base64.b64decode(cluster.pop("certificate-authority-data")))
    cluster["certificate-authority"] = "ca.crt"
    config["contexts"][0]["name"] = config["current-context"] = "theirs"
    (tmp_path / "config").write_text(yaml.safe_dump(config))
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, MACHINE.address)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    return dict(os.environ)


def refused(*arguments, sentence: str, env: dict) -> str:
    done = meshlab(*arguments, check=False, env=env, stdin="")
    assert done.returncode == 1 and sentence in done.stderr and "→" in done.stderr and "Traceback" not in done.stderr, done.stderr
    return done.stderr


def marked() -> bool:
    return bool(kubectl("get", "configmap", mark.NAME, "--namespace", mark.NAMESPACE, "--ignore-not-found"))


def test_a_cluster_is_asked_for_before_anything_is_changed_there(theirs):
    before = objects()
    said = refused(*UP, sentence="--yes", env=theirs)
    assert f"context theirs at https://{MACHINE.address}:6443" in said and "Bookinfo" in said and "istio-system" in said
    refused("addons", "prometheus", "--context", "theirs", sentence="is not marked as one for the course", env=theirs)
    controller, terminal = pty.openpty()
    with subprocess.Popen([MESHLAB, *UP], stdin=terminal, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=theirs, text=True) as up:
        os.write(controller, b"n\n")
        said, _ = up.communicate(timeout=120)
    os.close(controller)
    os.close(terminal)
    assert up.returncode == 1 and "Go on?" in said and "Aborted" in said, said
    assert objects() == before and not marked()


def test_another_cluster_gets_the_same_istio_and_bookinfo(theirs):
    assert {item["metadata"]["name"] for item in kubectl_json("get", "namespaces")["items"]}.isdisjoint({"istio-system"})
    done = meshlab(*UP, "--yes", env=theirs)
    page = done.stdout.split("The lab is up: ")[1].split()[0]
    assert fetch(page).status == 200
    pods = kubectl_json("get", "pods", "--namespace", "default")["items"]
    assert len(pods) == 6 and all(status["ready"] for pod in pods for status in pod["status"]["containerStatuses"])
    again = meshlab(*UP, env=theirs, stdin="")  # what carries the mark is not asked for
    assert "install Istio" not in again.stderr, "a second `up` installed again"


def test_what_is_installed_there_later_has_the_same_overlay(theirs):
    lab = connect("theirs", quiet=True)
    *_, option, file = lab.overlay.split()  # the last one counts: before it are the tracing providers
    assert option == "-f" and Path(file) != paths.OVERLAY and Path(file).read_text() == paths.OVERLAY.read_text()
    assert installation.problems(lab) == [], "a checkpoint of 03 would install another Istio"


def test_an_istio_of_somebody_else_is_left_alone_unless_it_is_taken_over(theirs):
    kubectl("delete", "configmap", mark.NAME, "--namespace", mark.NAMESPACE)
    before = objects()
    assert "istiod in namespace istio-system" in refused(*UP, "--yes", sentence="has an Istio already", env=theirs)
    refused(*UP, "--take-over", sentence="in place of the one that is there", env=theirs)
    assert objects() == before and not marked()
    done = meshlab(*UP, "--take-over", "--yes", env=theirs)
    assert marked() and fetch(done.stdout.split("The lab is up: ")[1].split()[0]).status == 200


@pytest.mark.parametrize(
    ("context", "kubeconfig", "sentence"),
    [
        ("nobody", str(paths.KUBECONFIG), "No kubeconfig has a context 'nobody'"),
        ("meshlab", "/dev/null/config", "There is no kubeconfig: /dev/null/config"),
        ("meshlab", __file__, "is not a kubeconfig"),
    ],
)
def test_a_wrong_cluster_gets_a_sentence(bare, context, kubeconfig, sentence):
    refused("up", "--context", context, "--yes", sentence=sentence, env={**os.environ, "KUBECONFIG": kubeconfig})


def test_a_stale_kubeconfig_gets_a_sentence(bare, tmp_path):
    stale = tmp_path / "stale"
    stale.write_text(Path(paths.KUBECONFIG).read_text().replace(":6443", ":6444"))
    refused("up", "--context", "meshlab", "--yes", sentence="does not answer", env={**os.environ, "KUBECONFIG": str(stale)})


def test_a_running_lab_has_changed_no_setting_of_the_machine(nothing, bare):
    assert "kernel settings" not in difference(nothing, traces()) and {*OTHERS} < {*boot.KERNEL_SETTINGS}
    for name, wanted in boot.KERNEL_SETTINGS.items():  # by which the kubelet finds what it wants
        assert on_node("cat", SETTINGS / name).stdout.strip() == str(wanted)
    refused = on_node("sh", "-c", "echo 1 > /proc/sys/kernel/panic_on_warn", check=False)
    assert refused.returncode != 0 and "Read-only" in refused.stderr


def test_down_leaves_nothing(nothing, bare):
    found = difference(nothing, traces())
    assert {"processes", "namespaces", "links", "cgroups", "files"} <= set(found), "a running lab is not even seen"
    meshlab("down")
    assert difference(nothing, traces()) == {}
    assert meshlab("status", check=False).returncode == 1
    meshlab("down")  # a lab that is not there is down already
