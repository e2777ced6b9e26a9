"""What is said of objects that may not do what somebody meant: by ``istioctl analyze``, and of policies that close too much."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace

from lab_helpers.core.errors import MeshError
from lab_helpers.core.manifests import title
from lab_helpers.istio import istiod
from lab_helpers.kube import commands, objects, pods
from lab_helpers.kube.apply import Change
from lab_helpers.kube.kinds import NAMESPACE

POLICY = "AuthorizationPolicy"
DRY_RUN = "istio.io/dry-run"
_asked: set[str] = set()  # policies for everybody that were asked for once, as they were written


def noted(lab, changes: Iterable[Change]) -> list[Change]:
    """The changes, each with what the analyzers say of its object."""
    said = _messages(lab)
    return [replace(each, warnings=(*each.warnings, *said.get(each.what, ()))) for each in changes]


def meant(lab, documents: Iterable[dict]) -> None:
    """See to it that a policy for the whole mesh is meant, where others work on the cluster: it has to be asked for twice.

    Raises
    ------
    MeshError
        Such a policy was asked for once; names those whom it concerns.
    """
    wide = [each for each in documents if each["kind"] == POLICY and each["metadata"].get("namespace") == istiod.ROOT]
    new = [each for each in wide if _unlike(objects.read(lab.client, each), each)]
    others = _others(lab) if new else []
    for each in new if others else ():
        words = json.dumps([lab.context, each], sort_keys=True, default=str)
        if words not in _asked:
            _asked.add(words)
            who = f"{', '.join(others[:5])}{f' and {len(others) - 5} more' if len(others) > 5 else ''}"
            raise MeshError(
                f"{title(each)} in {istiod.ROOT} governs every namespace, and you are not alone on this cluster: {who}.",
                "For your own namespace leave metadata.namespace out. If you mean all of them, tell them, and ask for it once more.",
            )


def closing(lab, documents: Iterable[dict]) -> list[str]:
    """A sentence for each policy that leaves nobody a way in, the learner's own requests included."""
    sentences = []
    for each in documents:
        spec, metadata = each.get("spec") or {}, each["metadata"]
        tried = str((metadata.get("annotations") or {}).get(DRY_RUN)).lower() == "true"
        if each["kind"] != POLICY or tried or any(spec.get(name) for name in ("selector", "targetRef", "targetRefs")):
            continue
        action, rules = spec.get("action", "ALLOW"), spec.get("rules")
        but = {"ALLOW": "but what another policy allows", "DENY": "whatever other policies allow"}.get(action)
        if but and not (action == "ALLOW" and rules or action == "DENY" and {} not in (rules or [])):
            namespace = metadata.get("namespace") or lab.namespace
            where = "of the whole mesh, the gateways themselves" if namespace == istiod.ROOT else f"of namespace {namespace}"
            sentences.append(
                f"{title(each)} closes every workload {where}, {but}: 403 for you, too. kubectl delete {POLICY.lower()} "
                f"{metadata['name']} --namespace {namespace} takes it back, and so does lab.checkpoint."
            )
    return sentences


def _unlike(there: dict | None, document: dict) -> bool:
    return there is None or there.get("spec", {}) != document.get("spec", {})


def _others(lab) -> list[str]:
    """The other namespaces whose pods get sidecars: other learners', or whoever's."""
    there = [each for each in lab.client.list(NAMESPACE) if pods.labels(each).get("istio-injection") == "enabled"]
    return sorted({each["metadata"]["name"] for each in there} - {lab.namespace, istiod.ROOT})


def _messages(lab) -> dict[str, list[str]]:
    """By object, as ``VirtualService reviews``: level, what is wrong, and the code by which Istio's documentation has it."""
    found: dict[str, list[str]] = {}
    # Exit code and text differ by what was found; as JSON it is always 0.
    for each in json.loads(commands.run(lab.client, "istioctl analyze --output json").stdout or "[]"):
        kind, _, place = each["origin"].partition(" ")
        namespace, _, name = place.rpartition("/")
        if namespace in (lab.namespace, ""):
            found.setdefault(f"{kind} {name}", []).append(f"{each['level']}: {each['message']} [{each['code']}]")
    return found
