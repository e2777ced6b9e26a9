"""Shift the traffic of a service between its versions, and follow what becomes of it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from lab_helpers.core.errors import MeshError, TrafficError
from lab_helpers.core.statistics import validate_weights
from lab_helpers.istio import apply, configuration
from lab_helpers.kube import objects
from lab_helpers.kube.apply import Outcome
from lab_helpers.kube.kinds import Kind
from lab_helpers.traffic import observe
from lab_helpers.traffic.observe import CLIENTS

API = "networking.istio.io/v1"


@dataclass(frozen=True)
class Progress:
    """How far following a change of weights has come.

    Attributes
    ----------
    weights : dict of str to int
        Percent by version, as applied.
    effect : Outcome
        What applying them did, and how long the mesh took to follow.
    counts : dict of str to int
        Requests answered so far, by version.
    failed : int
        Requests so far that no version answered.
    n : int
        Requests to send in all.
    """

    weights: dict[str, int]
    effect: Outcome
    counts: dict[str, int]
    failed: int
    n: int

    @property
    def sent(self) -> int:
        """Requests so far."""
        return sum(self.counts.values()) + self.failed


@objects.sentences("Shifting traffic")
def shift(lab, service: str, weights: Mapping[str, int]) -> Outcome:
    """Give each version of `service` its weight, and return when every proxy follows.

    Parameters
    ----------
    service : str
        Name of a Service in the lab's namespace; a DestinationRule must define a subset for each version.
    weights : mapping of str to int
        Percent by version; they add up to 100.

    Raises
    ------
    LabError
        Weights that are not whole, negative, or do not add up to 100.
    TrafficError
        No such Service, or a client without a sidecar: nothing would come of the weights.
    MeshError
        No DestinationRule, a subset that it does not define, several VirtualServices for one host, or one that does more than that.
    ManifestError, ClusterError
        What the API server, or Istio's validation, says.
    """
    weights = validate_weights(weights)
    observe.find_service(lab, service)
    known = subsets(lab, service)
    strangers = sorted(set(weights) - set(known))
    if strangers:
        raise MeshError(
            f"No DestinationRule for {service} defines the subset {', '.join(strangers)}; requests to it would be answered 503.",
            f"It defines: {', '.join(known)}.",
        )
    if not observe.has_sidecar(lab):
        raise TrafficError(
            f"Pod {CLIENTS['mesh']!r} in namespace {lab.namespace} has no sidecar, so no rule of the mesh reaches its requests.",
            f"kubectl label namespace {lab.namespace} istio-injection=enabled, then kubectl rollout restart deployment client.",
        )
    routes = [{"destination": {"host": service, "subset": name}, "weight": weight} for name, weight in weights.items()]
    document = {
        "apiVersion": API, "kind": "VirtualService", "metadata": {"name": _name(lab, service)},
        "spec": {"hosts": [service], "http": [{"route": routes}]},
    }  # fmt: skip
    return apply.write(lab, [document], f"kubectl apply --server-side -f - <<< '{json.dumps(document)}'")


def follow(
    lab, service: str, weights: Mapping[str, int], n: int = 400, batch: int = 50, stopped: Callable[[], bool] = lambda: False
) -> Iterator[Progress]:
    """Apply `weights` by `shift`, then send `n` requests in batches from a pod in the mesh.

    Parameters
    ----------
    n, batch : int
        Requests in all, and between two reports.
    stopped : callable
        Asked before each batch; nothing more is sent once it says yes.

    Yields
    ------
    Progress
        First with nothing sent yet, then after each batch.
    """
    effect = shift(lab, service, weights)
    counts, failed = Counter(dict.fromkeys(weights, 0)), 0
    yield Progress(dict(weights), effect, dict(counts), failed, n)
    for start in range(0, n, batch):
        if stopped():
            return
        seen = observe.observe(lab, service, min(batch, n - start), parallel=4)
        counts.update(seen["version"].dropna())
        failed += int(seen["version"].isna().sum())
        yield Progress(dict(weights), effect, dict(counts), failed, n)


def current(lab, service: str) -> dict[str, int]:
    """Weights by version that the VirtualService of `service` has now; empty if there is none, or one that does more than that."""
    found = rules(lab, "VirtualService", service)
    if len(found) != 1 or len(found[0]["spec"].get("http", [])) != 1:
        return {}
    routes = found[0]["spec"]["http"][0].get("route", [])
    return {each["destination"].get("subset", ""): each.get("weight", 100 if len(routes) == 1 else 0) for each in routes}


def subsets(lab, service: str) -> list[str]:
    """Names of the subsets that DestinationRules define for `service`.

    Raises
    ------
    MeshError
        There is no DestinationRule for it.
    """
    found = rules(lab, "DestinationRule", service)
    if not found:
        raise MeshError(
            f"There is no DestinationRule for {service} in namespace {lab.namespace}, so its versions have no names to route to.",
            "Apply one with a subset for each version, as 12_traffic_shifting/01-subsets.yaml does.",
        )
    return [each["name"] for rule in found for each in rule["spec"].get("subsets", [])]


def _name(lab, service: str) -> str:
    """The name of the VirtualService that `shift` may write: the one that is there, if it does nothing but share out the traffic."""
    found = rules(lab, "VirtualService", service)
    names = [each["metadata"]["name"] for each in found]
    if len(found) > 1:
        raise MeshError(
            f"{len(names)} VirtualServices speak for {service}: {', '.join(names)}.",
            "Istio follows one of them only. Delete all but one: kubectl delete virtualservice NAME.",
        )
    if found and (more := _more_than_weights(found[0]["spec"])):
        raise MeshError(
            f"VirtualService {names[0]} does more than share out traffic ({', '.join(more)}), and weights would take its place.",
            "Write the weights into its manifest and apply that; or delete it: kubectl delete virtualservice NAME.",
        )
    return names[0] if names else service


def _more_than_weights(spec: dict) -> list[str]:
    """What a VirtualService says beside one route to subsets with weights."""
    http = spec.get("http") or [{}]
    more = [f"spec.{field}" for field in spec if field not in ("hosts", "http")]
    more += [f"{len(spec['hosts'])} hosts"] if len(spec["hosts"]) > 1 else []
    more += [f"{len(http)} rules"] if len(http) > 1 else []
    more += sorted({field for rule in http for field in rule if field != "route"})
    parts = [part for rule in http for part in rule.get("route") or []]
    more += sorted({field for part in parts for field in part if field not in ("destination", "weight")})
    return more + sorted({f"destination.{field}" for part in parts for field in part["destination"] if field not in ("host", "subset")})


def rules(lab, kind: str, service: str) -> list[dict]:
    """The objects of `kind` (VirtualService or DestinationRule) of the lab's namespace that speak for the host `service`."""
    names = configuration.hosts(lab, service)
    return [each for each in lab.client.list(Kind(API, kind)) if names & {each["spec"].get("host"), *each["spec"].get("hosts", [])}]
