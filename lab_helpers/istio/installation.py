"""Istio's installation as a whole: whether it is what some options ask for, and what an uninstall takes away with it."""

from __future__ import annotations

import json

from lightkube.core.exceptions import ApiError
from lightkube.operators import exists
from lightkube.resources.apiextensions_v1 import CustomResourceDefinition
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.autoscaling_v2 import HorizontalPodAutoscaler
from lightkube.resources.core_v1 import ConfigMap, Namespace, Pod

from lab_helpers.core.manifests import title
from lab_helpers.mesh import apply, commands, converge, objects, profiles, wait

NAMESPACE = "istio-system"
COURSE = "--set profile=demo"  # what all other chapters run on
LABELLED = {"operator.istio.io/component": exists()}  # by which istioctl knows what it has installed
KEPT = "meshlab-kept"
RECONNECT = 90.0  # seconds: a proxy that finds no istiod tries again at intervals that grow to 30 s


def problems(lab, options: str = COURSE) -> list[str]:
    """Name in what the installation differs from what ``istioctl install`` with `options` (and the lab's overlay) makes."""
    wanted = profiles.manifest(lab, f"{options} {lab.overlay}")
    missing = [title(each) for each in wanted if objects.read(lab.client, each, NAMESPACE) is None]
    if missing:
        return [f"there is no {each}" for each in missing]
    record = next(each for each in wanted if title(each) == profiles.RECORD)
    told, asked = (json.loads(each["data"]["original-values"]) for each in (objects.read(lab.client, record, NAMESPACE), record))
    if told != asked:
        return ["it was installed with other settings"]
    replicas = {each["metadata"]["name"]: each["spec"].get("replicas") for each in wanted if each["kind"] == "Deployment"}
    return [
        f"Deployment {each.metadata.name} {wrong}"
        for each in lab.client.list(Deployment, namespace=NAMESPACE, labels=LABELLED)
        if (wrong := _wrong(each, replicas))
    ]


def ensure(lab) -> list[apply.Change]:
    """Install Istio as the course has it unless it is there and well, give back what an uninstall took, and wait for every proxy."""
    changes = []
    gone(lab)
    if problems(lab):
        # Another profile's autoscaler, as long as istioctl has not pruned it, takes the smaller requests of this one for a rush.
        for each in lab.client.list(HorizontalPodAutoscaler, namespace=NAMESPACE, labels=LABELLED):
            lab.client.delete(HorizontalPodAutoscaler, each.metadata.name, namespace=NAMESPACE)
        commands.run(lab, f"istioctl install --skip-confirmation {COURSE} {lab.overlay}", deadline=300)
        changes.append(apply.Change("Istio (demo profile)", "installed"))
    changes += restore(lab).changes
    converge.settled(lab, RECONNECT)
    return changes


def gone(lab) -> None:
    """Wait until nothing of Istio is on its way out any more: what is being deleted cannot be installed."""

    def going() -> list[str]:
        found = [
            *lab.client.list(Deployment, namespace=NAMESPACE, labels=LABELLED),
            *lab.client.list(Pod, namespace=NAMESPACE, labels=LABELLED),
        ]
        found += lab.client.list(CustomResourceDefinition, labels=LABELLED)
        return [each.metadata.name for each in found if each.metadata.deletionTimestamp]

    wait.until_none(going, "Istio's old pods and kinds to be gone", f"See kubectl get pods -n {NAMESPACE}.", 90, every=0.1)


def keep(lab) -> apply.Outcome:
    """Put a copy of all Istio configuration of all namespaces into a ConfigMap, where neither an uninstall nor a crash takes it."""
    found = [objects.as_dict(each) for kind in objects.istio_kinds(lab.client) for each in lab.client.list(kind, namespace="*")]
    # Kinds of the Gateway API are not Istio's to take away. And an older copy may hold what an uninstall has taken already.
    copies = [*(kept(lab) or []), *(_copy(each) for each in found if each["apiVersion"].partition("/")[0].endswith("istio.io"))]
    copies = list({(each["kind"], each["metadata"]["namespace"], each["metadata"]["name"]): each for each in copies}.values())
    data = {"objects": json.dumps(copies)}
    content = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": KEPT}, "data": data}
    objects.write(lab.client, content, NAMESPACE)
    changes = [apply.Change(f"{title(each)} in {each['metadata']['namespace']}", "kept") for each in copies]
    return apply.Outcome("kubectl get istio-io --all-namespaces -o yaml > kept.yaml", changes)


def restore(lab) -> apply.Outcome:
    """Create again what `keep` has kept and is missing now, and throw the copy away; nothing where there is no copy."""
    command = "kubectl create -f kept.yaml"
    copies = kept(lab)
    if copies is None:
        return apply.Outcome(command, [])
    there = {each.metadata.name for each in lab.client.list(Namespace)}
    copies = [each for each in copies if each["metadata"]["namespace"] in there]
    missing = [each for each in copies if objects.read(lab.client, each, NAMESPACE) is None]
    outcome = apply.write(lab, missing, command)
    lab.client.delete(ConfigMap, KEPT, namespace=NAMESPACE)
    return outcome


def kept(lab) -> list[dict] | None:
    """What `keep` has kept; None where there is no copy."""
    try:
        return json.loads(lab.client.get(ConfigMap, KEPT, namespace=NAMESPACE).data["objects"])
    except ApiError as error:
        if error.status.code != 404:
            raise
        return None


def _wrong(deployment: Deployment, replicas: dict[str, int | None]) -> str:
    name = deployment.metadata.name
    if name not in replicas:
        return "is not part of it"
    if replicas[name] not in (None, deployment.spec.replicas):
        return f"has {deployment.spec.replicas} replicas"
    return "" if deployment.status.availableReplicas else "is not available"


def _copy(document: dict) -> dict:
    metadata = {key: value for key, value in document["metadata"].items() if key in ("name", "namespace", "labels", "annotations")}
    return {**{key: value for key, value in document.items() if key != "status"}, "metadata": metadata}
