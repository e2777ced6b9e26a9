"""Prometheus, Jaeger and Zipkin by Istio's own add-on manifests, and what the embedded lab needs in them differently."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import yaml

from lab_helpers.core.errors import ClusterError
from lab_helpers.core.wait import wait_until, wait_until_none
from lab_helpers.kube import rollout
from lab_helpers.kube.apply import put, take
from lab_helpers.kube.client import Client
from lab_helpers.kube.kinds import DEPLOYMENT, POD
from lab_helpers.node.build.binaries import ISTIO_SOURCES

NAMESPACE = "istio-system"
OVERLAY = Path(__file__).parent / "overlay"
# Of samples/addons in Istio's module. Zipkin after Jaeger: both have Services called tracing and zipkin, and the last one counts.
MANIFESTS = {
    "prometheus": "prometheus.yaml",
    "jaeger": "jaeger.yaml",
    "zipkin": "extras/zipkin.yaml",
    "kiali": "kiali.yaml",
    "grafana": "grafana.yaml",
}
# Those that the embedded lab has images for.
OURS = ("prometheus", "jaeger", "zipkin")
REFUSED = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull")


def manifest(name: str) -> list[dict]:
    """The objects of Istio's manifest of an add-on, as they are published."""
    return _read(ISTIO_SOURCES.path / "samples/addons" / MANIFESTS[name])


def configure(client: Client) -> None:
    """Tell every proxy what to do without, to count and to trace; before the applications, so that their proxies start with it."""
    put(client, [document for name in ("filters", "waypoints", "metrics", "traces") for document in _read(OVERLAY / f"{name}.yaml")])


def observe(client: Client) -> None:
    """What chapters look with on any cluster, beside the add-ons: every request traced, a Service to ask Jaeger, Istio's dashboards."""
    # Jaeger's own Service is called "tracing", and so is Zipkin's, which takes its place.
    asked = next(each for each in _read(OVERLAY / "addons.yaml") if each["metadata"]["name"] == "jaeger-ui")
    ports = [{name: value for name, value in port.items() if name != "nodePort"} for port in asked["spec"]["ports"]]
    asked["spec"] |= {"type": "ClusterIP", "ports": ports}
    put(client, [*_read(OVERLAY / "traces.yaml"), asked, *_dashboards()])


def start(client: Client) -> None:
    """Create or update the embedded lab's add-ons; `wait` waits for them."""
    documents = [*(for_the_lab(each) for name in OURS for each in manifest(name)), *_dashboards(), *_read(OVERLAY / "addons.yaml")]
    put(client, list({(each["kind"], each["metadata"]["name"]): each for each in documents}.values()))


def wait(client: Client) -> None:
    """Wait until the embedded lab's add-ons are available."""
    rollout.complete(client, OURS, NAMESPACE, error=ClusterError)


def install(client: Client, name: str, seconds: float = 300, adapted: Callable[[dict], dict] = dict) -> None:
    """Install one of Istio's add-ons, and wait until it is available.

    Parameters
    ----------
    client : Client
    name : str
        One of `MANIFESTS`.
    seconds : float
        How long to wait: images may have to be pulled.
    adapted : callable
        Makes of each of its objects what is to be installed; without it, as they are published.

    Raises
    ------
    ClusterError
        When an image cannot be pulled, with the kubelet's reason; what this call created is deleted again.
    """
    documents = [adapted(each) for each in manifest(name)]
    selector = next(each for each in documents if each["kind"] == "Deployment")["spec"]["selector"]["matchLabels"]
    done = put(client, documents)

    def available() -> bool:
        pods = client.list(POD, NAMESPACE, selector)
        if refusal := _refusal(pods):
            raise ClusterError(
                f"{name.capitalize()} cannot run on this cluster: {refusal}",
                "It runs on a cluster that can pull images. The book's page on clusters says how to take yours.",
            )
        deployment = client.get(DEPLOYMENT, name, NAMESPACE)
        return deployment is not None and rollout.done(deployment, pods)

    try:
        wait_until(available, f"{name} to be available", seconds, every=0.5, error=ClusterError)
    except ClusterError:
        created = [new for change, new in done if change.action == "created"]
        take(client, created)
        if any(each["kind"] == "Deployment" for each in created):
            left = lambda: [pod["metadata"]["name"] for pod in client.list(POD, NAMESPACE, selector)]  # noqa: E731
            wait_until_none(left, f"{name}'s pods to end", f"See kubectl get pods -n {NAMESPACE}.", 60, 0.1)
        raise


def _refusal(pods: list[dict]) -> str:
    """Why an image of these pods cannot be had; empty as long as nothing says so."""
    for container in (each for pod in pods for each in pod["status"].get("containerStatuses") or []):
        waiting = container["state"].get("waiting") or {}
        if waiting.get("reason") in REFUSED:
            return f"the image {container['image']} cannot be pulled ({waiting['reason']}: {waiting.get('message', '')[-300:]})"
    return ""


def _dashboards() -> list[dict]:
    """Those that Grafana's manifest brings: Grafana itself cannot be had everywhere, and notebooks draw them."""
    return [each for each in manifest("grafana") if each["metadata"]["name"].endswith("-dashboards")]


def _read(file: Path) -> list[dict]:
    return [document for document in yaml.safe_load_all(file.read_text(encoding="utf-8")) if document]


def for_the_lab(document: dict) -> dict:
    """An object of Istio's manifests with what the embedded lab needs differently."""
    change = CHANGES.get((document["kind"], document["metadata"]["name"]))
    if change:
        change(document)
    return document


def _scrape(config_map: dict) -> None:
    overlay = yaml.safe_load((OVERLAY / "prometheus.yaml").read_text(encoding="utf-8"))
    config = yaml.safe_load(config_map["data"]["prometheus.yml"])
    left_out = overlay.pop("left_out")
    config["scrape_configs"] = [job for job in config["scrape_configs"] if job["job_name"] not in left_out]
    next(job for job in config["scrape_configs"] if job["job_name"] == "kubernetes-pods").update(overlay)
    config_map["data"]["prometheus.yml"] = yaml.safe_dump(config)


def _serve(deployment: dict) -> None:
    template = deployment["spec"]["template"]
    # The other container reloads a configuration that changes, and is one more image: here a change starts a new pod.
    template["spec"]["containers"] = [each for each in template["spec"]["containers"] if each["name"] == "prometheus-server"]
    digest = hashlib.sha256((OVERLAY / "prometheus.yaml").read_bytes()).hexdigest()[:12]
    template["metadata"].setdefault("annotations", {})["meshlab/configuration"] = digest


CHANGES = {("ConfigMap", "prometheus"): _scrape, ("Deployment", "prometheus"): _serve}
