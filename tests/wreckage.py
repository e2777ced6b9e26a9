"""What a learner, or two of them, may leave behind: a namespace wrecked at random, by a generator whose seed can be told."""

from __future__ import annotations

import json
import random
import subprocess
import tempfile
from pathlib import Path

import yaml

from lab_helpers.core.manifests import chapter_manifests, chapters, load
from lab_helpers.istio import apply
from lab_helpers.kube.client import FIELD_MANAGER
from lab_helpers.kube.kinds import CONFIG_MAP
from tests.live import KUBECTL

SERVICES = ("productpage", "details", "reviews", "ratings")
DEPLOYMENTS = ("productpage-v1", "details-v1", "reviews-v1", "reviews-v2", "reviews-v3", "ratings-v1", "client")
IDLE = {"name": "idle", "image": "docker.io/curlimages/curl:8.16.0", "imagePullPolicy": "IfNotPresent", "command": ["sleep", "infinity"]}


def wreck(lab, chance: random.Random, whole_mesh: bool = False) -> list[str]:
    """Do four to seven different things to the lab's namespace, in a random order; return what was done.

    With `whole_mesh` one or two of them are done to everybody's mesh, so that nobody else may be at work on it.
    """
    chosen = chance.sample(WAYS, k=chance.randint(4, 7))
    for way in chosen:
        way(lab, chance)
    wide = chance.sample(OF_THE_WHOLE_MESH, k=chance.randint(1, 2)) if whole_mesh else []
    for way in wide:
        way(lab)
    return [way.__name__ for way in (*chosen, *wide)]


def _kubectl(lab, *arguments: str, stdin: str | None = None) -> None:
    done = subprocess.run([*KUBECTL, "--namespace", lab.namespace, *arguments], input=stdin, capture_output=True, text=True, timeout=120)
    # What an earlier blow has removed already cannot be hit again, nor is a pod that is there made anew; and some manifests of chapters are
    # there to be refused. Only the wreck counts.
    harmless = ("not found", "pod updates may not change", "denied the request", "is invalid", "field not declared in schema")
    if done.returncode and not any(said in done.stderr for said in harmless):
        raise AssertionError(f"kubectl {' '.join(arguments)}: {done.stderr}")


def _create(lab, kind: str, spec: dict, name: str = "wreck", group: str = "networking.istio.io/v1") -> None:
    document = {"apiVersion": group, "kind": kind, "metadata": {"name": name}, "spec": spec}
    _kubectl(lab, "apply", "--filename", "-", stdin=yaml.safe_dump(document))


def services_deleted(lab, chance):
    _kubectl(lab, "delete", "service", *chance.sample(SERVICES, 2), "--ignore-not-found")


def deployments_deleted(lab, chance):
    _kubectl(lab, "delete", "deployment", *chance.sample(DEPLOYMENTS, 2), "--ignore-not-found", "--wait=false")


def service_accounts_deleted(lab, chance):
    _kubectl(lab, "delete", "serviceaccount", f"bookinfo-{chance.choice(SERVICES)}", "--ignore-not-found")


def scaled(lab, chance):
    _kubectl(lab, "scale", "deployment", chance.choice(DEPLOYMENTS), f"--replicas={chance.choice((0, 2))}")


def selector_edited(lab, chance):
    _kubectl(lab, "patch", "service", chance.choice(SERVICES), "--patch", '{"spec": {"selector": {"app": "nobody"}}}')


def foreign_virtual_services(lab, chance):
    for number in range(chance.randint(1, 3)):
        route = {"destination": {"host": chance.choice(SERVICES), "subset": "nowhere"}}
        _create(lab, "VirtualService", {"hosts": [chance.choice(SERVICES)], "http": [{"route": [route]}]}, f"wreck-{number}")


def foreign_destination_rule(lab, chance):
    _create(lab, "DestinationRule", {"host": chance.choice(SERVICES), "trafficPolicy": {"tls": {"mode": "DISABLE"}}})


def strict(lab, chance):
    _create(lab, "PeerAuthentication", {"mtls": {"mode": "STRICT"}}, group="security.istio.io/v1")


def everything_denied(lab, chance):
    _create(lab, "AuthorizationPolicy", {}, group="security.istio.io/v1")


def sidecars_blind(lab, chance):
    _create(lab, "Sidecar", {"egress": [{"hosts": ["istio-system/*"]}]})


def gateway_taken(lab, chance):
    server = {"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}
    _create(lab, "Gateway", {"selector": {"istio": "ingressgateway"}, "servers": [server]})


def injection_off(lab, chance):
    _kubectl(lab, "label", "namespace", lab.namespace, "istio-injection-")
    _kubectl(lab, "rollout", "restart", "deployment", *chance.sample(DEPLOYMENTS, 2))


def another_revision(lab, chance):
    _kubectl(lab, "label", "namespace", lab.namespace, "istio.io/rev=nobody", "--overwrite")
    _kubectl(lab, "delete", "pod", "--selector", f"app={chance.choice(SERVICES)}", "--wait=false")


def sidecar_written_out(lab, chance):
    name = chance.choice(("details-v1", "ratings-v1"))
    manifest = {"details-v1": "03-details", "ratings-v1": "05-ratings"}[name]
    _kubectl(lab, "apply", "--filename", "-", stdin=lab.run(f"istioctl kube-inject -f 04_bookinfo/{manifest}.yaml").stdout)


def network_policy(lab, chance):
    spec = {"podSelector": {"matchLabels": {"app": chance.choice(SERVICES)}}, "policyTypes": ["Ingress"]}
    _create(lab, "NetworkPolicy", spec, group="networking.k8s.io/v1")


def autoscaler(lab, chance):
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": chance.choice(DEPLOYMENTS[:-1])}
    _create(lab, "HorizontalPodAutoscaler", {"scaleTargetRef": target, "minReplicas": 2, "maxReplicas": 2}, group="autoscaling/v2")


def fourth_version(lab, chance):
    labels = {"app": "reviews", "version": "v4"}
    pods = {"metadata": {"labels": labels}, "spec": {"containers": [IDLE]}}
    _create(lab, "Deployment", {"selector": {"matchLabels": labels}, "template": pods}, group="apps/v1")


def naked_pod(lab, chance):
    overrides = {"apiVersion": "v1", "metadata": {"labels": {"app": "details"}}, "spec": {"containers": [IDLE]}}
    _kubectl(lab, "run", f"wreck-{chance.randrange(10**6)}", f"--image={IDLE['image']}", f"--overrides={json.dumps(overrides)}")


def image_edited(lab, chance):
    name = chance.choice(DEPLOYMENTS)
    _kubectl(lab, "set", "image", f"deployment/{name}", "*=example.invalid/nothing:1")


def half_a_chapter(lab, chance):
    """As a notebook does it: what somebody has applied as himself stays."""
    stem = chance.choice([stem for stem in chapters() if stem != "03_install"])  # its files are istioctl's
    # What names a namespace of its own is for the whole mesh, where others are at work: that has ways of its own, below.
    manifests = [name for name in chapter_manifests(stem) if not any("namespace" in each["metadata"] for each in load(name))]
    for name in manifests[: chance.randint(1, len(manifests))]:
        _kubectl(lab, "apply", "--server-side", "--force-conflicts", f"--field-manager={FIELD_MANAGER}", "--filename", f"manifests/{name}")


def everything_strict(lab):
    """Half of a chapter on mutual TLS."""
    _apply_for_the_mesh(lab, "security.istio.io/v1", "PeerAuthentication", "everything-strict", {"mtls": {"mode": "STRICT"}})


def everything_closed(lab):
    """Half of a chapter on access control."""
    _apply_for_the_mesh(lab, "security.istio.io/v1", "AuthorizationPolicy", "everything-closed", {})


def outbound_closed(lab):
    """Half of a chapter on egress: the mesh's own settings."""
    settings = yaml.safe_load(lab.client.get(CONFIG_MAP, "istio", apply.ROOT)["data"]["mesh"])
    settings["outboundTrafficPolicy"] = {"mode": "REGISTRY_ONLY"}
    lab.client.patch(CONFIG_MAP, "istio", {"data": {"mesh": yaml.safe_dump(settings)}}, apply.ROOT)


def another_profile(lab):
    """Half of a chapter on installing."""
    lab.run(f"istioctl install --skip-confirmation --set profile=default {lab.overlay}", deadline=300)


OF_THE_WHOLE_MESH = (everything_strict, everything_closed, outbound_closed, another_profile)


def _apply_for_the_mesh(lab, group: str, kind: str, name: str, spec: dict) -> None:
    """As a notebook does it: with the course's label and field manager."""
    document = {"apiVersion": group, "kind": kind, "metadata": {"name": name, "namespace": apply.ROOT}, "spec": spec}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "manifest.yaml"
        path.write_text(yaml.safe_dump(document))
        lab.apply(path, whole_mesh=True)


WAYS = (
    services_deleted, deployments_deleted, service_accounts_deleted, scaled, selector_edited, foreign_virtual_services,
    foreign_destination_rule, strict, everything_denied, sidecars_blind, gateway_taken, injection_off, another_revision,
    sidecar_written_out, network_policy, autoscaler,
    fourth_version, naked_pod, image_edited, half_a_chapter,
)  # fmt: skip
