"""Istio and Bookinfo on a cluster: the embedded one or any other."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

import httpx

from lab_helpers.core.errors import ClusterError, MeshError
from lab_helpers.core.wait import wait_until
from lab_helpers.core import paths
from lab_helpers.node.build.binaries import ISTIO_SOURCES
from lab_helpers.node.cluster import kubectl, wait_available
from lab_helpers.node.build.contained import Say
from lab_helpers.node.build.versions import VERSIONS

NAMESPACE = "default"

DEPLOYMENTS = ("istiod", "istio-ingressgateway", "istio-egressgateway")
# Written when an installation has come to its end: one that was killed half-way leaves Deployments too.
MARK = "meshlab/installed"


def _mark(overlays: Sequence[Path]) -> str:
    digest = hashlib.sha256(b"\0".join(overlay.read_bytes() for overlay in overlays)).hexdigest()[:12]
    return f"{VERSIONS['istio']['version']}+{digest}" if overlays else VERSIONS["istio"]["version"]


def installed(overlays: Sequence[Path] = (), **target) -> bool:
    """Whether Istio of this version was installed to the end, with `overlays` if any are named, and is still there."""
    namespace = kubectl("get", "namespace", "istio-system", "--ignore-not-found", "--output", "json", **target)
    mark = json.loads(namespace)["metadata"].get("annotations", {}).get(MARK) if namespace.strip() else None
    if not mark or mark.partition("+")[0] != VERSIONS["istio"]["version"] or (overlays and mark != _mark(overlays)):
        return False
    found = json.loads(kubectl("get", "deployments", "--namespace", "istio-system", "--output", "json", **target))["items"]
    return {deployment["metadata"]["name"] for deployment in found} >= set(DEPLOYMENTS)


def install(overlays: Sequence[Path], say: Say, kubeconfig: Path = paths.KUBECONFIG, context: str | None = None) -> None:
    """Install Istio's demo profile, with the IstioOperator files of `overlays` on top.

    Raises
    ------
    MeshError
        When istioctl refuses, with its own words.
    """
    command = [
        str(paths.BIN / "istioctl"),
        "install",
        "--skip-confirmation",
        "--set",
        "profile=demo",
        "--kubeconfig",
        str(kubeconfig),
    ]
    command += ["--context", context] if context else []
    for overlay in overlays:
        command += ["--filename", str(overlay)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    lines = []
    for line in process.stdout:
        if line.strip():
            lines.append(line.strip())
            say(line.strip())
    if process.wait():
        raise MeshError(
            "istioctl install failed: " + "\n    ".join(lines[-6:]),
            "Run `meshlab up` again; if it fails again, `meshlab status`.",
        )
    kubectl(
        "annotate",
        "namespace",
        "istio-system",
        f"{MARK}={_mark(overlays)}",
        "--overwrite",
        kubeconfig=kubeconfig,
        context=context,
    )


def deploy_bookinfo(**target) -> None:
    """Deploy the unmodified upstream Bookinfo and its gateway into the default namespace, with injection on."""
    samples = ISTIO_SOURCES.path / "samples/bookinfo"
    kubectl("label", "namespace", NAMESPACE, "istio-injection=enabled", "--overwrite", **target)
    for file in ("platform/kube/bookinfo.yaml", "networking/bookinfo-gateway.yaml"):
        apply = (
            "apply",
            "--namespace",
            NAMESPACE,
            "--server-side",
            "--force-conflicts",
            "--field-manager",
            "meshlab",
            "--filename",
        )
        kubectl(*apply, samples / file, **target)


BOOKINFO = ("details-v1", "productpage-v1", "ratings-v1", "reviews-v1", "reviews-v2", "reviews-v3")


def wait_bookinfo(**target) -> None:
    """Wait until Bookinfo's six Deployments are available."""
    wait_available(NAMESPACE, BOOKINFO, seconds=180, **target)


def gateway_url(**target) -> str:
    """Where the ingress gateway's port 80 is reachable from here: its load balancer, else a node and its NodePort.

    Raises
    ------
    ClusterError
        When the cluster gives the gateway no address.
    """
    service = json.loads(kubectl("get", "service", "istio-ingressgateway", "--namespace", "istio-system", "--output", "json", **target))
    for entry in service["status"].get("loadBalancer", {}).get("ingress", []):
        return f"http://{entry.get('ip') or entry['hostname']}"
    port = next((port.get("nodePort") for port in service["spec"]["ports"] if port["port"] == 80), None)
    nodes = json.loads(kubectl("get", "nodes", "--output", "json", **target))["items"]
    address = next((a["address"] for node in nodes for a in node["status"]["addresses"] if a["type"] == "InternalIP"), None)
    if not port or not address:
        do = "Give the service istio-ingressgateway the type NodePort, or the cluster a load balancer."
        raise ClusterError("The ingress gateway has no address outside the cluster.", do)
    return f"http://{address}:{port}"


def wait_page(url: str, seconds: float = 90) -> None:
    """Wait for the first 200 of Bookinfo's page through the gateway."""
    seen = "no answer"

    def answers() -> bool:
        nonlocal seen
        try:
            # Not by a proxy that the environment names: the lab is on this machine.
            status = httpx.get(f"{url}/productpage", timeout=5, trust_env=False).status_code
        except httpx.HTTPError as error:
            seen = str(error)
            return False
        seen = f"HTTP {status}"
        return status == 200

    wait_until(
        answers,
        f"a 200 from {url}/productpage",
        seconds,
        late=lambda: seen,
        error=MeshError,
        do="See `meshlab status`.",
    )


def supported(version: str) -> bool:
    """Whether a Kubernetes of `version` ("1.36.3") is new enough for this Istio."""
    minimum = VERSIONS["istio"]["minimum_kubernetes"]
    return tuple(map(int, version.split(".")[:2])) >= tuple(map(int, minimum.split(".")))
