"""Prometheus, Jaeger and Zipkin by Istio's own add-on manifests, and what the embedded lab needs in them differently."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import yaml

from lab_helpers.core.errors import ClusterError
from lab_helpers.core.wait import wait_until
from lab_helpers.node.build.binaries import ISTIO_SOURCES
from lab_helpers.node.cluster import kubectl, wait_available

NAMESPACE = "istio-system"
OVERLAY = Path(__file__).parent / "overlay"
# Of samples/addons in Istio's module. Zipkin after Jaeger: both have Services called tracing and zipkin, and these are Zipkin's.
MANIFESTS = {
    "prometheus": "prometheus.yaml",
    "jaeger": "jaeger.yaml",
    "zipkin": "extras/zipkin.yaml",
    "kiali": "kiali.yaml",
    "grafana": "grafana.yaml",
}
# Those that the embedded lab has images for.
OURS = ("prometheus", "jaeger", "zipkin")


def manifest(name: str) -> list[dict]:
    """The objects of Istio's manifest of an add-on, as they are published."""
    return _read(ISTIO_SOURCES.path / "samples/addons" / MANIFESTS[name])


def configure() -> None:
    """Tell every proxy what to count and to trace; before the applications, so that their proxies start with it."""
    _apply([*_read(OVERLAY / "metrics.yaml"), *_read(OVERLAY / "traces.yaml")])


def start() -> None:
    """Create or update the embedded lab's add-ons; `wait` waits for them."""
    # Grafana itself cannot be had. The dashboards that its manifest brings can, and notebooks draw them.
    dashboards = [each for each in manifest("grafana") if each["metadata"]["name"].endswith("-dashboards")]
    _apply([*(_adapted(each) for name in OURS for each in manifest(name)), *dashboards, *_read(OVERLAY / "addons.yaml")])


def wait() -> None:
    """Wait until the embedded lab's add-ons are available."""
    wait_available(NAMESPACE, OURS)


def addresses() -> dict[str, str]:
    """Where each of the embedded lab's add-ons can be reached from this machine: name → URL."""
    services = json.loads(kubectl("get", "services", "--namespace", NAMESPACE, "--output", "json"))["items"]
    ports = {each["metadata"]["name"]: each["spec"]["ports"][0].get("nodePort") for each in services}
    node = json.loads(kubectl("get", "nodes", "--output", "json"))["items"][0]["status"]["addresses"]
    host = next(each["address"] for each in node if each["type"] == "InternalIP")
    return {name: f"http://{host}:{ports[f'{name}-ui']}" for name in OURS if f"{name}-ui" in ports}


REFUSED = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull")


def install(name: str, seconds: float = 300, **target) -> None:
    """Install one of Istio's add-ons as it is published, and wait until it is available.

    Parameters
    ----------
    name : str
        One of `MANIFESTS`.
    seconds : float
        How long to wait: images may have to be pulled.
    **target
        ``kubeconfig`` and ``context``, as for `kubectl`.

    Raises
    ------
    ClusterError
        When an image cannot be pulled, with the kubelet's reason; what this call created is deleted again.
    """
    documents = manifest(name)
    given = yaml.safe_dump_all(documents)
    listed = kubectl("get", "--filename", "-", "--ignore-not-found", "--output", "json", stdin=given, **target)
    before = {(each["kind"], each["metadata"]["name"]) for each in _items(listed)}
    _apply(documents, **target)

    def available() -> bool:
        if refusal := _refusal(name, **target):
            raise ClusterError(
                f"{name.capitalize()} cannot run on this cluster: {refusal}",
                "It runs on a cluster that can pull images. The book's page on clusters says how to take yours.",
            )
        found = json.loads(kubectl("get", "deployment", name, "--namespace", NAMESPACE, "--output", "json", **target))
        status, wanted = found.get("status", {}), found["spec"].get("replicas", 1)
        return status.get("observedGeneration") == found["metadata"]["generation"] and status.get("availableReplicas", 0) >= wanted

    try:
        wait_until(available, f"{name} to be available", seconds, every=0.5, error=ClusterError)
    except ClusterError:
        created = [each for each in documents if (each["kind"], each["metadata"]["name"]) not in before]
        kubectl("delete", "--cascade=foreground", "--filename", "-", "--ignore-not-found", stdin=yaml.safe_dump_all(created), **target)
        raise


def _refusal(name: str, **target) -> str:
    """Why an image of the add-on's pods cannot be had; empty as long as nothing says so."""
    pods = json.loads(kubectl("get", "pods", "--namespace", NAMESPACE, "--output", "json", **target))["items"]
    for pod in pods:
        for container in pod["status"].get("containerStatuses", []) if pod["metadata"]["name"].startswith(f"{name}-") else []:
            waiting = container["state"].get("waiting", {})
            if waiting.get("reason") in REFUSED:
                return f"the image {container['image']} cannot be pulled ({waiting['reason']}: {waiting.get('message', '')[-300:]})"
    return ""


def _apply(documents: list[dict], **target) -> None:
    how = ("--server-side", "--force-conflicts", "--field-manager", "meshlab")
    kubectl("apply", *how, "--filename", "-", stdin=yaml.safe_dump_all(documents), **target)


def _read(file: Path) -> list[dict]:
    return [document for document in yaml.safe_load_all(file.read_text()) if document]


def _items(listed: str) -> list[dict]:
    found = json.loads(listed) if listed.strip() else {}
    return found.get("items", [found] if found else [])


def _adapted(document: dict) -> dict:
    """An object of Istio's manifests with what the embedded lab needs differently."""
    change = CHANGES.get((document["kind"], document["metadata"]["name"]))
    if change:
        change(document)
    return document


def _scrape(config_map: dict) -> None:
    overlay = yaml.safe_load((OVERLAY / "prometheus.yaml").read_text())
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
