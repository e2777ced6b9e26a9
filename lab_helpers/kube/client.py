"""The official client, with objects as plain dicts: what is asked of the API server goes through here, and nothing else does."""

from __future__ import annotations

import difflib
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from kubernetes.client import ApiClient
from kubernetes.client.rest import ApiException
from kubernetes.dynamic import DynamicClient, LazyDiscoverer
from kubernetes.dynamic.exceptions import NotFoundError, ResourceNotFoundError
from kubernetes.dynamic.resource import Resource

from lab_helpers.core.errors import ClusterError, ManifestError
from lab_helpers.core.http import Answer
from lab_helpers.kube import credentials, mark
from lab_helpers.kube.kinds import Kind
from lab_helpers.kube.kubeconfig import Context

FIELD_MANAGER = "meshlab"
TIMEOUT = (5.0, 60.0)  # seconds to connect, and between two bytes
PAGE = 500  # objects that a list asks for at a time, as kubectl does
MERGE = "application/merge-patch+json"
DISCOVERY = "application/json;v=v2;g=apidiscovery.k8s.io;as=APIGroupDiscoveryList"  # of all groups at once, since Kubernetes 1.30

WARNING = re.compile(r'299 \S+ "((?:\\.|[^"\\])*)"')  # RFC 7234, 5.5; several may stand in one header

STRANGE = (AttributeError, KeyError, TypeError, ValueError)  # what the library makes of an answer that is not Kubernetes'
Result = TypeVar("Result")


class _InMemory(LazyDiscoverer):
    """Discovery that leaves no file: the library's own lies where anybody on the machine could have put another."""

    def _write_cache(self) -> None:
        pass


class Client:
    """One cluster as one user, with a namespace that is meant where none is named.

    Whatever changes something (but for a dry run) is refused on a cluster that does not carry the course's mark; see `mark`.

    Parameters
    ----------
    context : Context
    namespace : str
    tools : Path or str
        A folder with kubectl and istioctl of the cluster's version, if there is one.
    patience : float
        Seconds that the API server may take to answer, or between two bytes of an answer.
    """

    def __init__(self, context: Context, namespace: str = "default", tools: Path | str = "", patience: float = TIMEOUT[1]):
        self.context, self.namespace, self.tools, self._patience = context, namespace, tools, patience
        self._lock = threading.RLock()
        self._connected: DynamicClient | None = None
        self._until: datetime | None = None
        self._permitted = False

    @property
    def version(self) -> str:
        """Of Kubernetes, such as ``v1.36.3``."""
        return self._ask(lambda api: api.version["kubernetes"]["gitVersion"])

    @property
    def configuration(self):
        """The official client's own configuration, with credentials that are still good."""
        return self._ask(lambda api: api.configuration)

    def get(self, kind: Kind, name: str, namespace: str | None = None) -> dict | None:
        """The object as the cluster has it now; None where there is none."""
        resource = self.resource(kind)
        try:
            return self._object(
                lambda api: api.get(resource, name, _place(resource, namespace or self.namespace), **_PLAIN), "metadata", "name"
            )
        except NotFoundError:
            return None

    def list(self, kind: Kind, namespace: str | None = None, labels: Mapping[str, str | None] | None = None) -> list[dict]:
        """All objects of a kind.

        Parameters
        ----------
        kind : Kind
        namespace : str, optional
            ``"*"`` for all.
        labels : mapping, optional
            That they have to have; None for any value.
        """
        resource = self.resource(kind)
        where = None if namespace == "*" else _place(resource, namespace or self.namespace)
        how = {"label_selector": ",".join(key if value is None else f"{key}={value}" for key, value in labels.items())} if labels else {}
        found: list[dict] = []
        more = None
        while more != "":
            page = self._object(lambda api: api.get(resource, None, where, limit=PAGE, _continue=more, **how, **_PLAIN), "items")  # noqa: B023
            found += [{"apiVersion": kind.apiVersion, "kind": kind.kind, **each} for each in page["items"]]
            more = (page.get("metadata") or {}).get("continue", "")
        return found

    def create(self, document: dict, namespace: str | None = None) -> dict:
        """Create an object that must not be there yet."""
        self.require_mark()
        resource = self.resource(Kind.of(document))
        where = _place(resource, document["metadata"].get("namespace") or namespace or self.namespace)
        return self._object(lambda api: api.create(resource, document, where, field_manager=FIELD_MANAGER, **_PLAIN), "metadata")

    def apply(
        self, document: dict, namespace: str | None = None, dry_run: bool = False, warn: Callable[[str], object] = lambda warning: None
    ) -> dict:
        """Server-side apply an object as the course's field manager, and take over fields that others had set.

        `warn` is called with each warning of the API server or of a webhook that has taken the object nevertheless.
        """
        if not dry_run:
            self.require_mark()
        resource = self.resource(Kind.of(document))
        where = _place(resource, document["metadata"].get("namespace") or namespace or self.namespace)
        how = {"field_manager": FIELD_MANAGER, "force_conflicts": True, **({"dry_run": "All"} if dry_run else {})}
        name = document["metadata"]["name"]

        def ask(api: DynamicClient) -> dict:
            # As kubectl writes it: what the library escapes (a sign beyond 16 bits, as two halves) the API server does not read as YAML.
            text = json.dumps(api.client.sanitize_for_serialization(document), ensure_ascii=False).encode()
            answer = api.server_side_apply(resource, text, name, where, serialize=False, **how)
            for each in answer.headers.getlist("Warning"):
                for warning in WARNING.findall(each):
                    warn(warning.replace(r"\"", '"').replace(r"\\", "\\"))
            return json.loads(answer.data)

        return self._object(ask, "metadata", "name")

    def patch(self, kind: Kind, name: str, change: dict, namespace: str | None = None) -> dict:
        """Merge `change` into an object (RFC 7386: None takes a field away)."""
        self.require_mark()
        resource = self.resource(kind)
        where = _place(resource, namespace or self.namespace)
        return self._ask(lambda api: api.patch(resource, change, name, where, content_type=MERGE, field_manager=FIELD_MANAGER, **_PLAIN))

    def delete(self, kind: Kind, name: str, namespace: str | None = None, grace: int | None = None, orphan: bool = False) -> bool:
        """Ask for an object to be deleted; False if there was none.

        Parameters
        ----------
        kind, name, namespace
        grace : int, optional
            Seconds that a pod is given to end by itself, instead of its own.
        orphan : bool
            Leave what belongs to it.
        """
        self.require_mark()
        resource = self.resource(kind)
        how = {} if grace is None else {"grace_period_seconds": grace}
        how |= {"propagation_policy": "Orphan"} if orphan else {}
        try:
            self._ask(lambda api: api.delete(resource, name, _place(resource, namespace or self.namespace), **how, **_PLAIN))
        except NotFoundError:
            return False
        return True

    def raw(
        self, path: str, params: Mapping | None = None, timeout: float = TIMEOUT[1], headers: Mapping[str, str] | None = None
    ) -> Answer:
        """GET any path of the API server; what is no object, and whatever status it has."""

        def ask(api: DynamicClient) -> Answer:
            wanted = {"query_params": list((params or {}).items()), "header_params": {"Accept": "*/*", **(headers or {})}}
            request = api.client.param_serialize("GET", path, **wanted, auth_settings=["BearerToken"])
            found = api.client.call_api(*request, _request_timeout=(TIMEOUT[0], timeout))
            answer = Answer(found.status, found.headers, found.read() or b"")
            if answer.status == 401:
                raise ApiException(401, "Unauthorized", body=answer.text)
            return answer

        return self._ask(ask)

    def resource(self, kind: Kind) -> Resource:
        """The library's description of a kind, looked up in the cluster once.

        Raises
        ------
        ManifestError
            The cluster has no such kind.
        """
        try:
            # Without a prefix the library looks for "v1" in every group that has one, and stumbles over a group that is on its way out.
            prefix = "apis" if kind.group else "api"
            return self._ask(lambda api: api.resources.get(prefix=prefix, api_version=kind.apiVersion, kind=kind.kind))
        except ResourceNotFoundError as error:
            raise ManifestError(f"The cluster knows no {kind.kind} in {kind.apiVersion}.", self._instead(kind)) from error

    def _instead(self, wrong: Kind) -> str:
        """What somebody may have meant by a kind that is not there."""
        known = [Kind(each.group_version, each.kind) for each in self._ask(lambda api: api.resources.search()) if hasattr(each, "kind")]
        same = sorted({each.apiVersion for each in known if each.kind == wrong.kind})
        if same:
            return f"{wrong.kind} is in {' and in '.join(same)}: correct apiVersion."
        if not any(each.group.endswith("istio.io") for each in known) and wrong.group.endswith("istio.io"):
            return "Install Istio first."
        close = difflib.get_close_matches(wrong.kind, {each.kind for each in known}, n=1, cutoff=0.6)
        return f"Did you mean {close[0]}?" if close else "Correct apiVersion and kind: kubectl api-resources lists them."

    def kinds(self, wanted: Callable[[str], bool]) -> list[Kind]:
        """The kinds of namespaced objects of all API groups whose name is `wanted`, each in the first version that the cluster prefers."""
        try:
            groups = self.raw("/apis", headers={"Accept": DISCOVERY}).json()["items"]
        except STRANGE as error:
            raise self._strange() from error
        found: dict[tuple[str, str], Kind] = {}
        for group in (each for each in groups if wanted(each["metadata"]["name"])):
            for version in group["versions"]:
                for each in version["resources"]:
                    if each["scope"] == "Namespaced" and "list" in each["verbs"]:
                        name, kind = group["metadata"]["name"], each["responseKind"]["kind"]
                        found.setdefault((name, kind), Kind(f"{name}/{version['version']}", kind))
        return list(found.values())

    @contextmanager
    def permitted(self) -> Iterator[None]:
        """Within it, also a cluster without the mark may be changed: for whoever was told so, and sets it."""
        before, self._permitted = self._permitted, True
        try:
            yield
        finally:
            self._permitted = before

    def require_mark(self) -> None:
        """Refuse a cluster that is not marked as one for the course; see `mark.require`."""
        if not self._permitted:
            mark.require(self)
            self._permitted = True

    def _ask(self, question: Callable[[DynamicClient], Result]) -> Result:
        """Ask with credentials that are still good; once more with fresh ones where they turn out not to be."""
        with self._lock:
            if self._connected is None or (self._until and self._until < datetime.now(UTC)):
                self._connect()
            api = self._connected
        try:
            return question(api)
        except ApiException as error:
            if error.status != 401 or not {"exec", "tokenFile"} & set(self.context.user):
                raise
        except STRANGE as error:
            raise self._strange() from error
        with self._lock:
            if self._connected is api:
                self._connect()
        return question(self._connected)

    def _object(self, question: Callable[[DynamicClient], dict], *path: str) -> dict:
        """Ask for an object, or a list of them: what is none, since it has no such field, is somebody else's answer."""
        answer = found = self._ask(question)
        for field in path:
            found = found.get(field) if isinstance(found, dict) else None
        if found is None:
            raise self._strange()
        return answer

    def _strange(self) -> ClusterError:
        what = f"{self.context.where} does not answer as a Kubernetes API server does."
        return ClusterError(what, "Look at the address in the kubeconfig, and at what is in between, such as a proxy or a page to log in.")

    def _connect(self) -> None:
        configuration, self._until = credentials.configuration(self.context)
        try:
            self._connected = DynamicClient(_Api(configuration, self._patience), cache_file="/dev/null/discovery", discoverer=_InMemory)
        except STRANGE as error:
            raise self._strange() from error


class _Api(ApiClient):
    """The official client, with a deadline for every request: its own is none."""

    def __init__(self, configuration, patience: float):
        super().__init__(configuration)
        self._timeout = (TIMEOUT[0], patience)

    def call_api(self, *request, _request_timeout=None, **more):
        return super().call_api(*request, _request_timeout=_request_timeout or self._timeout, **more)


# Answers as the plain dicts that the API server sent.
_PLAIN = {"serializer": lambda _client, document: document}


def _place(resource: Resource, namespace: str) -> str | None:
    return namespace if resource.namespaced else None
