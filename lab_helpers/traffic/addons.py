"""What looks at the mesh beside it: Prometheus, Zipkin, Jaeger, Grafana, Kiali. Which are there, and how to ask them.

They are asked by way of the API server, which passes a request on to a Service: no port has to be forwarded, and whoever
may use the cluster may use them.
"""

from __future__ import annotations

from dataclasses import dataclass

import httpx2
import pandas as pd
from lightkube.core.exceptions import ApiError
from lightkube.resources.core_v1 import Node, Service
from lightkube.resources.discovery_v1 import EndpointSlice

from lab_helpers.core.errors import MeshError, QueryError
from lab_helpers.core.wait import wait_until

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


def ask(lab, name: str, path: str, params: dict | None = None) -> httpx2.Response:
    """GET `path` from the add-on `name`; the answer may be an error of the add-on's own.

    Raises
    ------
    QueryError
        It is not installed, or does not run.
    """
    service = find(lab, name)
    if service is None:
        raise _absent(lab, name)
    port = _port(service, ADDONS[name])
    where = f"/api/v1/namespaces/{lab.addons}/services/http:{service.metadata.name}:{port.port}/proxy{path}"
    answer = lab.http.get(where, params=params, timeout=TIMEOUT)
    if answer.status_code in (502, 503, 504) and not _running(lab, service) and _starting(lab, service):
        answer = lab.http.get(where, params=params, timeout=TIMEOUT)
    if answer.status_code in (502, 503, 504) and not _running(lab, service):
        raise QueryError(
            f"{name.capitalize()} does not answer: Service {service.metadata.name} in namespace {lab.addons} has no ready pod.",
            f"See why: kubectl get pods -n {lab.addons} -l app={(service.spec.selector or {}).get('app', name)}",
        )
    return answer


def find(lab, name: str) -> Service | None:
    """The Service of the add-on `name`; None where there is none."""
    for service, labels in ADDONS[name].services:
        try:
            found = lab.client.get(Service, service, namespace=lab.addons)
        except ApiError as error:
            if error.status.code != 404:
                raise
            continue
        if labels.items() <= (found.spec.selector or {}).items():
            return found
    return None


def uis(lab) -> pd.DataFrame:
    """Which add-ons are there, and where a browser finds their pages.

    Returns
    -------
    pandas.DataFrame
        One row each of Kiali, Grafana, Jaeger, Zipkin and Prometheus:

        - name
        - state: ``up``, ``up, without pages`` (it answers programs, and was built without its pages), ``no ready pod`` or
          ``not installed``
        - address: of its pages, where they are open to the outside; empty where they are not
        - command: that opens them otherwise, or installs it
    """
    return pd.DataFrame([_row(lab, name) for name in ("kiali", "grafana", "jaeger", "zipkin", "prometheus")])


def _row(lab, name: str) -> dict:
    service = find(lab, name)
    if service is None:
        return {"name": name, "state": "not installed", "address": "", "command": f"meshlab addons {name}"}
    if not _running(lab, service):
        command = f"kubectl get pods -n {lab.addons}"
        return {"name": name, "state": "no ready pod", "address": "", "command": command}
    if not _pages(ask(lab, name, f"{ADDONS[name].path}/{ADDONS[name].page}")):
        return {"name": name, "state": "up, without pages", "address": "", "command": ""}
    command = f"kubectl port-forward -n {lab.addons} service/zipkin 9411" if name == "zipkin" else f"istioctl dashboard {name}"
    return {"name": name, "state": "up", "address": _address(lab, service, ADDONS[name]), "command": command}


def _pages(answer: httpx2.Response) -> bool:
    # Jaeger built without its pages still has one, to say so.
    return answer.status_code in (200, 302) and "not compiled with the UI" not in answer.text


def _address(lab, service: Service, addon: Addon) -> str:
    """Address of the pages from outside, by the Service itself or by one for the pages only, ``NAME-ui``."""
    beside = f"{addon.name}-ui"
    services = [service, *(each for each in lab.client.list(Service, namespace=lab.addons) if each.metadata.name == beside)]
    addresses = {each.type: each.address for node in lab.client.list(Node) for each in node.status.addresses or []}
    for each in services:
        port = _port(each, addon)
        for way in (each.status.loadBalancer.ingress if each.status and each.status.loadBalancer else None) or []:
            return f"http://{way.ip or way.hostname}:{port.port}{addon.path}/"
        if port.nodePort:
            return f"http://{addresses.get('ExternalIP') or addresses['InternalIP']}:{port.nodePort}{addon.path}/"
    return ""


def _port(service: Service, addon: Addon):
    ports = service.spec.ports
    return next((each for each in ports if addon.port in (each.targetPort, each.port) or "http" in (each.name or "")), ports[0])


def _running(lab, service: Service) -> bool:
    return any(_ready(lab, service))


def _ready(lab, service: Service) -> list[bool]:
    """Whether it is ready, for each pod behind the Service."""
    slices = lab.client.list(EndpointSlice, namespace=lab.addons, labels={"kubernetes.io/service-name": service.metadata.name})
    return [bool(each.conditions.ready) for slice_ in slices for each in slice_.endpoints or []]


def _starting(lab, service: Service) -> bool:
    """Whether a pod that is there becomes ready: one that is busy or has just started is given some time."""
    try:
        wait_until(lambda: _running(lab, service) or not _ready(lab, service), "a ready pod", STARTED, every=0.5)
    except MeshError:
        return False
    return _running(lab, service)


def _absent(lab, name: str) -> QueryError:
    named = " or ".join(service for service, _ in ADDONS[name].services)
    return QueryError(
        f"The cluster has no {name.capitalize()}: there is no Service {named} in namespace {lab.addons}.",
        f"meshlab addons {name} installs it.",
    )
