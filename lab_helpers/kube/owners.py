"""Who has set a field: what kubectl's apply had set is the course's as well, so that what a file no longer has goes."""

from __future__ import annotations

from lab_helpers.kube.client import FIELD_MANAGER, Client
from lab_helpers.kube.kinds import Kind

# Client-side apply, and server-side apply, of kubectl. Edits by hand (kubectl edit, patch, scale) are nobody's file, and stay.
APPLIED_BY_KUBECTL = (("kubectl-client-side-apply", "Update"), ("kubectl", "Apply"))


def hand_over(client: Client, old: dict) -> None:
    """Make the course's field manager the owner of what kubectl's apply had set in `old`, which is how the cluster has an object now.

    Server-side apply takes away only what its own manager has set before. kubectl does the same where server-side apply follows on
    client-side apply: https://kubernetes.io/docs/reference/using-api/server-side-apply/#upgrading-from-client-side-apply-to-server-side-apply

    Raises
    ------
    kubernetes.client.rest.ApiException
        Somebody has changed the object since it was read (409), or it may not be changed.
    """
    entries = old["metadata"].get("managedFields") or []
    applied, others = _by_kubectl(entries), [each for each in entries if not _is_kubectls(each)]
    if not applied:
        return
    ours = next((each for each in others if _is_ours(each)), {})
    fields: dict = {}
    for each in (*applied, ours):
        fields = _union(fields, each.get("fieldsV1") or {})
    owner = {**applied[0], **ours, "manager": FIELD_MANAGER, "operation": "Apply", "fieldsV1": fields}
    metadata = {"managedFields": [*(each for each in others if not _is_ours(each)), owner]}
    metadata["resourceVersion"] = old["metadata"]["resourceVersion"]
    client.patch(Kind.of(old), old["metadata"]["name"], {"metadata": metadata}, old["metadata"].get("namespace"))


def applied_by_kubectl(old: dict | None) -> bool:
    """Whether there are fields in an object that kubectl's apply had set."""
    return old is not None and bool(_by_kubectl(old["metadata"].get("managedFields") or []))


def _by_kubectl(entries: list[dict]) -> list[dict]:
    return [each for each in entries if _is_kubectls(each)]


def _is_kubectls(entry: dict) -> bool:
    return (entry.get("manager"), entry.get("operation")) in APPLIED_BY_KUBECTL and not entry.get("subresource")


def _is_ours(entry: dict) -> bool:
    return (entry.get("manager"), entry.get("operation")) == (FIELD_MANAGER, "Apply") and not entry.get("subresource")


def _union(one: dict, other: dict) -> dict:
    return {key: _union(one.get(key, {}), other.get(key, {})) for key in (*one, *(key for key in other if key not in one))}
