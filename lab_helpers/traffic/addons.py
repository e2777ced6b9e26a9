"""What looks at the mesh beside it: Prometheus, Zipkin, Jaeger, Grafana, Kiali. Which are there, and how to ask them.

They are asked by way of the API server, which passes a request on to a Service: no port has to be forwarded, and whoever
may use the cluster may use them.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from lab_helpers.core.errors import MeshError, QueryError
from lab_helpers.core.wait import wait_until
from lab_helpers.istio.gateway import address
from lab_helpers.istio.proxies import serving
from lab_helpers.kube.client import Answer
from lab_helpers.kube.kinds import ENDPOINT_SLICE, SERVICE

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
    service = find(lab, name)
    if service is None:
        raise _absent(lab, name)
    port = _port(service, ADDONS[name])
    where = f"/api/v1/namespaces/{lab.addons_namespace}/services/http:{service['metadata']['name']}:{port['port']}/proxy{path}"
    answer = lab.client.raw(where, params, TIMEOUT)
    if answer.status in (502, 503, 504) and not _running(lab, service) and _starting(lab, service):
        answer = lab.client.raw(where, params, TIMEOUT)
    if answer.status in (502, 503, 504) and not _running(lab, service):
        app = (service["spec"].get("selector") or {}).get("app", name)
        raise QueryError(
            f"{name.capitalize()} does not answer: Service {service['metadata']['name']} in {lab.addons_namespace} has no ready pod.",
            f"See why: kubectl get pods -n {lab.addons_namespace} -l app={app}",
        )
    return answer


def find(lab, name: str) -> dict | None:
    """The Service of the add-on `name`; None where there is none."""
    for service, labels in ADDONS[name].services:
        found = lab.client.get(SERVICE, service, lab.addons_namespace)
        if found and labels.items() <= (found["spec"].get("selector") or {}).items():
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
        command = f"kubectl get pods -n {lab.addons_namespace}"
        return {"name": name, "state": "no ready pod", "address": "", "command": command}
    if not _pages(ask(lab, name, f"{ADDONS[name].path}/{ADDONS[name].page}")):
        return {"name": name, "state": "up, without pages", "address": "", "command": ""}
    command = f"kubectl port-forward -n {lab.addons_namespace} service/zipkin 9411" if name == "zipkin" else f"istioctl dashboard {name}"
    there = _address(lab, service, ADDONS[name])
    return {"name": name, "state": "up", "address": there and f"{there}{ADDONS[name].path}/", "command": command}


def _pages(answer: Answer) -> bool:
    # Jaeger built without its pages still has one, to say so.
    return answer.status in (200, 302) and "not compiled with the UI" not in answer.text


def addresses(lab) -> dict[str, str]:
    """Where the add-ons that are open to the outside are reached, whether they have pages or not: name → ``http://HOST:PORT``."""
    found = {name: find(lab, name) for name in ADDONS}
    return {name: there for name, service in found.items() if service and (there := _address(lab, service, ADDONS[name]))}


def _address(lab, service: dict, addon: Addon) -> str:
    """Address from outside, by the Service itself or by one for just that, ``NAME-ui``; empty where there is none."""
    beside = lab.client.get(SERVICE, f"{addon.name}-ui", lab.addons_namespace)
    for each in filter(None, (service, beside)):
        if found := address(lab.client, each, _port(each, addon)):
            return f"http://{found}"
    return ""


def _port(service: dict, addon: Addon) -> dict:
    ports = service["spec"]["ports"]
    fits = (each for each in ports if addon.port in (each.get("targetPort"), each["port"]) or "http" in each.get("name", ""))
    return next(fits, ports[0])


def _running(lab, service: dict) -> bool:
    return any(_serving(lab, service))


def _serving(lab, service: dict) -> list[bool]:
    """Whether it serves, for each pod behind the Service."""
    slices = lab.client.list(ENDPOINT_SLICE, lab.addons_namespace, {"kubernetes.io/service-name": service["metadata"]["name"]})
    return [serving(each) for slice_ in slices for each in slice_.get("endpoints") or []]


def _starting(lab, service: dict) -> bool:
    """Whether a pod that is there becomes ready: one that is busy or has just started is given some time."""
    try:
        wait_until(lambda: _running(lab, service) or not _serving(lab, service), "a ready pod", STARTED, every=0.5)
    except MeshError:
        return False
    return _running(lab, service)


def _absent(lab, name: str) -> QueryError:
    named = " or ".join(service for service, _ in ADDONS[name].services)
    return QueryError(
        f"The cluster has no {name.capitalize()}: there is no Service {named} in namespace {lab.addons_namespace}.",
        f"meshlab addons {name} installs it.",
    )
