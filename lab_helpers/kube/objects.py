"""Kubernetes objects of any kind as plain dicts: the API server's schema judges what is in them, not ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
from lightkube import ApiError, codecs
from lightkube.core.exceptions import LoadResourceError
from lightkube.core.resource import NamespacedResource
from lightkube.generic_resource import get_generic_resource, load_in_cluster_generic_resources
from lightkube.resources.apiextensions_v1 import CustomResourceDefinition
from lightkube.types import CascadeType, PatchType

from lab_helpers.core.errors import ClusterError, ManifestError
from lab_helpers.core.manifests import title

FIELD_MANAGER = "meshlab"


@contextmanager
def sentences(doing: str) -> Iterator[None]:
    """Turn what the API server or the network says into a `LabError`; `doing` starts the sentence.

    Raises
    ------
    ManifestError
        The API server refused: its message is passed on as it is.
    ClusterError
        It did not answer, or does not know who is asking.
    """
    try:
        yield
    except ApiError as error:
        if error.status.code == 401:
            raise ClusterError(
                "The cluster does not accept the credentials of the kubeconfig.",
                "They may have expired: fetch new ones.",
            ) from error
        raise ManifestError(
            f"{doing}: the API server refused. {error.status.message}", "Correct what it names, then apply again."
        ) from error
    except httpx2.HTTPError as error:
        raise ClusterError(
            f"{doing}: the API server did not answer ({error or type(error).__name__}).",
            "See whether it runs: meshlab status.",
        ) from error


def resource_of(client, document: dict) -> type:
    """The lightkube class for ``apiVersion`` and ``kind``; custom kinds are looked up in the cluster once.

    Raises
    ------
    ManifestError
        The cluster has no such kind.
    """
    version, kind = document["apiVersion"], document["kind"]
    try:
        return codecs.resource_registry.load(version, kind)
    except LoadResourceError:
        load_in_cluster_generic_resources(client)
    try:
        return codecs.resource_registry.load(version, kind)
    except LoadResourceError as error:
        do = "Install Istio first, or correct apiVersion." if "istio.io" in version else "Correct apiVersion and kind."
        raise ManifestError(f"The cluster knows no {kind} in {version}.", do) from error


def istio_kinds(client) -> list[type]:
    """The kinds of namespaced mesh configuration that the cluster knows: Istio's own and the Gateway API's."""
    load_in_cluster_generic_resources(client)
    kinds = []
    for crd in client.list(CustomResourceDefinition):
        if crd.spec.scope == "Namespaced" and (crd.spec.group.endswith("istio.io") or crd.spec.group == "gateway.networking.k8s.io"):
            version = next(each.name for each in crd.spec.versions if each.storage)
            kinds.append(get_generic_resource(f"{crd.spec.group}/{version}", crd.spec.names.kind))
    return kinds


def read(client, document: dict, namespace: str) -> dict | None:
    """The object as the cluster has it now, or None."""
    resource = resource_of(client, document)
    try:
        found = client.get(resource, document["metadata"]["name"], **_where(resource, document, namespace))
    except ApiError as error:
        if error.status.code == 404:
            return None
        raise
    return as_dict(found)


def write(client, document: dict, namespace: str, dry_run: bool = False) -> dict:
    """Server-side apply one object as the course's field manager, and take over fields that others had set."""
    resource = resource_of(client, document)
    with sentences(title(document)):
        written = client.patch(
            resource, document["metadata"]["name"], document, patch_type=PatchType.APPLY, field_manager=FIELD_MANAGER,
            force=True, dry_run=dry_run, **_where(resource, document, namespace),
        )  # fmt: skip
    return as_dict(written)


def remove(client, document: dict, namespace: str, orphan: bool = False) -> bool:
    """Ask for one object to be deleted; False if there was none. With `orphan`, what belongs to it stays."""
    resource = resource_of(client, document)
    # A pod without an owner is mostly one that sleeps, and would sleep through its half minute of grace as well.
    how = {"grace_period": 1} if document["kind"] == "Pod" else {"cascade": CascadeType.ORPHAN} if orphan else {}
    try:
        client.delete(resource, document["metadata"]["name"], **how, **_where(resource, document, namespace))
    except ApiError as error:
        if error.status.code == 404:
            return False
        raise
    return True


def as_dict(found) -> dict:
    """What lightkube returned, as the plain dict that the API server sent."""
    return codecs.from_dict(found.to_dict()).to_dict() if not isinstance(found, dict) else {**found, "metadata": found.metadata.to_dict()}


def _where(resource: type, document: dict, namespace: str) -> dict:
    if not issubclass(resource, NamespacedResource):
        return {}
    return {"namespace": document["metadata"].get("namespace") or namespace}
