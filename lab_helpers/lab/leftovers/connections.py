"""Connections from before a rule was made or taken back: Envoy keeps them, with the rules of then, until it has drained them (45 s)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from lab_helpers.istio import apply, envoy, proxies
from lab_helpers.kube import channels, pods
from lab_helpers.kube.kinds import POD

DRAINING = r"^listener_manager\.total_(filter_chains|listeners)_draining$"


def close(lab) -> bool:
    """Have every proxy close its idle connections to the namespace's services, if old rules are left at some of these; whether so.

    Whoever calls keeps them open, until something changes in its cluster: here, for a moment, how many requests one may take.
    """
    there = [each["metadata"]["name"] for each in lab.client.list(POD) if proxies.has_proxy(each) and pods.ready(each)]
    with ThreadPoolExecutor(max(1, len(there))) as pool:
        draining = any(pool.map(lambda pod: _draining(lab, pod), there))
    if draining:
        rule = _fresh(lab.namespace)
        apply.write(lab, [rule])
        apply.erase(lab, [rule])
    return draining


def _draining(lab, pod: str) -> bool:
    """Whether a proxy still serves connections by listeners, or filter chains of them, that have been replaced."""
    told = channels.get_json(lab.client, lab.namespace, pod, envoy.ADMIN, f"/stats?format=json&filter={DRAINING}")
    return any(each.get("value") for each in told["stats"])


def _fresh(namespace: str) -> dict:
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {"name": "fresh-connections"},
        "spec": {
            "host": f"*.{namespace}.svc.cluster.local",
            "trafficPolicy": {"connectionPool": {"http": {"maxRequestsPerConnection": 1}}},
        },
    }
