"""Who is in ambient mode: pods whose traffic their node's ztunnel takes, by the annotation that istio-cni gives them."""

from __future__ import annotations

from lab_helpers.core.wait import wait_until_none
from lab_helpers.kube import pods
from lab_helpers.kube.apply import Change
from lab_helpers.kube.kinds import NAMESPACE, POD

LABEL = "istio.io/dataplane-mode"  # of a namespace, or of a pod
REDIRECTION = "ambient.istio.io/redirection"  # what istio-cni notes of a pod: enabled, or pending
AGENT = {"k8s-app": "istio-cni-node"}  # the pods of istio-cni
LEFT = 60.0  # seconds


def redirected(lab, namespace: str = "*") -> list[dict]:
    """The pods whose traffic goes by ztunnel, or is about to."""
    return [pod for pod in lab.client.list(POD, namespace) if is_redirected(pod) and not pods.leaving(pod)]


def is_redirected(pod: dict) -> bool:
    """Whether a pod's traffic goes by ztunnel, or is about to."""
    return bool((pod["metadata"].get("annotations") or {}).get(REDIRECTION))


def others(lab) -> list[str]:
    """The namespaces of other people that have pods in ambient mode."""
    return sorted({pod["metadata"]["namespace"] for pod in redirected(lab)} - {lab.namespace})


def leave(lab) -> list[Change]:
    """Take everybody out of ambient mode, while istio-cni is still there to give the pods back their way out; wait for it.

    Raises
    ------
    MeshError
        A pod was not let go; names it.
    """
    named = [each["metadata"]["name"] for each in lab.client.list(NAMESPACE, labels={LABEL: "ambient"})]
    for name in named:
        lab.client.patch(NAMESPACE, name, {"metadata": {"labels": {LABEL: None}}})
    for pod in lab.client.list(POD, "*", {LABEL: "ambient"}):
        lab.client.patch(POD, pod["metadata"]["name"], {"metadata": {"labels": {LABEL: None}}}, pod["metadata"]["namespace"])
    left(lab)
    return [Change(f"Namespace {name}", "taken out of ambient mode") for name in named]


def left(lab, namespace: str = "*") -> None:
    """Wait until no pod is redirected any more. Where istio-cni has gone, nobody lets them go, and they have to be replaced."""
    wait_until_none(
        lambda: [
            f"{pod['metadata']['name']} is still redirected" for pod in redirected(lab, namespace) if lab.client.list(POD, "*", AGENT)
        ],
        "pods to leave ambient mode",
        "Look at istio-cni's log: kubectl logs --namespace istio-system daemonset/istio-cni-node.",
        LEFT,
        0.1,
    )
