"""Checks of chapter 03_install."""

from __future__ import annotations

import json
import re

from lab_helpers.core.errors import LabError
from lab_helpers.istio import configuration, converge, installation, istiod
from lab_helpers.kube.kinds import CUSTOM_RESOURCE_DEFINITION, MUTATING_WEBHOOKS, VALIDATING_WEBHOOKS
from lab_helpers.show.checks import given, register, wrong
from lab_helpers.show.inputs import Words, table

BEHIND = 1  # minor versions that the data plane may be older than the control plane; it may never be newer
JSON_LOGS = "-f 03_install/01-demo-with-json-logs.yaml"
NO_EGRESS = f"{JSON_LOGS} --set components.egressGateways[0].name=istio-egressgateway --set components.egressGateways[0].enabled=false"

# What the checks look at.
Profiles = table("control plane")
Differences = table(text=["object"])
Seen = table(numbers=["status"])


@register("03.1", "The three versions fit")
def versions_fit(lab) -> str:
    """Istioctl and istiod are of one minor version; no proxy is newer than istiod, and none more than one minor version older."""
    told = json.loads(lab.run("istioctl version -o json").stdout)
    client = told["clientVersion"]["version"]
    planes = [each["Info"]["version"] for each in told.get("meshVersion") or []]
    if not planes:
        raise wrong("there is no control plane to compare with", "Run the checkpoint again: it installs Istio.")
    if _minor(client) != _minor(planes[0]):
        raise wrong(f"istioctl is {client}, and the control plane {planes[0]}", "Get the istioctl of the control plane's version.")
    proxies = [each["IstioVersion"] for each in told.get("dataPlaneVersion") or []]
    newer = [each for each in proxies if _minor(each) > min(map(_minor, planes))]
    if newer:
        raise wrong(f"a proxy is {newer[0]}, newer than its control plane", "The control plane is upgraded first, then the data plane.")
    older = [each for each in proxies if _minor(each) < max(map(_minor, planes)) - BEHIND]
    if older:
        raise wrong(f"a proxy is {older[0]}, and the control plane {planes[0]}", "Restart the workloads whose proxies are so old.")
    found = f"{len(proxies)} proxies, none of them newer" if proxies else "no proxies yet"
    return f"istioctl {client}, control plane {planes[0]}, {found}."


@register("03.2", "What the profiles install")
def without_control_plane(profiles: Profiles, answer: Words) -> str:
    """The learner names the profiles that install no control plane."""
    without = set(profiles.index[profiles["control plane"] == ""])
    if not without:
        raise wrong("every profile in this table installs istiod", "Is it the table of all profiles?")
    named = given(answer)
    if named - set(profiles.index):
        raise wrong(f"there is no profile {min(named - set(profiles.index))}", "The rows of the table are the profiles.")
    if named - without:
        raise wrong(f"{min(named - without)} does install istiod", "Look down the first column.")
    if without - named:
        raise wrong("another profile installs no control plane either", "Look down the first column once more.")
    return f"{' and '.join(sorted(without))} install no istiod."


@register("03.3", "default against demo")
def autoscaled(difference: Differences, answer: Words) -> str:
    """The learner names the Deployments that only the default profile scales by load."""
    kind = "HorizontalPodAutoscaler "
    scaled = {each.removeprefix(kind) for each in difference["object"] if each.startswith(kind)}
    if not scaled:
        raise wrong("there is no autoscaler in this table", "Is it that of default against demo?")
    named = given(answer)
    if named - scaled:
        raise wrong(f"{min(named - scaled)} has no autoscaler in either profile", "Look for the kind HorizontalPodAutoscaler.")
    if scaled - named:
        raise wrong("default has one more autoscaler that demo has not", "Count the rows of that kind.")
    return f"demo runs one {' and one '.join(sorted(scaled))}, whatever the load."


@register("03.4", "Istio is gone, the application runs")
def uninstalled(lab, seen: Seen) -> str:
    """No control plane, no CRDs, no webhooks; every request is still answered."""
    if istiod.runs(lab.client):
        raise wrong("istiod still runs", "istioctl uninstall --purge takes everything away.")
    for kind in (CUSTOM_RESOURCE_DEFINITION, MUTATING_WEBHOOKS, VALIDATING_WEBHOOKS):
        left = [each["metadata"]["name"] for each in lab.client.list(kind, labels=installation.LABELLED)]
        if left:
            raise wrong(f"{kind} {left[0]} is left", "Without --purge, what is shared by all revisions stays.")
    failed = seen[seen["status"] != 200]
    if len(failed) or not len(seen):
        raise wrong(f"{len(failed)} of {len(seen)} requests failed", "They should go from one sidecar to another: via='mesh'.")
    return f"no istiod, no CRDs, no webhooks, and {len(seen)} of {len(seen)} requests answered."


@register("03.5", "The sidecars are back")
def back(lab, root: str, now: str) -> str:
    """Every proxy has found the new istiod, which signs by the same root."""
    if "BEGIN CERTIFICATE" not in root:
        raise wrong("what was noted before is no certificate", "It is in the ConfigMap istio-ca-root-cert, under root-cert.pem.")
    if root != now:
        raise wrong(
            "the root certificate is another one now",
            "Was the Secret istio-ca-secret deleted? Then restart every workload: its sidecar trusts the old root.",
        )
    try:
        proxies = converge.settled(lab, installation.RECONNECT)
    except LabError as error:
        raise wrong(error.what.rstrip("."), "See istioctl proxy-status.") from None
    return f"{proxies} proxies are connected, and trust the same root as before."


@register("03.6", "Installed as the options say")
def as_asked(lab, options: str) -> str:
    """Everything that the options ask for is there, with their settings, and the page answers."""
    _require(lab, options)
    return f"everything that {options} asks for is there, and the page answers."


@register("03.7", "Without the egress gateway")
def without_egress(lab) -> str:
    """The learner's own file: demo, JSON logs, no egress gateway."""
    _require(lab, NO_EGRESS, "Is its enabled false? And has your file another metadata.name? Then istioctl prunes nothing of ours.")
    return "the egress gateway is gone, the logs are JSON, and the page answers."


@register("03.8", "As before")
def as_before(lab) -> str:
    """What all other chapters run on is installed, nothing kept is left, and every proxy is connected."""
    _require(lab, installation.COURSE)
    if configuration.kept(lab) is not None:
        raise wrong("the configuration is still in its ConfigMap", "Call restore(lab).")
    return f"the demo profile again, and {converge.settled(lab, installation.RECONNECT)} proxies connected."


def _require(lab, options: str, hint: str = "") -> None:
    installation.gone(lab)  # what istioctl has pruned takes a moment to go
    found = installation.problems(lab, options)
    if found:
        raise wrong("; ".join(found), hint or f"Compare with: istioctl manifest generate {options}")
    try:
        status = lab.page("/productpage").status
    except LabError as error:
        raise wrong(error.what.rstrip("."), "Has the configuration been restored, and the gateway taken it up?") from None
    if status != 200:
        raise wrong(f"the page answers {status}", "Has the configuration been restored?")


def _minor(version: str) -> int:
    found = re.match(r"\d+\.(\d+)", version)
    if found is None:
        raise wrong(f"{version} is no version of a release", "A build of one's own says nothing about what it fits.")
    return int(found[1])
