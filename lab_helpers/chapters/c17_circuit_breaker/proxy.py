"""What fortio's own proxy has counted for one service, and what limits it was given."""

from __future__ import annotations

from collections import Counter
from urllib.parse import quote

from lab_helpers.chapters.c17_circuit_breaker.fortio import pod_of
from lab_helpers.core.errors import MeshError
from lab_helpers.istio import envoy
from lab_helpers.kube import channels
from lab_helpers.kube.kinds import POD
from lab_helpers.traffic import observe


def counters(lab, service: str = "productpage", app: str = "fortio") -> Counter[str]:
    """The counters that the proxy of `app` keeps of the calls to `service`, by Envoy's names.

    Envoy begins to keep them with the first call; one that is not there stands at 0.

    Raises
    ------
    TrafficError
        No pod of `app`, or no such Service.
    MeshError
        The proxy is to keep none.
    """
    beginning, pod = f"cluster.{cluster_name(lab, service)}", pod_of(lab, app)
    path = f"/stats?format=json&filter={quote(beginning.replace('|', '[|]'))}"
    answer = channels.get_json(lab.client, lab.namespace, pod, envoy.ADMIN, path)
    found = {each["name"].removeprefix(beginning).lstrip(";."): each["value"] for each in answer["stats"] if "value" in each}
    annotations = lab.client.get(POD, pod)["metadata"].get("annotations") or {}
    if not found and "proxyStatsMatcher" not in annotations.get("proxy.istio.io/config", ""):
        raise MeshError(
            f"The proxy of {app} keeps no counters of its calls to {service}: Istio leaves them out by default.",
            "Name them in the pod's annotation proxy.istio.io/config, under proxyStatsMatcher, as 17_circuit_breaker/01-fortio.yaml does.",
        )
    return Counter(found)


def limits(lab, service: str = "productpage", app: str = "fortio", inbound: bool = False) -> dict[str, int]:
    """The limits that the proxy of `app` has for calls to `service`: Envoy's circuit breaker thresholds.

    Parameters
    ----------
    inbound : bool
        Those that it has for what comes in at the port of `service`, whose own proxy it is.
    """
    dump = channels.get_json(lab.client, lab.namespace, pod_of(lab, app), envoy.ADMIN, "/config_dump?resource=dynamic_active_clusters")
    clusters = [each["cluster"] for each in dump.get("configs", [])]
    port = observe.find_service(lab, service)["spec"]["ports"][0]
    wanted = f"inbound|{port.get('targetPort', port['port'])}||" if inbound else cluster_name(lab, service)
    found = next((each for each in clusters if each["name"] == wanted), {})
    thresholds = found.get("circuit_breakers", {}).get("thresholds", [{}])[0]
    return {name: value for name, value in thresholds.items() if name.startswith("max_")}


def cluster_name(lab, service: str) -> str:
    """What Envoy calls the group of all pods of a Service of the lab's namespace."""
    port = observe.find_service(lab, service)["spec"]["ports"][0]["port"]
    return f"outbound|{port}||{service}.{lab.namespace}.svc.cluster.local"
