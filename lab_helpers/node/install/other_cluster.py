"""The same Istio and the same Bookinfo on a cluster that is there already, with official images; and whether it may be changed at all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import yaml

from lab_helpers.core import paths
from lab_helpers.core.errors import ClusterError, ManifestError
from lab_helpers.kube import kubeconfig, mark, objects
from lab_helpers.kube.kinds import CONFIG_MAP, DEPLOYMENT
from lab_helpers.lab import Lab, connect
from lab_helpers.lab.connection import is_embedded
from lab_helpers.node import lock
from lab_helpers.node.build import binaries, store
from lab_helpers.node.build.binaries import GATEWAY_API, ISTIO, ISTIO_SOURCES, ISTIOCTL, KUBECTL, KUBERNETES
from lab_helpers.node.build.versions import VERSIONS
from lab_helpers.node.install import addon_manifests, mesh
from lab_helpers.node.progress import Report
from lab_helpers.traffic import addons

PULLED = 300.0  # seconds for Istio's images
WATCHED = "2s"  # between two looks of Prometheus at a proxy, as on the embedded lab: a chapter waits for them again and again


def look(context: str, overlays: Sequence[Path] = (), take_over: bool = False) -> Lab:
    """Find the cluster of `context` and see whether the course may be at home there; nothing is changed.

    Parameters
    ----------
    context : str
        A context of the kubeconfig that kubectl would take.
    overlays : sequence of Path
        As for `up`.
    take_over : bool
        Whether an Istio that is there already, and not the course's, may be replaced.

    Raises
    ------
    ClusterError
        When the context does not exist, its cluster does not answer, is too old for this Istio, or has one of somebody else's.
    """
    lab = _find(context)
    if overlays and is_embedded(lab.client.context):
        raise ClusterError(f"Context {context} is the embedded lab, which has an overlay of its own.", "Leave out --overlay.")
    version = lab.client.version
    if not supported(version):
        minimum = VERSIONS["istio"]["minimum_kubernetes"]
        what = f"The cluster runs Kubernetes {version}; Istio {VERSIONS['istio']['version']} needs {minimum} or later."
        raise ClusterError(what, "Upgrade the cluster, or create a newer one.")
    with objects.sentences(f"Looking at the cluster of context {context}"):
        if not take_over and not mark.marked(lab.client) and (found := _istiods(lab)):
            raise ClusterError(
                f"{lab.client.context.where} has an Istio already ({', '.join(found)}), which is not the course's. It was left alone.",
                "Take a cluster without Istio; or --take-over, which replaces that one by the course's.",
            )
    return lab


def plan(lab: Lab, overlays: Sequence[Path] = ()) -> str:
    """What `up` will do to a cluster, for somebody to agree to; empty where that has been done: the cluster carries the mark."""
    with objects.sentences(f"Looking at the cluster of context {lab.context}"):
        if mark.marked(lab.client):
            return ""
        found = _istiods(lab)
    istio = f"Istio {VERSIONS['istio']['version']} with the demo profile"
    on_top = f", with {', '.join(map(str, overlays))} on top" if overlays else ""
    instead = f", in place of the one that is there ({', '.join(found)})" if found else ""
    return f"""{lab.client.context.where} will be one for the course:
  - {istio} is installed in namespace istio-system{on_top}{instead};
  - every request of the mesh is traced, by a Telemetry in istio-system; Prometheus, Zipkin and Jaeger are installed there,
    each unless it is there already, and the ConfigMaps with Istio's dashboards;
  - namespace {lab.namespace} gets sidecars, and Bookinfo with its gateway;
  - the cluster is marked, by ConfigMap {mark.NAME} in {mark.NAMESPACE}. From then on chapters change and delete objects in
    {lab.namespace} and istio-system, a checkpoint removes all of Istio's configuration from its namespace, and chapter 03
    uninstalls Istio."""


def up(report: Report, lab: Lab, overlays: Sequence[Path] = ()) -> str:
    """Mark a cluster as one for the course, and install Istio (demo profile), what looks at it, and Bookinfo with sidecars there.

    Parameters
    ----------
    report : Report
    lab : Lab
        The cluster, as `look` has found it; whoever it belongs to has agreed to the `plan`.
    overlays : sequence of Path
        IstioOperator files on top of the demo profile, for what a platform asks of its users. They are kept with the mark, for
        whenever Istio is installed again; without any, those that were given last stay.

    Returns
    -------
    str
        The address of Bookinfo's page.

    Raises
    ------
    LabError
        Naming what could not be installed, and why.
    """
    texts = [_text(overlay) for overlay in overlays]
    _bring_tools(report)
    with objects.sentences("meshlab up"):
        texts = texts or [each for each in mark.overlays(lab.client) if each != providers()]
        if mark.overlays(lab.client) != (wanted := [providers(), *texts]):
            mark.set_mark(lab.client, wanted)
        lab = connect(lab.context, quiet=True, istio=False)  # with the overlays and the tools that go with the mark
        mesh.install_istio(report, lab, PULLED)
        watch(report, lab)
        with report.step("Bookinfo with sidecars"):
            mesh.deploy_bookinfo(lab)
        with report.step("the first 200 through the gateway"):
            return mesh.wait_page(lab)


def watch(report: Report, lab: Lab) -> None:
    """Have every request traced and counted, as on the embedded lab: a Telemetry, Prometheus, Zipkin and Jaeger, Istio's dashboards.

    An add-on that is there already stays as it is.

    Raises
    ------
    ClusterError
        The mesh has no provider `zipkin`, since somebody's overlay names others; or an add-on does not become available.
    """
    told = yaml.safe_load((lab.client.get(CONFIG_MAP, "istio", addons.NAMESPACE) or {}).get("data", {}).get("mesh", "")) or {}
    if "zipkin" not in (known := [each["name"] for each in told.get("extensionProviders") or []]):
        raise ClusterError(
            f"The mesh has no tracing provider zipkin, but {', '.join(known) or 'none at all'}.",
            "The extensionProviders of an overlay take the place of all others: add zipkin and jaeger to them.",
        )
    for name in addon_manifests.OURS:
        if addons.find(lab.client, name) is None:
            with report.step(f"add-on {name}"):
                addon_manifests.install(lab.client, name, PULLED, _watchful)
    # Only now: it brings a Service for Jaeger, by which Jaeger itself would be taken for one that is there already.
    with report.step("every request traced, Istio's dashboards"):
        addon_manifests.observe(lab.client)


def providers() -> str:
    """The IstioOperator file with the tracing providers that chapters name: what the embedded lab tells its mesh, and no more."""
    told = yaml.safe_load(paths.OVERLAY.read_text(encoding="utf-8"))
    told["spec"] = {"meshConfig": told["spec"]["meshConfig"]}
    return yaml.safe_dump(told, sort_keys=False)


def add(report: Report, name: str, context: str) -> str:
    """Install one of Istio's add-ons, as it is published, on the cluster of `context`; return the command that opens it.

    Raises
    ------
    ClusterError
        When the cluster cannot be reached or carries no mark, the add-on's image cannot be pulled, or it does not become available.
    """
    lab = _find(context)
    with objects.sentences(f"meshlab addons {name}"):
        lab.client.require_mark()
        _bring_tools(report)
        with report.step(f"add-on {name}"):
            addon_manifests.install(lab.client, name)
    return f"istioctl dashboard {name} --context {context}"


def supported(version: str) -> bool:
    """Whether a Kubernetes of `version` ("v1.36.3") is new enough for this Istio."""
    minimum = VERSIONS["istio"]["minimum_kubernetes"]
    return tuple(map(int, version.removeprefix("v").split(".")[:2])) >= tuple(map(int, minimum.split(".")))


def _find(context: str) -> Lab:
    kubeconfig.choose(context, kubeconfig.files())  # `connect` knows the embedded lab by name as well, whatever the environment says
    return connect(context, quiet=True, istio=False)


def _istiods(lab: Lab) -> list[str]:
    """Every istiod of the cluster, of whatever revision, in words."""
    found = lab.client.list(DEPLOYMENT, "*", {"app": "istiod"})
    return [f"{each['metadata']['name']} in namespace {each['metadata']['namespace']}" for each in found]


def _watchful(document: dict) -> dict:
    """Prometheus as it is published, but it looks at proxies more often, and does without the container that reloads a changed file."""
    match document["kind"], document["metadata"]["name"]:
        case "ConfigMap", "prometheus":
            config = yaml.safe_load(document["data"]["prometheus.yml"])
            pods = next(job for job in config["scrape_configs"] if job["job_name"] == "kubernetes-pods")
            pods |= {"scrape_interval": WATCHED, "scrape_timeout": WATCHED}
            document["data"]["prometheus.yml"] = yaml.safe_dump(config)
        case "Deployment", "prometheus":
            pod = document["spec"]["template"]["spec"]
            pod["containers"] = [each for each in pod["containers"] if each["name"] == "prometheus-server"]
    return document


def _text(overlay: Path) -> str:
    try:
        return overlay.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ManifestError(f"{overlay} is not a text in UTF-8.", "Save it as one.") from error


def _bring_tools(report: Report) -> None:
    """Find kubectl and istioctl, of the embedded lab or on ``PATH``; build those of them that are nowhere. Fetch Istio's manifests."""
    tools, parts = [], [ISTIO_SOURCES, GATEWAY_API]
    for name, whole, alone in (("kubectl", KUBERNETES, KUBECTL), ("istioctl", ISTIO, ISTIOCTL)):
        found = None if whole.ready else binaries.on_path(name)
        part = whole if whole.ready else alone
        tools.append(found or part.path / name)
        parts += [] if found else [part]
    with lock.exclusive(lock.CACHE):
        store.clean()
        store.ensure(parts, report)
        binaries.link_tools(*tools)
