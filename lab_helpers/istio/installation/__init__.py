"""Istio's installation as a whole: what some options ask for, whether it is there, and how it gets there."""

from __future__ import annotations

import hashlib
import json
import re
from contextlib import suppress

import yaml

from lab_helpers.core.errors import ClusterError
from lab_helpers.core.manifests import title
from lab_helpers.core.wait import wait_until_none
from lab_helpers.istio import configuration, converge, gateway, istiod
from lab_helpers.istio.installation import ambient as enrolment
from lab_helpers.kube import commands, mark, objects
from lab_helpers.kube.apply import Change
from lab_helpers.kube.kinds import AUTOSCALER, CONFIG_MAP, CUSTOM_RESOURCE_DEFINITION, DEPLOYMENT, POD

NAMESPACE = "istio-system"
COURSE = "--set profile=demo"  # what all chapters run on, unless they say otherwise
# The demo profile with all that the ambient profile adds; that profile alone would take both gateways away.
AMBIENT = f"""{COURSE} --set components.cni.enabled=true --set components.ztunnel.enabled=true --set values.cni.ambient.enabled=true \
  --set values.pilot.env.PILOT_ENABLE_AMBIENT=true --set meshConfig.defaultConfig.proxyMetadata.ISTIO_META_ENABLE_HBONE=true"""
LABELLED = {"operator.istio.io/component": None}  # by which istioctl knows what it has installed
# What istioctl was told and made of it: it repeats what the other objects say.
RECORD = "ConfigMap values"
SETTINGS = ("istio", "istio-sidecar-injector", "values")  # ConfigMaps: of the mesh, of the sidecars, and what istioctl was told
RECONNECT = 90.0  # seconds: a proxy that finds no istiod tries again at intervals that grow to 30 s


def manifest(lab, options: str) -> list[dict]:
    """Every object that ``istioctl install`` with `options` would create.

    Parameters
    ----------
    options : str
        As on the command line: ``--set profile=demo``, ``-f FILE``, or both. The word alone names a profile.

    Raises
    ------
    CommandError
        istioctl refuses them: an unknown profile, a malformed file.
    """
    options = options if options.lstrip().startswith("-") else f"--set profile={options}"
    texts = commands.run(lab.client, f"istioctl manifest generate {options}").stdout.split("\n---\n")
    return [document for document in map(_read, texts) if document]


def problems(lab, options: str = COURSE) -> list[str]:
    """Name in what the installation differs from what ``istioctl install`` with `options` (and the lab's overlay) makes."""
    there = {each["metadata"]["name"]: each for each in lab.client.list(DEPLOYMENT, NAMESPACE, LABELLED)}
    if "istiod" not in there:
        return ["there is no Deployment istiod"]
    wanted = manifest(lab, f"{options} {lab.overlay}")
    missing = [title(each) for each in wanted if objects.read(lab.client, each) is None]
    if missing:
        return [f"there is no {each}" for each in missing]
    record = next(each for each in wanted if title(each) == RECORD)
    told, asked = (json.loads(each["data"]["original-values"]) for each in (objects.read(lab.client, record), record))
    if told != asked:
        return ["it was installed with other settings"]
    asked_for = {each["metadata"]["name"]: each for each in wanted if each["kind"] == "Deployment"}
    return [f"Deployment {name} {wrong}" for name, each in there.items() if (wrong := _wrong(each, asked_for.get(name)))]


def ensure(lab, anew: bool = False, ambient: bool = False) -> list[Change]:
    """Install Istio as the course has it unless it is there and well, give back what an uninstall took, and wait for every proxy.

    Parameters
    ----------
    anew : bool
        Install it even if nothing seems to be wrong.
    ambient : bool
        With ambient mode beside sidecars. Without it nobody stays enrolled: what goes by ztunnel goes nowhere once that is gone.

    Raises
    ------
    CommandError
        istioctl does not install it; with what it printed.
    MeshError
        A proxy does not find the new istiod; names it.
    """
    changes, options = [], AMBIENT if ambient else COURSE
    gone(lab)
    if anew or problems(lab, options):
        changes += [] if ambient else enrolment.leave(lab)
        # Another profile's autoscaler, as long as istioctl has not pruned it, takes the smaller requests of this one for a rush.
        for each in lab.client.list(AUTOSCALER, NAMESPACE, LABELLED):
            lab.client.delete(AUTOSCALER, each["metadata"]["name"], NAMESPACE)
        commands.run(lab.client, f"istioctl install --skip-confirmation {options} {lab.overlay}".rstrip(), deadline=300)
        changes.append(Change("Istio (demo profile, with ambient mode)" if ambient else "Istio (demo profile)", "installed"))
    changes += configuration.restore(lab).changes
    converge.settled(lab, RECONNECT)
    note(lab, ambient)
    return changes


def undo_changes(lab, ambient: bool = False) -> list[Change]:
    """`ensure` it anew where settings, images or replicas are no longer those that the course has installed.

    An Istio that the course has not installed stays as it is, and so does ambient mode as long as other people's pods are in it.
    """
    if not istiod.open_to(lab.client) or not mark.noted_installation(lab.client):
        return []
    now, with_ambient = digest(lab), mark.noted_installation(lab.client, mark.AMBIENT)
    if now == (with_ambient if ambient else mark.noted_installation(lab.client)):
        return []
    return [] if now == with_ambient and enrolment.others(lab) else ensure(lab, anew=True, ambient=ambient)


def note(lab, ambient: bool = False) -> None:
    """Remember with the cluster's mark how Istio is now, which is as the course has installed it, and where its gateway is reached.

    `undo_changes` goes by the former, and by the latter those whose rights end at their namespace.
    """
    mark.note_installation(lab.client, digest(lab), mark.AMBIENT if ambient else mark.INSTALLATION)
    with suppress(ClusterError):  # a gateway that has no address yet, or none that anybody can reach
        mark.note_gateway(lab.client, gateway.url(lab))


def digest(lab) -> str:
    """A digest of Istio's settings, and of its Deployments' images and replicas: two small questions, where `problems` takes a second."""
    settings = [(lab.client.get(CONFIG_MAP, name, NAMESPACE) or {}).get("data") for name in SETTINGS]
    deployments = lab.client.list(DEPLOYMENT, NAMESPACE, LABELLED)
    running = sorted((each["metadata"]["name"], each["spec"].get("replicas"), _images(each)) for each in deployments)
    return hashlib.sha256(json.dumps([settings, running], sort_keys=True).encode()).hexdigest()


def gone(lab) -> None:
    """Wait until nothing of Istio is on its way out any more: what is being deleted cannot be installed."""

    def going() -> list[str]:
        found = [*lab.client.list(DEPLOYMENT, NAMESPACE, LABELLED), *lab.client.list(POD, NAMESPACE, LABELLED)]
        found += lab.client.list(CUSTOM_RESOURCE_DEFINITION, labels=LABELLED)
        return [each["metadata"]["name"] for each in found if "deletionTimestamp" in each["metadata"]]

    wait_until_none(going, "Istio's old pods and kinds to be gone", f"See kubectl get pods -n {NAMESPACE}.", 90, 0.1)


def _wrong(deployment: dict, wanted: dict | None) -> str:
    if wanted is None:
        return "is not part of it"
    if wanted["spec"].get("replicas") not in (None, deployment["spec"]["replicas"]):
        return f"has {deployment['spec']['replicas']} replicas"
    if _images(deployment) != _images(wanted):
        return f"is of another version ({', '.join(_images(deployment))})"
    return "" if deployment.get("status", {}).get("availableReplicas") else "is not available"


def _images(deployment: dict) -> list[str]:
    return [each["image"] for each in deployment["spec"]["template"]["spec"]["containers"]]


def _read(text: str) -> dict | None:
    """One document; of a CRD only what it is: all profiles have the same, and their schemas are 20,000 lines."""
    name = re.search(r"^  name: (\S+)$", text, re.MULTILINE)
    if name and re.search(r"^kind: CustomResourceDefinition$", text, re.MULTILINE):
        return {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": name[1]}}
    return yaml.load(text, yaml.CSafeLoader)
