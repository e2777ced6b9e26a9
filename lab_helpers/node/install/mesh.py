"""Istio and Bookinfo on a cluster, the embedded one or any other, by the same code with which chapters put them there."""

from __future__ import annotations

from lab_helpers.core.errors import ClusterError, LabError, TrafficError
from lab_helpers.core.manifests import FOLDER
from lab_helpers.core.wait import wait_until
from lab_helpers.istio import apply, installation
from lab_helpers.kube import rollout
from lab_helpers.kube.kinds import DEPLOYMENT
from lab_helpers.lab import Lab
from lab_helpers.lab.chapters import BOOKINFO
from lab_helpers.lab.checkpoint import label
from lab_helpers.node.progress import Report

DEPLOYMENTS = ("istiod", "istio-ingressgateway", "istio-egressgateway")
STARTING = 60.0  # seconds for an Istio whose node has just been started again


def install_istio(report: Report, lab: Lab, seconds: float = rollout.DEADLINE) -> None:
    """Install Istio's demo profile, with the lab's overlay, unless it is there and well; wait for it.

    Raises
    ------
    CommandError
        istioctl refuses, with its own words.
    ClusterError
        Its Deployments do not become available within `seconds`; names each and why.
    """
    if installation.problems(lab) and not _starts(lab):
        with report.step("install Istio (demo profile)"):
            installation.ensure(lab)
    with report.step("Istio's control plane and gateways"):
        rollout.complete(lab.client, DEPLOYMENTS, installation.NAMESPACE, seconds, ClusterError)
    installation.note(lab)


def _starts(lab: Lab) -> bool:
    """Whether what seems wrong was only that its pods had to start."""
    there = {each["metadata"]["name"] for each in lab.client.list(DEPLOYMENT, installation.NAMESPACE)}
    if not there.issuperset(DEPLOYMENTS):
        return False
    try:
        rollout.complete(lab.client, DEPLOYMENTS, installation.NAMESPACE, STARTING)
    except LabError:
        return False
    return not installation.problems(lab)


def deploy_bookinfo(lab: Lab) -> None:
    """Deploy Bookinfo and its gateway into the lab's namespace, with injection on, and wait until all of it runs in the mesh."""
    label(lab, injection=True)
    apply.write(lab, apply.load_for(lab, BOOKINFO, FOLDER))


def wait_page(lab: Lab, seconds: float = 90) -> str:
    """Wait for the first 200 of Bookinfo's page through the gateway; return its address."""
    seen = ""

    def answers() -> str:
        nonlocal seen
        try:
            page = lab.page()
        except TrafficError as error:
            seen = error.what
            return ""
        seen = f"HTTP {page.status} from {page.url}"
        return page.url if page.status == 200 else ""

    return wait_until(
        answers, "a 200 from Bookinfo's page", seconds, late=lambda: seen, do="See which pods are not ready: kubectl get pods -A."
    )
