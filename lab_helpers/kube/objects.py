"""Objects of manifests in the cluster: read, written, taken over and removed one at a time, and errors told in sentences."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kubernetes.client.rest import ApiException
from urllib3.exceptions import HTTPError

from lab_helpers.core.errors import ClusterError, LabError, ManifestError
from lab_helpers.core.manifests import title
from lab_helpers.kube.client import FIELD_MANAGER, Client
from lab_helpers.kube.kinds import Kind

# Client-side apply, and server-side apply, of kubectl. Edits by hand (kubectl edit, patch, scale) are nobody's file, and stay.
APPLIED_BY_KUBECTL = (("kubectl-client-side-apply", "Update"), ("kubectl", "Apply"))

BUSY = re.compile(r"etcdserver|timed out|deadline exceeded|leader changed|connection refused|Internal Server Error", re.IGNORECASE)


@contextmanager
def sentences(doing: str) -> Iterator[None]:
    """Turn what the API server or the network says into a `LabError`; `doing` starts the sentence.

    Raises
    ------
    ManifestError
        The API server refused what it was given: its message is passed on as it is.
    ClusterError
        It did not answer, does not know who is asking, or does not let them.
    """
    try:
        yield
    except ApiException as error:
        raise refusal(doing, error) from error
    except HTTPError as error:
        raise ClusterError(
            f"{doing}: the API server did not answer ({reason(error)}).",
            "See whether it runs: meshlab status says so of the embedded lab, kubectl cluster-info of another cluster.",
        ) from error


def refusal(doing: str, error: ApiException) -> LabError:
    """What a reader is told of an answer of the API server's that is an error: what it says, and what to do by what kind of error it is."""
    said = message(error)
    if not error.status:  # so the library tells of TLS that could not be set up
        return ClusterError(f"{doing}: the API server could not be asked ({error.reason}).", "Fetch the kubeconfig anew.")
    if error.status == 401:
        return ClusterError("The cluster does not accept the credentials of the kubeconfig.", "They may have expired: fetch new ones.")
    if said.lstrip().startswith("<") or said.startswith("404 page not found"):
        do = "Look at the address in the kubeconfig, and at what is in between, such as a proxy or a page to log in."
        return ClusterError(f"{doing}: a web page came back ({error.status}), and not from a Kubernetes API server. {said[:200]}", do)
    if error.status == 403 and re.search(
        r'User ".*" cannot ', said
    ):  # RBAC; quotas and admission refuse by 403 as well, and say what they refuse
        do = "Ask whoever runs the cluster for that right; book/clusters.md says what a learner's are."
        return ClusterError(f"{doing}: your account may not do that. {said}", do)
    # By 500 an API server also refuses what it cannot make sense of, such as a field that no schema has.
    busy = error.status in (429, 502, 503, 504) or error.status == 500 and bool(BUSY.search(said))
    if busy and "webhook" not in said:
        do = "Wait a moment and try again; whether it is well, meshlab status says."
        return ClusterError(f"{doing}: the API server could not do it ({error.status}). {said}", do)
    return ManifestError(f"{doing}: the API server refused. {said}", _instead(error.status, said))


def _instead(status: int, said: str) -> str:
    if "being terminated" in said:
        return "Wait until it has gone: kubectl get namespace."
    if status == 404 and said.startswith("namespaces "):
        return "A checkpoint makes the lab's namespace; make any other one: kubectl create namespace NAME."
    if status == 409:
        return "Somebody has changed or made it meanwhile: try again."
    if "webhook" in said and status >= 500:
        return "Whoever is to look at it first does not answer: kubectl get pods --namespace istio-system."
    return "Correct what it names, then apply again."


def message(error: ApiException) -> str:
    """What the API server says in an error."""
    try:
        said = json.loads(error.body)["message"]
    except (ValueError, KeyError, TypeError):
        said = error.body
    return str(said or error.reason or error.status)


def reason(error: HTTPError) -> str:
    """Why a request got no answer: the innermost of the errors that urllib3 wraps around each other."""
    inner = getattr(error, "reason", None)
    if isinstance(inner, Exception):
        return reason(inner)
    where = re.sub(r"^HTTPS?Connection\(host='([^']*)', port=(\d+)\): (?:Failed to establish a new connection: )?", r"\1:\2: ", str(error))
    return re.sub(r"\[Errno -?\d+\] ", "", where) or type(error).__name__


def read(client: Client, document: dict) -> dict | None:
    """The object as the cluster has it now, or None."""
    return client.get(Kind.of(document), document["metadata"]["name"], document["metadata"].get("namespace"))


def write(client: Client, document: dict, dry_run: bool = False, warn: Callable[[str], object] = lambda warning: None) -> dict:
    """Server-side apply one object; see `Client.apply`."""
    with sentences(title(document)):
        return client.apply(document, dry_run=dry_run, warn=warn)


def remove(client: Client, document: dict, orphan: bool = False) -> bool:
    """Ask for one object to be deleted; False if there was none. With `orphan`, what belongs to it stays."""
    name, namespace = document["metadata"]["name"], document["metadata"].get("namespace")
    # A pod without an owner is mostly one that sleeps, and would sleep through its half minute of grace as well.
    grace = 1 if document["kind"] == "Pod" else None
    return client.delete(Kind.of(document), name, namespace, grace, orphan and document["kind"] != "Pod")


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
