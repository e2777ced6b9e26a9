"""What looks at the mesh beside it: Prometheus, Zipkin, Jaeger, Grafana, Kiali. Which are there, and how to ask them.

They are asked by way of the API server, which passes a request on to a Service: no port has to be forwarded, and whoever
may use the cluster may use them.
"""

from __future__ import annotations

from dataclasses import dataclass

from lab_helpers.core.errors import MeshError, QueryError
from lab_helpers.core.wait import wait_until
from lab_helpers.istio.gateway import address
from lab_helpers.istio.proxies import serving
from lab_helpers.kube.client import Answer, Client
from lab_helpers.kube.kinds import ENDPOINT_SLICE, SERVICE

NAMESPACE = "istio-system"  # where Istio's own manifests put them
TIMEOUT = 30.0  # seconds for an answer
STARTED = 30.0  # seconds until a pod that is there is ready


@dataclass(frozen=True)
class Addon:
    """One of them, as Istio's own add-on manifests name it.

    Attributes
    ----------
    name : str
    services : tuple of (str, dict)
        Names that its Service may have, with the labels that its selector then has: ``tracing`` may be Jaeger or Zipkin.
    port : int
        Of the pod, by which the right port of the Service is found.
    path : str
        Where its pages begin.
    page : str
        One of them, to see whether it has any.
    """

    name: str
    services: tuple[tuple[str, dict], ...]
    port: int
    path: str = ""
    page: str = ""


ADDONS = {
    each.name: each
    for each in (
        Addon("prometheus", (("prometheus", {}),), 9090, page="query"),
        Addon("zipkin", (("zipkin", {"app": "zipkin"}), ("tracing", {"app": "zipkin"})), 9411, "/zipkin"),
        Addon(
            "jaeger",
            (("tracing", {"app": "jaeger"}), ("jaeger-query", {"app": "jaeger"}), ("jaeger-ui", {"app": "jaeger"})),
            16686,
            "/jaeger",
        ),
        Addon("grafana", (("grafana", {}),), 3000),
        Addon("kiali", (("kiali", {}),), 20001, "/kiali"),
    )
}


def ask(lab, name: str, path: str, params: dict | None = None) -> Answer:
    """GET `path` from the add-on `name`; the answer may be an error of the add-on's own.

    Raises
    ------
    QueryError
        It is not installed, or does not run.
    """
    service = find(lab.client, name, lab.addons_namespace)
    if service is None:
        raise _absent(lab, name)
    number = port(service, ADDONS[name])["port"]
    where = f"/api/v1/namespaces/{lab.addons_namespace}/services/http:{service['metadata']['name']}:{number}/proxy{path}"
    answer = lab.client.raw(where, params, TIMEOUT)
    if answer.status in (502, 503, 504) and not running(lab, service) and _starting(lab, service):
        answer = lab.client.raw(where, params, TIMEOUT)
    if answer.status in (502, 503, 504) and not running(lab, service):
        app = (service["spec"].get("selector") or {}).get("app", name)
        raise QueryError(
            f"{name.capitalize()} does not answer: Service {service['metadata']['name']} in {lab.addons_namespace} has no ready pod.",
            f"See why: kubectl get pods -n {lab.addons_namespace} -l app={app}",
        )
    return answer


def find(client: Client, name: str, namespace: str = NAMESPACE) -> dict | None:
    """The Service of the add-on `name`; None where there is none."""
    for service, labels in ADDONS[name].services:
        found = client.get(SERVICE, service, namespace)
        if found and labels.items() <= (found["spec"].get("selector") or {}).items():
            return found
    return None


def addresses(client: Client, namespace: str = NAMESPACE) -> dict[str, str]:
    """Where the add-ons are reached that are open to the outside, whether they have pages or not: name → ``http://HOST:PORT``."""
    found: dict[str, str] = {}
    for name, addon in ADDONS.items():
        # By the Service itself, or by one that is there for just that.
        services = filter(None, (find(client, name, namespace), client.get(SERVICE, f"{name}-ui", namespace)))
        there = [where for each in services if (where := address(client, each, port(each, addon)))]
        found |= {name: f"http://{there[0]}"} if there else {}
    return found


def port(service: dict, addon: Addon) -> dict:
    """The port of its Service by which an add-on is asked."""
    ports = service["spec"]["ports"]
    fits = (each for each in ports if addon.port in (each.get("targetPort"), each["port"]) or "http" in each.get("name", ""))
    return next(fits, ports[0])


def running(lab, service: dict) -> bool:
    """Whether a pod behind the Service of an add-on serves."""
    return any(_serving(lab, service))


def _serving(lab, service: dict) -> list[bool]:
    """Whether it serves, for each pod behind the Service."""
    slices = lab.client.list(ENDPOINT_SLICE, lab.addons_namespace, {"kubernetes.io/service-name": service["metadata"]["name"]})
    return [serving(each) for slice_ in slices for each in slice_.get("endpoints") or []]


def _starting(lab, service: dict) -> bool:
    """Whether a pod that is there becomes ready: one that is busy or has just started is given some time."""
    try:
        wait_until(lambda: running(lab, service) or not _serving(lab, service), "a ready pod", STARTED, every=0.5)
    except MeshError:
        return False
    return running(lab, service)


def _absent(lab, name: str) -> QueryError:
    named = " or ".join(service for service, _ in ADDONS[name].services)
    return QueryError(
        f"The cluster has no {name.capitalize()}: there is no Service {named} in namespace {lab.addons_namespace}.",
        f"meshlab addons {name} installs it.",
    )
