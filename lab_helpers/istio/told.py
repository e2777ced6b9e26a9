"""What a change has told one Envoy: the difference between its configuration before and after, in lines that can be read.

Envoy's own configuration dump, read by xDS type, and only those types of which istiod has sent something since. What no two
clusters share (addresses, versions) and what says nothing (Istio's metadata, statistics' names) is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from lab_helpers.core.errors import LabError
from lab_helpers.istio import envoy, istiod, proxies
from lab_helpers.kube import channels, pods
from lab_helpers.kube.apply import Told
from lab_helpers.kube.kinds import POD, Kind

KEPT = 8  # proxies whose configuration is remembered: pods come and go
INGRESS = {"istio": "ingressgateway"}
GATEWAY = Kind("networking.istio.io/v1", "Gateway")
# xDS type → what istioctl proxy-config calls it, and where it stands in Envoy's dump.
TYPES = {
    "Listener": ("listeners", "dynamic_listeners"),
    "RouteConfiguration": ("routes", "dynamic_route_configs"),
    "Cluster": ("clusters", "dynamic_active_clusters"),
    "ClusterLoadAssignment": ("endpoints", "dynamic_endpoint_configs&include_eds"),
}
OF_THE_SERVER = ("AuthorizationPolicy", "PeerAuthentication", "RequestAuthentication")  # what the called one's proxy decides
NOISE = {
    "@type", "access_log", "alt_stat_name", "decorator", "filter_metadata", "include_request_attempt_count", "max_grpc_timeout",
    "metadata", "route_config_name", "stat_prefix", "traffic_direction", "transport_socket", "transport_socket_matches", "version_info",
}  # fmt: skip
THROUGH = ("typed_config", "value", "filter_chains", "filters", "http_filters", "typed_per_filter_config")  # steps that need no name
MANAGER = "envoy.filters.network.http_connection_manager"  # around all filters for HTTP
STEP = " › "
OF_A_NAMESPACE = re.compile(r"\.([a-z0-9-]+)\.svc\.cluster\.local")
CATCH_ALL = (["allow_any"], ["block_all"])  # what becomes of other hosts: each table of routes has one of them
ADDRESS = re.compile(r"(?<![\d.])(?!0\.0\.0\.0|127\.)\d{1,3}(?:\.\d{1,3}){3}(?![\d.])")

Known = dict[str, dict[str, str]]  # by what it belongs to, such as a route: each field with its value


@dataclass
class _Memory:
    """What a proxy was known to run, by type, as of the nonce with which istiod had sent it."""

    nonces: dict[str, str] = field(default_factory=dict)
    known: dict[str, Known] = field(default_factory=dict)


_memories: dict[tuple[str, str, str], _Memory] = {}


@dataclass(frozen=True)
class Watched:
    """The proxy that is looked at, while something is changed."""

    pod: dict
    memory: _Memory
    namespaces: frozenset[str]  # that the change is about: what changes in others meanwhile is somebody else's doing


def before(lab, documents: list[dict]) -> Watched | None:
    """Choose the proxy that these objects are for, and see to it that its configuration is known; None where there is none."""
    pod = _concerned(lab, documents) if documents else None
    if pod is None:
        return None
    key = lab.context, pod["metadata"]["namespace"], pod["metadata"]["name"]
    about = {(each.get("metadata") or {}).get("namespace") for each in documents} - {None} | _namespaces(documents)
    watched = Watched(pod, _memories.setdefault(key, _Memory()), frozenset({lab.namespace, istiod.ROOT, *about}))
    while len(_memories) > KEPT:
        _memories.pop(next(each for each in _memories if each != key))
    try:
        _refresh(lab, watched)
    except LabError:  # it says so when it is asked for something that a learner wants
        return None
    return watched


def since(lab, watched: Watched | None) -> Told | None:
    """What the proxy has been told since `before`; None where nothing came."""
    if watched is None:
        return None
    old = dict(watched.memory.known)
    try:
        changed = _refresh(lab, watched)
    except LabError:
        return None
    new, kept = watched.memory.known, watched.namespaces
    differences = {
        TYPES[kind][0]: _difference(_less_others(old[kind], kept), _less_others(new[kind], kept), kind) for kind in TYPES if kind in changed
    }
    differences = {name: lines for name, lines in differences.items() if lines}
    if not differences:
        return None
    name, namespace = _workload(watched.pod), watched.pod["metadata"]["namespace"]
    of = name if name == watched.pod["metadata"]["name"] else f"deployment/{name}"
    return Told(name, differences, f"istioctl proxy-config {next(iter(differences))} {of}.{namespace} -o json")


def _concerned(lab, documents: list[dict]) -> dict | None:
    """Whose proxy is told: the gateway's for what names it, the called one's for what it decides, else the caller's."""
    named = {name for each in documents for name in (each.get("spec") or {}).get("gateways") or []} - {"mesh"}
    if named or any(each["kind"] == "Gateway" for each in documents):
        return next(iter(_ready(lab, istiod.visible(lab), _selector(lab, documents, named))), None)
    here = sorted(_ready(lab, lab.namespace, None), key=lambda pod: (_workload(pod)[:6] != "client", _workload(pod)))
    if policies := [each for each in documents if each["kind"] in OF_THE_SERVER]:
        selectors = [((each.get("spec") or {}).get("selector") or {}).get("matchLabels") or {} for each in policies]
        here = [pod for pod in here if any(selector.items() <= pods.labels(pod).items() for selector in selectors)]
    return next(iter(here), None)


def _selector(lab, documents: list[dict], named: set[str]) -> dict:
    """The labels of the gateway's pods: by a Gateway among the objects, or one here that they name; without any, the shared one's."""
    found = [each for each in documents if each["kind"] == "Gateway"]
    found += [each for each in lab.client.list(GATEWAY) if each["metadata"]["name"] in named] if named and not found else []
    return next((each["spec"]["selector"] for each in found if (each.get("spec") or {}).get("selector")), INGRESS)


def _ready(lab, namespace: str, labels: dict | None) -> list[dict]:
    return [pod for pod in lab.client.list(POD, namespace, labels) if proxies.has_proxy(pod) and pods.ready(pod)]


def _workload(pod: dict) -> str:
    """The name of what made a pod: that of its Deployment, or its own."""
    name, hash_ = pod["metadata"]["name"], pods.labels(pod).get("pod-template-hash")
    return name.partition(f"-{hash_}-")[0] if hash_ else name


def _refresh(lab, watched: Watched) -> set[str]:
    """Read what istiod has sent since it was read last; the types."""
    name, namespace = watched.pod["metadata"]["name"], watched.pod["metadata"]["namespace"]
    connected = istiod.proxies(lab.client) if istiod.open_to(lab.client) else []  # without what istiod says, all is read anew
    sent = next((each.sent for each in connected if (each.name, each.namespace) == (name, namespace)), {})
    stale = {kind for kind in TYPES if kind not in watched.memory.known or sent.get(kind) != watched.memory.nonces.get(kind)}
    for kind in stale:
        path = f"/config_dump?resource={TYPES[kind][1]}"
        dump = channels.get_json(lab.client, namespace, name, envoy.ADMIN, path)
        watched.memory.known[kind] = dict(_READ[kind](dump.get("configs") or []))
        watched.memory.nonces[kind] = sent.get(kind, "")
    return stale


def _less_others(known: Known, namespaces: frozenset[str]) -> Known:
    """What is known, less what is of other namespaces' services only: learners who share a mesh change theirs at the same time."""
    theirs = {name for name, fields in known.items() if (of := _namespaces(name) or _namespaces(fields)) and not of & namespaces}
    tables = {name.partition(STEP)[0] for name in known.keys() - theirs if name.split(STEP)[1:2] not in CATCH_ALL}
    alone = {name for name in known if name.split(STEP)[1:2] in CATCH_ALL and name.partition(STEP)[0] not in tables}
    return {name: fields for name, fields in known.items() if name not in theirs | alone}


def _namespaces(of) -> set[str]:
    """The namespaces of services that something speaks of, in whatever form."""
    return set(OF_A_NAMESPACE.findall(str(of)))


def _difference(old: Known, new: Known, kind: str) -> list[str]:
    lines = []
    for name in sorted({*old, *new}):
        before, after = old.get(name, {}), new.get(name, {})
        if before == after:
            continue
        if name not in old or name not in new:
            sign, fields, other = ("+", after, old) if name in new else ("-", before, new)
            listener = name.partition(STEP)[0]
            if kind == "Listener" and not any(each.partition(STEP)[0] == listener for each in other):
                lines += [] if lines and lines[-1] == f"{sign} {listener}" else [f"{sign} {listener}"]
                continue
            lines.append(f"{sign} {name}")
            lines += [f"{sign}   {path}: {value}" for path, value in fields.items()] if kind != "Cluster" else []
            continue
        lines.append(f"~ {name}")
        for path in sorted({*before, *after}, key=lambda path: (path not in before, path)):
            if before.get(path) != after.get(path):
                lines += [f"-   {path}: {before[path]}"] if path in before else []
                lines += [f"+   {path}: {after[path]}"] if path in after else []
    return [ADDRESS.sub("ADDRESS", line) for line in lines]


def _routes(configs: list[dict]) -> Iterator[tuple[str, dict[str, str]]]:
    for config in configs:
        table = config.get("route_config") or {}
        for host in table.get("virtual_hosts") or []:
            for number, route in enumerate(host.get("routes") or [], 1):
                match = ", ".join(f"{_plain(path)} {value}" for path, value in _fields(route["match"]))
                place = STEP.join((table["name"], host["name"], f"{number}. {match}"))
                rest = {name: value for name, value in route.items() if name not in ("match", "name")}
                yield place, dict(_fields(rest))


def _clusters(configs: list[dict]) -> Iterator[tuple[str, dict[str, str]]]:
    for config in configs:
        if cluster := config.get("cluster"):
            yield cluster["name"], dict(_fields(cluster))


def _listeners(configs: list[dict]) -> Iterator[tuple[str, dict[str, str]]]:
    for config in configs:
        listener = (config.get("active_state") or {}).get("listener")
        parts: Known = {}
        for path, value in _fields(listener) if listener else ():
            names, rest = re.fullmatch(r"((?:\[[^]]*\])*)\.?(.*)", path).groups()
            steps = [each for each in re.findall(r"\[([^]]*)\]", names) if each != MANAGER]
            parts.setdefault(STEP.join((listener["name"], *steps)), {})[rest] = value
        yield from ((name, fields) for name, fields in parts.items())


def _endpoints(configs: list[dict]) -> Iterator[tuple[str, dict[str, str]]]:
    for config in configs:
        # Those of an inbound cluster, and of a passthrough one (no "|"), are addresses that somebody has dialled: they come and go.
        table = config.get("endpoint_config") or {}
        if "|" in (name := table.get("cluster_name", "")) and not name.startswith("inbound|"):
            count = sum(len(each.get("lb_endpoints") or []) for each in table.get("endpoints") or [])
            yield name, {"endpoints": str(count)}


_READ = {"Listener": _listeners, "RouteConfiguration": _routes, "Cluster": _clusters, "ClusterLoadAssignment": _endpoints}


def _fields(value, path: str = "") -> Iterator[tuple[str, str]]:
    """Every field with its path; members of a list go by their names, so that one more does not move the others."""
    if isinstance(value, dict):
        for name, each in value.items():
            if name not in NOISE and not (name == "name" and path):
                yield from _fields(each, path if name in THROUGH else f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for number, each in enumerate(value):
            name = each.get("name") if isinstance(each, dict) else None
            yield from _fields(each, f"{path}[{name or number}]")
    else:
        yield path, str(value)


def _plain(path: str) -> str:
    return path.replace("safe_regex.", "").replace(".string_match", "")
