"""The course on a cluster that is not the embedded lab: `meshlab up --context` and every chapter, on the bare embedded Kubernetes.

Its kubeconfig is put away and is somebody's, under another name: to the course it is then a cluster like any other, without Istio and
without the mark. What it is not: it has one node, and images that drive a stock Envoy. For these its owner lays what such a
platform asks for, as the embedded lab has it: an overlay, the filters, and a Prometheus that knows what a stock Envoy calls its counters.
"""

from __future__ import annotations

import os

import pytest
import yaml

from lab_helpers.core import paths
from lab_helpers.course import site
from lab_helpers.kube import kubeconfig
from lab_helpers.kube.client import Client
from lab_helpers.node.install import addon_manifests
from tests.live import meshlab, sh

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]
CONTEXT = "somebodys"


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """The environment of somebody whose current context is the bare cluster; the cluster is taken down in the end."""
    meshlab("down")
    meshlab("up", "--only", "kubernetes")
    document = yaml.safe_load(paths.KUBECONFIG.read_text(encoding="utf-8"))
    [context] = document["contexts"]
    context["name"] = document["current-context"] = CONTEXT
    file = tmp_path_factory.mktemp("home") / "config"
    file.write_text(yaml.safe_dump(document), encoding="utf-8")
    file.chmod(0o600)
    paths.KUBECONFIG.unlink()
    environment = {**os.environ, "KUBECONFIG": str(file)}
    _prepare(Client(kubeconfig.choose(CONTEXT, [file]), "default"), environment)
    yield environment
    meshlab("down")


def _prepare(client: Client, environment: dict) -> None:
    """Lay what a stock Envoy needs, as the owner of the cluster: kinds first, then the filters."""
    options = f"--set profile=minimal -f {paths.OVERLAY}".split()
    made = sh(paths.BIN / "istioctl", "manifest", "generate", *options, env=environment).stdout
    kinds = [each for each in yaml.safe_load_all(made) if each and each["kind"] == "CustomResourceDefinition"]
    kubectl = (paths.BIN / "kubectl", "apply", "--server-side", "-f", "-")
    sh(
        *kubectl,
        stdin=yaml.safe_dump_all([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "istio-system"}}]),
        env=environment,
    )
    sh(*kubectl, stdin=yaml.safe_dump_all(kinds), env=environment)
    sh(paths.BIN / "kubectl", "wait", "--for=condition=established", "crd", "--all", "--timeout=60s", env=environment)
    with client.permitted():
        addon_manifests.configure(client)
        addon_manifests.install(client, "prometheus", adapted=addon_manifests.for_the_lab)


def test_nothing_is_changed_without_a_yes(environment):
    told = meshlab("up", "--context", CONTEXT, check=False, env=environment, stdin="")
    assert told.returncode == 1 and "Nobody is here to agree to that" in told.stderr
    found = sh(paths.BIN / "kubectl", "get", "deployments", "--namespace", "istio-system", "--output", "name", env=environment).stdout
    assert found == "deployment.apps/prometheus\n", "what its owner has laid, and no more"


def test_it_becomes_one_for_the_course(environment):
    told = meshlab("up", "--context", CONTEXT, "--overlay", paths.OVERLAY, "--yes", env=environment).stdout
    assert "The lab is up: http://" in told


@pytest.mark.parametrize("stem", site.chapters())
def test_a_chapter_runs_there(environment, stem):
    meshlab("run", stem, "--context", CONTEXT, env=environment)
