"""The same Istio and the same Bookinfo on a cluster that is already there, with official images and no overlay."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import yaml

from lab_helpers.core.errors import ClusterError
from lab_helpers.node.install import addon_manifests as addons, istio
from lab_helpers.node import lock
from lab_helpers.core import paths
from lab_helpers.node.build import store
from lab_helpers.node.build.binaries import ISTIO, ISTIO_SOURCES, KUBERNETES, link_tools
from lab_helpers.node.cluster import kubectl, wait_available
from lab_helpers.node.progress import Report
from lab_helpers.node.build.versions import VERSIONS


def kubeconfig_path() -> Path:
    """The kubeconfig that kubectl itself would take."""
    named = os.environ.get("KUBECONFIG", "").split(os.pathsep)[0]
    return Path(named) if named else paths.HOME / ".kube" / "config"


def contexts(kubeconfig: Path) -> list[str]:
    """The names of the contexts of a kubeconfig.

    Raises
    ------
    ClusterError
        When the file is missing or is not a kubeconfig.
    """
    try:
        return [context["name"] for context in yaml.safe_load(kubeconfig.read_text())["contexts"]]
    except FileNotFoundError:
        raise ClusterError(f"There is no kubeconfig at {kubeconfig}.", "Set KUBECONFIG to the file that your cluster gave you.") from None
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise ClusterError(f"{kubeconfig} is not a kubeconfig: {error}", "Set KUBECONFIG to the file that your cluster gave you.") from None


def up(report: Report, context: str, overlays: Sequence[Path] = ()) -> str:
    """Install Istio (demo profile) and Bookinfo with sidecars on the cluster of `context`.

    Parameters
    ----------
    report : Report
    context : str
        A context of the kubeconfig that kubectl would take.
    overlays : sequence of Path
        IstioOperator files on top of the demo profile, for what a platform asks of its users.

    Returns
    -------
    str
        The address of Bookinfo's page.

    Raises
    ------
    ClusterError
        When the context does not exist, its cluster does not answer, or is too old for this Istio.
    """
    target = _reach(report, context)
    if not istio.installed(overlays, **target):
        with report.step("install Istio (demo profile)") as say:
            istio.install(overlays, say, **target)
    with report.step("Istio's control plane and gateways"):
        wait_available("istio-system", seconds=300, **target)
    with report.step("Bookinfo with sidecars"):
        istio.deploy_bookinfo(**target)
        istio.wait_bookinfo(**target)
    with report.step("the first 200 through the gateway"):
        url = istio.gateway_url(**target)
        istio.wait_page(url)
    return f"{url}/productpage"


def add(report: Report, name: str, context: str) -> str:
    """Install one of Istio's add-ons, as it is published, on the cluster of `context`; return the command that opens it.

    Raises
    ------
    ClusterError
        As `up`, and when the add-on's image cannot be pulled or the add-on does not become available.
    """
    target = _reach(report, context)
    with report.step(f"add-on {name}"):
        addons.install(name, **target)
    return f"istioctl dashboard {name} --context {context}"


def _reach(report: Report, context: str) -> dict:
    """What `kubectl` has to be told to reach the cluster of `context`, once it was seen to answer and the tools are there."""
    kubeconfig = kubeconfig_path()
    known = contexts(kubeconfig)
    if context not in known:
        raise ClusterError(f"{kubeconfig} has no context {context!r}.", f"It has: {', '.join(known) or 'none'}.")
    with lock.exclusive(lock.CACHE):
        store.clean()
        store.ensure([KUBERNETES, ISTIO, ISTIO_SOURCES], report)
        link_tools()
    target = {"kubeconfig": kubeconfig, "context": context}
    with report.step(f"look at the cluster of {context}"):
        _require(target, context)
    return target


def _require(target: dict, context: str) -> None:
    try:
        version = json.loads(kubectl("version", "--output", "json", "--request-timeout", "10s", **target))["serverVersion"]["gitVersion"]
    except ClusterError as error:
        do = "Is the cluster running, and the kubeconfig of today? Create it again, or ask your cluster for a fresh kubeconfig."
        raise ClusterError(f"The cluster of context {context!r} does not answer. {error.what}", do) from None
    if not istio.supported(version.lstrip("v")):
        minimum = VERSIONS["istio"]["minimum_kubernetes"]
        what = f"The cluster runs Kubernetes {version}; Istio {VERSIONS['istio']['version']} needs {minimum} or later."
        raise ClusterError(what, "Upgrade the cluster, or create a newer one.")
