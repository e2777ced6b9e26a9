"""What istiod knows: which proxies are connected, what each was sent and has accepted, which configuration it holds."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import NamedTuple
from weakref import WeakKeyDictionary

from kubernetes.client.rest import ApiException

from lab_helpers.core.errors import ClusterError, MeshError
from lab_helpers.kube import channels, mark, objects
from lab_helpers.kube import pods as of_pods
from lab_helpers.kube.client import Client
from lab_helpers.kube.kinds import POD

ROOT = "istio-system"  # the namespace whose configuration governs the whole mesh
_open_to: WeakKeyDictionary[Client, bool] = WeakKeyDictionary()
RECENT = 0.5  # seconds for which ready istiods are not looked for again by who asks them all the time
PORT = 15014  # metrics, and the debug pages for whoever comes from the pod's own loopback


@dataclass(frozen=True)
class Proxy:
    """One Envoy as istiod sees it.

    Attributes
    ----------
    name, namespace : str
        Of its pod.
    gateway : bool
        Whether it is one on its own, and no sidecar: a gateway, a waypoint, a node's ztunnel.
    sent, acked : dict of str to str
        Last nonce by xDS type (``Cluster``, ``Listener``, ``RouteConfiguration``, ``ClusterLoadAssignment`` …).
    errors : dict of str to str
        What the proxy said when it refused something (a NACK), by xDS type.
    """

    name: str
    namespace: str
    sent: dict[str, str] = field(default_factory=dict)
    acked: dict[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    gateway: bool = False

    @property
    def behind(self) -> list[str]:
        """The xDS types that were sent and not yet accepted."""
        return [kind for kind, nonce in self.sent.items() if nonce and self.acked.get(kind) != nonce]

    @property
    def refused(self) -> list[str]:
        """What it did not take, and why, in its own words."""
        return [f"{self} refused {kind}: {why}" for kind, why in self.errors.items()]

    def __str__(self) -> str:
        return f"{self.name}.{self.namespace}"


class Pushes(NamedTuple):
    """How often an istiod has found a change worth a push, and how often it has begun to push what it had gathered."""

    wanted: int
    begun: int


def open_to(client: Client) -> bool:
    """Whether this account may ask istiod, and look into every namespace. Asked once; whoever may not asks their own pods."""
    if client not in _open_to:
        ways = [
            ("list", "pods", ""),
            ("get", "pods/portforward", ROOT),
            ("create", "pods/portforward", ROOT),
        ]  # by its version
        _open_to[client] = all(mark.may(client, *each) for each in ways)
    return _open_to[client]


def visible(lab) -> str:
    """Where to look for what may be in any namespace: in all of them (``"*"``), or only in the lab's, if an account's rights end there."""
    return "*" if open_to(lab.client) else lab.namespace


def pods(client: Client) -> list[dict]:
    """The istiod pods that are ready, whatever their namespace or revision.

    Raises
    ------
    ClusterError
        There is none: Istio is not installed, or not up.
    """
    found = _ready(client)
    if not found:
        raise ClusterError(
            "No istiod is ready in this cluster, so there is no mesh.",
            'Install Istio: connect(istio=False).checkpoint("03_install"), or meshlab up.',
        )
    return found


def runs(client: Client) -> bool:
    """Whether the cluster has an istiod that can be asked."""
    return bool(_ready(client))


def proxies(client: Client) -> list[Proxy]:
    """All proxies that are connected to istiod."""
    return [_proxy(each) for answer in _ask(client, "/debug/syncz") for each in answer]


def stores(client: Client) -> list[dict[tuple[str, str, str], dict]]:
    """Metadata of every configuration object that an istiod holds, by kind, namespace and name; one mapping for each istiod."""
    return [{key(each): each["metadata"] for each in answer} for answer in _ask(client, "/debug/configz")]


def services(client: Client) -> list[dict[tuple[str, str, str], dict]]:
    """The same of the Services of Kubernetes that an istiod knows."""
    of = lambda each: ("Service", each["Attributes"]["Namespace"], each["Attributes"]["Name"])  # noqa: E731
    return [{of(each): {"creationTimestamp": each["creationTime"]} for each in answer} for answer in _ask(client, "/debug/registryz")]


def pushes(client: Client) -> dict[str, Pushes]:
    """What each istiod has had to push and has begun to push since it started; by the name of its pod."""
    return {
        name: Pushes(
            _count(text, r'pilot_inbound_updates\{[^}]*type="config"[^}]*\}'),
            _count(text, r"pilot_pushcontext_init_seconds_count(?:\{[^}]*\})?"),
        )
        for name, text in ((name, answer.decode()) for name, answer in _of_each(client, "/metrics").items())
    }


def version(client: Client) -> str:
    """Istio's version, by the tag of istiod's image or what istiod says of itself."""
    return next(iter(_of_each(client, "/version").values())).decode().split("-")[0]


def _count(text: str, series: str) -> int:
    found = re.search(rf"^{series} (\S+)", text, re.MULTILINE)
    return int(float(found.group(1))) if found else 0


def _ready(client: Client) -> list[dict]:
    def ask() -> list[dict]:
        return [pod for pod in client.list(POD, "*", {"app": "istiod"}) if of_pods.ready(pod)]

    return channels.remembered((pods, client), RECENT, ask)


def _of_each(client: Client, path: str) -> dict[str, bytes]:
    """What each istiod answers, by the name of its pod."""
    try:
        return {pod["metadata"]["name"]: _get(client, pod, path) for pod in pods(client)}
    except MeshError:  # one of those that were ready a moment ago may have gone
        channels.forget((pods, client))
        return {pod["metadata"]["name"]: _get(client, pod, path) for pod in pods(client)}


def _ask(client: Client, path: str) -> list:
    try:
        return [json.loads(answer) for answer in _of_each(client, path).values()]
    except ApiException as error:
        raise ClusterError(
            f"istiod could not be asked: {objects.message(error)}",
            "See whether it runs: kubectl get pods -n istio-system.",
        ) from error


def _get(client: Client, pod: dict, path: str) -> bytes:
    return channels.get(client, pod["metadata"]["namespace"], pod["metadata"]["name"], PORT, path)


def key(document: dict) -> tuple[str, str, str]:
    """What tells a configuration object from all others: kind, namespace and name."""
    return document["kind"], document["metadata"].get("namespace", ""), document["metadata"]["name"]


def _proxy(status: dict) -> Proxy:
    name, _, namespace = status["proxy"].partition(".")
    resources = {kind.rsplit(".", 1)[-1]: each for kind, each in status.get("resources", {}).items()}
    return Proxy(
        name,
        namespace,
        {kind: each.get("sent", "") for kind, each in resources.items()},
        {kind: each.get("acked", "") for kind, each in resources.items()},
        {kind: each["lastError"] for kind, each in resources.items() if each.get("lastError")},
        status.get("proxy_type") in ("router", "waypoint", "ztunnel"),
    )
