"""Checks of chapter 05_injection."""

from __future__ import annotations

import yaml

from lab_helpers.chapters.c05_injection import injection
from lab_helpers.istio import istiod, proxies
from lab_helpers.kube import pods
from lab_helpers.kube.commands import Output
from lab_helpers.kube.kinds import DEPLOYMENT, NAMESPACE, POD
from lab_helpers.show.checks import given, register, wrong
from lab_helpers.show.inputs import Words, table

LABEL = "sidecar.istio.io/inject"
OWN = {"client", "productpage-v1", "details-v1", "ratings-v1"}  # what the chapter starts with; who else is there is not its business
MENDED = ("quiet", "hosted")

# What the checks look at.
Labels = table('"true"', '"false"')
Sidecars = table("analyze", "check-inject", flags=["sidecar"])


@register("05.1", "No sidecar anywhere")
def none_yet(lab) -> str:
    """The namespace does not ask for sidecars, and no pod has one."""
    if _asks(lab):
        raise wrong(f"namespace {lab.namespace} asks for sidecars", "kubectl get namespace --show-labels: which label does it?")
    _only(lab, set())
    return f"{len(_pods(lab, OWN))} pods, and not one proxy."


@register("05.2", "What the webhook adds")
def added(before: Output, after: Output, answer: Words) -> str:
    """The learner names the containers that the pod has got."""
    old, new = (_containers(_pod(each)["spec"]) for each in (before, after))
    named = given(answer)
    if named - new:
        raise wrong(f"the pod has no container {min(named - new)}", "Look under spec.initContainers.")
    if named & old:
        raise wrong(f"{min(named & old)} was there before", "What is there only afterwards?")
    if new - old - named:
        raise wrong("the webhook adds one more container", "They are not under spec.containers.")
    return f"{' and '.join(sorted(new - old))}."


@register("05.3", "One workload, by a label on its pods")
def by_label(lab) -> str:
    """Only productpage has a sidecar, and its template asks for it."""
    if pods.labels(_template(lab, "productpage-v1")).get(LABEL) != "true":
        raise wrong(f"the template of productpage-v1 has no label {LABEL}=true", "A label of the Deployment itself does nothing.")
    _only(lab, {"productpage-v1"})
    return "productpage has a sidecar, and nobody else."


@register("05.4", "One workload, by its manifest")
def by_manifest(lab) -> str:
    """Only ratings has a sidecar, and it is written into its template."""
    if "istio-proxy" not in _containers(_template(lab, "ratings-v1")["spec"]):
        raise wrong("the template of ratings-v1 does not mention istio-proxy", "What kube-inject prints has to be applied.")
    _only(lab, {"ratings-v1"})
    return "ratings has a sidecar, written out in its Deployment, and nobody else."


@register("05.5", "All of them, by the namespace")
def by_namespace(lab) -> str:
    """The namespace asks for sidecars, every pod has one, and each is connected."""
    if not _asks(lab):
        raise wrong(f"namespace {lab.namespace} does not ask for sidecars", "kubectl label namespace; the label is istio-injection.")
    _only(lab, OWN)
    written = sorted(each for each in OWN if "istio-proxy" in _containers(_template(lab, each)["spec"]))
    if written:
        raise wrong(f"{written[0]} has its sidecar written out in its Deployment", "Undo the second way: apply its own manifest.")
    connected = {each.name for each in istiod.proxies(lab.client) if each.namespace == lab.namespace}
    there = {pod["metadata"]["name"] for pod in _pods(lab, OWN)}
    waiting = sorted(there - connected)
    if waiting:
        raise wrong(f"{waiting[0]} is not connected to istiod", "Its log: kubectl logs POD -c istio-proxy.")
    return f"{len(there)} pods, and {len(there)} proxies connected."


@register("05.6", "Who wins")
def outvoted(table: Labels, answer: Words) -> str:
    """The learner names the namespaces in which a pod's own label cannot get it a sidecar."""
    lost = set(table.index[table['"true"'] == ""])
    if not lost or lost == set(table.index):
        raise wrong("in this table the namespace's label makes no difference", "Is it the one that precedence(lab) returns?")
    named = given(answer)
    if named - set(table.index):
        raise wrong(f"there is no row {min(named - set(table.index))}", f"The rows are: {', '.join(table.index)}.")
    if named - lost:
        raise wrong(f'with {min(named - lost)} a pod that says "true" gets its sidecar', 'Look down the column "true".')
    if lost - named:
        raise wrong("there is one more in which the pod asks in vain", 'Look down the column "true" once more.')
    return f"a pod asks in vain where its namespace says {' or '.join(sorted(lost))}."


@register("05.7", "The way through the sidecar")
def redirected(rules: Output, answer: dict) -> str:
    """The learner reads ports and user out of the rules."""
    found = injection.ports(rules)
    hints = {
        "outbound": "Follow the chain OUTPUT to its end.",
        "inbound": "Follow the chain PREROUTING to its end.",
        "exempt": "Whose packets leave ISTIO_OUTPUT by RETURN, because of --uid-owner?",
    }
    for name, hint in hints.items():
        if answer.get(name) != found[name]:
            raise wrong(f"{name} is not {answer.get(name)}", hint)
    return f"out by port {found['outbound']}, in by port {found['inbound']}; user {found['exempt']} is left alone."


@register("05.8", "Who stays silent")
def undetected(sidecars: Sidecars, answer: str) -> str:
    """The learner names the workload whose missing sidecar neither analyze nor check-inject gives away."""
    missing = sidecars[~sidecars["sidecar"].astype(bool)]
    silent = {injection.owner(pod) for pod in missing.index[(missing["analyze"] == "") & (missing["check-inject"] == "✔")]}
    if not silent:
        raise wrong("in this table there is no such workload", "Are the two broken Deployments applied?")
    if answer not in silent:
        raise wrong(f"{answer} has a sidecar, or one of the two says why not", "sidecar False, analyze empty, check-inject ✔: which row?")
    return f"{answer}: nothing to see but that its proxy is not on istiod's list."


@register("05.9", "Mended")
def mended(lab) -> str:
    """Both broken workloads have a sidecar now."""
    for name in MENDED:
        template = _template(lab, name, "Mend it, do not delete it.")
        made = _pods(lab, {name})
        if not made or not all(proxies.has_proxy(pod) for pod in made):
            hosted = template["spec"].get("hostNetwork")
            hint = "It is still on the node's network." if hosted else "Which label of its template says no?"
            raise wrong(f"{name} has no sidecar", hint if hosted or LABEL in pods.labels(template) else "Wait for the rollout.")
    return f"{' and '.join(MENDED)} have sidecars."


def _asks(lab) -> bool:
    labels = pods.labels(lab.client.get(NAMESPACE, lab.namespace))
    return labels.get("istio-injection") == "enabled" or "istio.io/rev" in labels


def _pods(lab, deployments: set[str]) -> list[dict]:
    made = [pod for pod in lab.client.list(POD) if injection.owner(pod["metadata"]["name"]) in deployments]
    return [pod for pod in made if not pods.leaving(pod)]


def _only(lab, wanted: set[str]) -> None:
    """Raise unless the pods of `wanted`, and no others of the chapter, have a proxy."""
    for pod in _pods(lab, OWN):
        name, has = pod["metadata"]["name"], proxies.has_proxy(pod)
        owner = injection.owner(name)
        if has and owner not in wanted:
            raise wrong(f"{name} has a sidecar", "Undo what came before, and wait until the old pods are gone.")
        if not has and owner in wanted:
            raise wrong(f"{name} has no sidecar", "It may be older than the label: a pod is injected when it is created.")
        if has and not pods.ready(pod):
            raise wrong(f"{name} is not ready", "kubectl describe pod says what it waits for.")


def _template(lab, deployment: str, hint: str = 'lab.checkpoint("05_injection") brings it back.') -> dict:
    found = lab.client.get(DEPLOYMENT, deployment)
    if found is None:
        raise wrong(f"there is no Deployment {deployment}", hint)
    return found["spec"]["template"]


def _pod(printed: Output) -> dict:
    try:
        found = yaml.safe_load(printed.stdout)
    except yaml.YAMLError:
        found = None
    if not isinstance(found, dict) or "containers" not in (found.get("spec") or {}):
        raise wrong(f"{printed.command} has printed no pod", "dry_run(lab, NAME) prints one.")
    return found


def _containers(spec: dict) -> set[str]:
    return {each["name"] for each in [*spec["containers"], *(spec.get("initContainers") or [])]}
