"""Policies that leave nobody a way in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from lab_helpers.core.manifests import title
from lab_helpers.istio import istiod

POLICY, DRY_RUN = "AuthorizationPolicy", "istio.io/dry-run"


def said(lab, documents: Iterable[dict]) -> Iterator[tuple[str, str]]:
    """A sentence for each policy that closes a whole namespace, or the mesh, to the learner's own requests as well."""
    for each in documents:
        if each["kind"] != POLICY or not _closing(each):
            continue
        name, namespace = each["metadata"]["name"], each["metadata"].get("namespace") or lab.namespace
        where = "of the whole mesh, the gateways themselves" if namespace == istiod.ROOT else f"of namespace {namespace}"
        others = "whatever other policies allow" if (each.get("spec") or {}).get("action") == "DENY" else "but what another policy allows"
        yield (
            title(each),
            f"It closes every workload {where}, {others}: 403 for you, too. kubectl delete {POLICY.lower()} {name} --namespace {namespace} "
            "takes it back, and so does lab.checkpoint.",
        )


def _closing(policy: dict) -> bool:
    """Whether nobody is let in by it, wherever it holds: allowing nothing, or denying everything."""
    spec, annotations = policy.get("spec") or {}, policy["metadata"].get("annotations") or {}
    if str(annotations.get(DRY_RUN)).lower() == "true" or any(spec.get(name) for name in ("selector", "targetRef", "targetRefs")):
        return False
    rules = spec.get("rules") or []
    return {"ALLOW": not rules, "DENY": {} in rules}.get(spec.get("action", "ALLOW"), False)
