"""The labels of a learner's namespace, by which its pods get sidecars, or none."""

from __future__ import annotations

from kubernetes.client.rest import ApiException

from lab_helpers.core.errors import LabError
from lab_helpers.core.wait import wait_until
from lab_helpers.istio import istiod, proxies
from lab_helpers.istio.installation import ambient
from lab_helpers.kube import objects, pods
from lab_helpers.kube.apply import Change
from lab_helpers.kube.kinds import MUTATING_WEBHOOKS, NAMESPACE

REVISION = "istio.io/rev"
INJECTED = {"istio-injection": "enabled"}
# Labels that would have another mesh mode, or another revision, take the namespace over.
FOREIGN_LABELS = (REVISION, ambient.LABEL, "istio.io/use-waypoint")
INJECTOR = ".sidecar-injector.istio.io"  # so end the names of Istio's webhooks that inject
TRIED = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "tried"}, "spec": {"containers": [{"name": "tried", "image": "none"}]}}
LABELLED = 20.0  # seconds for the API server to see a label
ENDED = 60.0  # seconds for a namespace that is on its way out to be gone


def label(lab, injection: bool) -> list[Change]:
    """Make the lab's namespace if it is not there, and have its pods get sidecars, or none."""
    found = lab.client.get(NAMESPACE, lab.namespace)
    wanted = injecting(lab.client, pods.labels(found) if found else {}) if injection else {}
    if found and pods.leaving(found):  # it is made anew as soon as it has gone
        do = f"See what holds it: kubectl get namespace {lab.namespace} -o yaml, under status."
        wait_until(lambda: lab.client.get(NAMESPACE, lab.namespace) is None, f"namespace {lab.namespace} to be gone", ENDED, 0.2, do=do)
        found = None
    if found is None:
        lab.client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": lab.namespace, "labels": wanted}})
        return [Change(f"Namespace {lab.namespace}", "created")]
    labels = pods.labels(found)
    patch = {
        **{key: value for key, value in wanted.items() if labels.get(key) != value},
        **{key: None for key in (*FOREIGN_LABELS, *INJECTED) if key in labels and key not in wanted},
    }
    if not patch:
        return []
    lab.client.patch(NAMESPACE, lab.namespace, {"metadata": {"labels": patch}})
    wait_until(
        lambda: _injects(lab) is injection,
        f"pods of {lab.namespace} to {'get' if injection else 'be without'} sidecars",
        LABELLED,
        do="See whether Istio's webhook answers: kubectl get mutatingwebhookconfigurations; kubectl get pods --namespace istio-system",
    )
    if ambient.LABEL in patch:
        ambient.left(lab, lab.namespace)
    return [Change(f"Namespace {lab.namespace}", "configured", "\n".join(f"{key}: {value}" for key, value in patch.items()))]


def _injects(lab) -> bool | None:
    """Whether a pod that is made now gets a proxy: the API server hears of a namespace's new labels a moment after it has written them."""
    try:
        return proxies.has_proxy(objects.write(lab.client, TRIED, dry_run=True))
    except LabError:  # the webhook does not answer yet
        return None


def injecting(client, labels: dict[str, str]) -> dict[str, str]:
    """The label that has a namespace's pods get sidecars in this cluster.

    ``istio-injection`` where some istiod listens to it; where all have a revision, that one or a tag of it, and of several the one that
    the namespace has among its `labels` already.
    """
    own = [{REVISION: labels[REVISION]}] if REVISION in labels else []
    try:
        webhooks = [each for found in client.list(MUTATING_WEBHOOKS) for each in found.get("webhooks") or []]
    except ApiException as error:
        if error.status != 403:
            raise
        return own[0] if own else INJECTED  # whoever may not look leaves it as it was made for them
    selectors = [each.get("namespaceSelector") or {} for each in webhooks if each["name"].endswith(INJECTOR)]
    if fits := [each for each in (INJECTED, *own) if _selected(each, selectors)]:
        return fits[0]
    asked = [each for selector in selectors for each in selector.get("matchExpressions") or [] if each["key"] == REVISION]
    named = sorted({value for each in asked if each["operator"] == "In" for value in each["values"]})
    running = {pods.labels(pod).get(REVISION) for pod in istiod.pods(client)} if named else set()
    revisions = [{REVISION: each} for each in sorted(named, key=lambda each: each not in running)]
    return next((each for each in revisions if _selected(each, selectors)), INJECTED)


def _selected(labels: dict[str, str], selectors: list[dict]) -> bool:
    return any(selects(selector, labels) for selector in selectors)


def selects(selector: dict, labels: dict[str, str]) -> bool:
    """Whether a label selector of Kubernetes takes an object with these labels."""
    one = {
        "In": lambda key, values: labels.get(key) in values,
        "NotIn": lambda key, values: labels.get(key) not in values,
        "Exists": lambda key, _: key in labels,
        "DoesNotExist": lambda key, _: key not in labels,
    }
    wanted = (selector.get("matchLabels") or {}).items()
    return wanted <= labels.items() and all(
        one[each["operator"]](each["key"], each.get("values") or ()) for each in selector.get("matchExpressions") or []
    )
