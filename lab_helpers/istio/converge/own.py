"""The same for somebody whose rights end at their namespace, and who may not ask istiod: told by the proxies of their own pods.

Istiod gathers what it learns, and pushes all of it to a proxy in one order: clusters, endpoints, listeners, routes. So after a change an
object is made of which every proxy of the namespace is told, and deleted again. When it has come to a proxy and gone from it, a push has
ended that had begun after istiod knew the object; and with it has come whatever was written before.

Of proxies in other namespaces, the shared gateway's above all, nothing can be said.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from uuid import uuid4

from lab_helpers.core.errors import MeshError
from lab_helpers.core.wait import wait_until_none
from lab_helpers.istio import envoy, proxies
from lab_helpers.kube import channels, pods
from lab_helpers.kube.apply import put, take
from lab_helpers.kube.kinds import POD

CLUSTERS = "/config_dump?resource=dynamic_active_clusters"
REJECTED = "/stats?format=json&filter=update_rejected$"
LISTENERS = "/config_dump?resource=dynamic_listeners"
DO = "See the pod's proxy: kubectl logs NAME --container istio-proxy. A Sidecar that leaves out the own namespace hides changes in it."


def rejected(lab) -> dict[str, int]:
    """How many updates each own proxy has refused since it started; by its pod's name."""
    return {pod: count for pod, count in _of_each(lab, _rejections) if count is not None}


def converged(lab, deadline: float, since: dict[str, int] | None = None) -> int:
    """Wait until every proxy of the lab's namespace has all that was written before; return their number.

    Parameters
    ----------
    deadline : float
        Seconds, for each half.
    since : dict, optional
        What `rejected` said before the change.

    Raises
    ------
    MeshError
        Names the pods whose proxies lag, or passes on why one refused.
    """
    there = _there(lab)
    if not there:
        return 0
    sign = _sign()
    host = sign["spec"]["hosts"][0].encode()

    def lacking(wanted: bool) -> list[str]:
        _require_none_refused(lab, since)  # it may be all of an update, the sign with it
        knows = _of_each(lab, lambda lab, pod: host in channels.get(lab.client, lab.namespace, pod, envoy.ADMIN, CLUSTERS))
        return [f"{pod} has not been told" for pod, known in knows if known is not wanted]

    put(lab.client, [sign])
    try:
        wait_until_none(lambda: lacking(True), "the namespace's proxies to learn of the change", DO, deadline, 0.03)
    finally:
        take(lab.client, [sign])
    wait_until_none(lambda: lacking(False), "the namespace's proxies to learn of the change", DO, deadline, 0.03)
    return len(_there(lab))


def _require_none_refused(lab, since: dict[str, int] | None) -> None:
    more = [pod for pod, count in rejected(lab).items() if count > since.get(pod, 0)] if since is not None else []
    if more:
        why = "; ".join(f"{pod} refused {_why(lab, pod)}" for pod in more)
        raise MeshError(f"A proxy did not take the configuration: {why}", "Undo the last change, or correct it.")


def _there(lab) -> list[str]:
    return [each["metadata"]["name"] for each in lab.client.list(POD) if proxies.has_proxy(each) and pods.ready(each)]


def _sign() -> dict:
    """A host that nobody calls, for this namespace only; without an address, so that no proxy looks for one."""
    name = f"in-effect-{uuid4().hex[:8]}"
    spec = {"hosts": [f"{name}.invalid"], "exportTo": ["."], "resolution": "NONE"}
    spec["ports"] = [{"number": 80, "name": "http", "protocol": "HTTP"}]
    return {"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry", "metadata": {"name": name}, "spec": spec}


def _of_each(lab, ask: Callable) -> Iterator[tuple]:
    """What is learned of each own proxy, one after the other over connections that are kept; None of one that has gone meanwhile."""
    for pod in _there(lab):
        try:
            yield pod, ask(lab, pod)
        except MeshError:
            yield pod, None


def _rejections(lab, pod: str) -> int:
    told = channels.get_json(lab.client, lab.namespace, pod, envoy.ADMIN, REJECTED)
    return sum(each.get("value", 0) for each in told["stats"])


def _why(lab, pod: str) -> str:
    """What a proxy says of listeners that it did not take; of clusters and routes it says nothing afterwards."""
    dump = channels.get_json(lab.client, lab.namespace, pod, envoy.ADMIN, LISTENERS)
    states = [each["error_state"] for each in dump.get("configs") or [] if each.get("error_state")]
    return "; ".join(each.get("details") or json.dumps(each) for each in states) or "something: its log says what"
