"""The lab comes, is used as somebody else's cluster, and goes without a trace. Takes the lab of this machine down."""

from __future__ import annotations

import os
from pathlib import Path

import httpx
import pytest

from lab_helpers.core import paths
from tests.live import kubectl_json, meshlab
from tests.live_traces import difference, traces

pytestmark = pytest.mark.lab
AS_FOREIGN = {**os.environ, "KUBECONFIG": str(paths.KUBECONFIG)}


@pytest.fixture(scope="module")
def nothing():
    """The machine without a lab."""
    meshlab("down")
    return traces()


@pytest.fixture(scope="module")
def bare(nothing):
    """A Kubernetes without Istio, its images on the node, in a kubeconfig: anybody's cluster."""
    meshlab("up", "--only", "kubernetes")
    yield
    meshlab("down")


def test_another_cluster_gets_the_same_istio_and_bookinfo(bare):
    """With the images of the lab the overlay has to be asked for: on stock Envoy nothing works without it."""
    assert {item["metadata"]["name"] for item in kubectl_json("get", "namespaces")["items"]}.isdisjoint({"istio-system"})
    up = ("up", "--context", "meshlab", "--overlay", paths.OVERLAY)
    done = meshlab(*up, env=AS_FOREIGN)
    page = done.stdout.split("The lab is up: ")[1].split()[0]
    assert httpx.get(page, trust_env=False).status_code == 200
    pods = kubectl_json("get", "pods", "--namespace", "default")["items"]
    assert len(pods) == 6 and all(status["ready"] for pod in pods for status in pod["status"]["containerStatuses"])
    again = meshlab(*up, env=AS_FOREIGN)
    assert "install Istio" not in again.stderr, "a second `up` installed again"


@pytest.mark.parametrize(
    ("context", "kubeconfig", "sentence"),
    [
        ("nobody", str(paths.KUBECONFIG), "has no context 'nobody'"),
        ("meshlab", "/nonexistent", "There is no kubeconfig at"),
        ("meshlab", __file__, "is not a kubeconfig"),
    ],
)
def test_a_wrong_cluster_gets_a_sentence(bare, context, kubeconfig, sentence):
    done = meshlab("up", "--context", context, check=False, env={**os.environ, "KUBECONFIG": kubeconfig})
    assert done.returncode == 1 and sentence in done.stderr and "→" in done.stderr and "Traceback" not in done.stderr


def test_a_stale_kubeconfig_gets_a_sentence(bare, tmp_path):
    stale = tmp_path / "stale"
    stale.write_text(Path(paths.KUBECONFIG).read_text().replace(":6443", ":6444"))
    done = meshlab("up", "--context", "meshlab", check=False, env={**os.environ, "KUBECONFIG": str(stale)})
    assert done.returncode == 1 and "does not answer" in done.stderr and "Traceback" not in done.stderr


def test_down_leaves_nothing(nothing, bare):
    found = difference(nothing, traces())
    assert {"processes", "namespaces", "links", "cgroups", "files"} <= set(found), "a running lab is not even seen"
    meshlab("down")
    assert difference(nothing, traces()) == {}
    assert meshlab("status", check=False).returncode == 1
    meshlab("down")  # a lab that is not there is down already
