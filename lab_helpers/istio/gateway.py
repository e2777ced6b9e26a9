"""Requests through the ingress gateway, as a user outside the cluster sends them."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field

import urllib3

from lab_helpers.core import http
from lab_helpers.core.errors import ClusterError, TrafficError
from lab_helpers.istio import istiod
from lab_helpers.kube import mark, pods
from lab_helpers.kube.client import Answer, Client
from lab_helpers.kube.kinds import NODE, POD, SERVICE

# The label `istio` of gateways of a learner's own. A Gateway's selector reaches into every namespace, so each learner's has to be another.
OWN, OWN_EGRESS = OWNS = ("own-ingress", "own-egress")


@dataclass(frozen=True)
class Page:
    """One answer of the gateway.

    Attributes
    ----------
    url : str
    host : str
        What the request named as its ``Host`` instead of the URL's; empty if nothing.
    status : int
    headers : dict of str to str
        Lower-case names.
    text : str
        The body.
    reviews_pod, reviews_version : str or None
        Which pod served the reviews on this page and its label ``version``; None where the page shows none.
    """

    url: str
    status: int
    headers: dict[str, str]
    text: str = field(repr=False)
    reviews_pod: str | None = None
    reviews_version: str | None = None
    host: str = ""

    @property
    def stars(self) -> str:
        """``black``, ``red``, or ``none`` where no review has any."""
        found = re.search(r'text-(\w+)-500">\s*<svg[^>]*glyphicon-star', self.text)
        return found.group(1) if found else "none"

    def __str__(self) -> str:
        shown = f", reviews by {self.reviews_version}, {self.stars.replace('none', 'no')} stars" if self.reviews_pod else ""
        named = f"--header {shlex.quote(f'Host: {self.host}')} " if self.host else ""
        return f"$ curl {named}{shlex.quote(self.url)}\n{self.status}{shown}"


def host(lab) -> str:
    """The ``Host`` by which the gateway knows this learner; empty in namespace ``default``, which takes every host.

    Learners who share a cluster share its gateway, too. A host each is how Istio keeps their routes apart: of two gateways
    that claim ``*`` on one port, only the older one is served.
    """
    return "" if lab.namespace == "default" else f"{lab.namespace}.lab"


def claiming(document: dict, name: str) -> dict:
    """`document` with ``*`` replaced by the host `name`, in a Gateway or a VirtualService for the gateway that all share.

    What belongs to a gateway of the learner's own (see `OWN`) keeps its hosts, since nobody shares that one, and has its label told
    apart from other learners'. Anything else stays as it is.
    """
    if own(document):
        return _labelled(document, name.removesuffix(".lab"))
    hosts = [name]
    if document["kind"] == "VirtualService" and document["spec"].get("hosts") == ["*"]:
        return {**document, "spec": {**document["spec"], "hosts": hosts}}
    if document["kind"] == "Gateway" and "servers" in document["spec"]:
        servers = [{**each, "hosts": hosts} if each.get("hosts") == ["*"] else each for each in document["spec"]["servers"]]
        return {**document, "spec": {**document["spec"], "servers": servers}}
    return document


def own(document) -> bool:
    """Whether an object belongs to a gateway of the learner's own: its label, or a selector in it, is one of `OWNS`."""
    return bool(labels(document))


def labels(document) -> set[str]:
    """Which of `OWNS` an object has as the label ``istio``, or as that of a selector."""
    below = document.values() if isinstance(document, dict) else document if isinstance(document, list) else ()
    here = {document.get("istio")} if isinstance(document, dict) and isinstance(document.get("istio"), str) else set()
    return (here & set(OWNS)).union(*map(labels, below))


def _labelled(document, learner: str):
    if isinstance(document, dict):
        told = lambda key, each: f"{each}-{learner}" if key == "istio" and each in OWNS else _labelled(each, learner)  # noqa: E731
        return {key: told(key, each) for key, each in document.items()}
    return [_labelled(each, learner) for each in document] if isinstance(document, list) else document


def url(lab) -> str:
    """Address of the ingress gateway's HTTP port, without a slash at the end: asked of the cluster, never assumed.

    Raises
    ------
    ClusterError
        There is no ingress gateway, it is not exposed, or one may not look for it and nobody has noted where it is.
    """
    if not istiod.open_to(lab.client):
        return _noted(lab.client)
    services = lab.client.list(SERVICE, "*", {"istio": "ingressgateway"})
    if not services:
        raise ClusterError(
            "The cluster has no ingress gateway.",
            "Istio's demo and default profiles install one: see chapter 03_install.",
        )
    service = services[0]
    name, ports = service["metadata"]["name"], service["spec"]["ports"]
    port = next((each for each in ports if each.get("name") in ("http2", "http") or each["port"] == 80), None)
    if port is None:
        raise ClusterError(f"Service {name} has no HTTP port.", "Its port 80 should be named http2.")
    if found := address(lab.client, service, port):
        return f"http://{found}"
    do = 'kubectl patch service istio-ingressgateway -n istio-system -p \'{"spec": {"type": "NodePort"}}\''
    raise ClusterError(f"Service {name} is of type {service['spec']['type']} and cannot be reached from here.", do)


def _noted(client: Client) -> str:
    if noted := mark.noted_gateway(client):
        return noted
    what = "Your account may not look for the ingress gateway, and nobody has noted where it is."
    raise ClusterError(what, "Ask whoever runs the cluster for `meshlab up --context NAME`, which notes it with the course's mark.")


def address(client: Client, service: dict, port: dict) -> str:
    """Where a port of a Service is reached from outside the cluster, ``HOST:PORT``: its load balancer, else a node; empty if nowhere."""
    for each in service.get("status", {}).get("loadBalancer", {}).get("ingress") or []:
        return f"{_bracketed(each.get('ip') or each['hostname'])}:{port['port']}"
    if not port.get("nodePort"):
        return ""
    found = [(each["type"], each["address"]) for node in client.list(NODE) for each in node["status"].get("addresses") or []]
    # Of a node with two addresses of a kind the IPv4 one, on which a port is open for certain.
    for kind in ("ExternalIP", "InternalIP"):
        there = sorted((address for type_, address in found if type_ == kind), key=lambda address: ":" in address)
        if there:
            return f"{_bracketed(there[0])}:{port['nodePort']}"
    return ""


def _bracketed(host: str) -> str:
    """A host as a URL has it, where an IPv6 address stands in brackets."""
    return f"[{host}]" if ":" in host else host


def page(lab, path: str = "/productpage", headers: dict[str, str] | None = None) -> Page:
    """GET one page through the ingress gateway, by the lab's own host unless `headers` name another.

    Raises
    ------
    TrafficError
        Nothing answered there at all, or the path or a header cannot be sent. An answer such as 404 or 503 is no error:
        look at ``.status``.
    """
    path, sent = http.target(path), addressed(lab, headers)
    address = f"{lab.url}{path}"
    try:
        answer = fetch(address, sent)
    except urllib3.exceptions.HTTPError as error:
        raise unreachable(address, error) from error
    pod = served_by(answer.text)
    version = versions(lab).get(pod) if pod else None
    return Page(address, answer.status, answer.headers, answer.text, pod, version, sent.get("host", ""))


def fetch(address: str, headers: dict[str, str] | None = None, timeout: float = 15.0) -> Answer:
    """GET `address` as a user outside the cluster does: without credentials and without a proxy of this machine.

    No connection is kept: one that outlives a change of the gateway's listener still follows the old rules.

    Raises
    ------
    urllib3.exceptions.HTTPError
        No answer came within `timeout` seconds.
    """
    with urllib3.PoolManager(retries=False, timeout=timeout) as connections:
        sent = {name: value.encode() for name, value in (headers or {}).items()}  # as curl has it; by itself it would take Latin-1
        answer = connections.request("GET", address, headers=sent, redirect=False)
        return Answer(answer.status, {name.lower(): value for name, value in answer.headers.items()}, answer.data)


def submit(address: str, form: dict[str, str], headers: dict[str, str]) -> urllib3.BaseHTTPResponse:
    """POST a form as a browser does, and follow no redirect.

    Raises
    ------
    TrafficError
        No answer came.
    """
    try:
        with urllib3.PoolManager(retries=False, timeout=15.0) as connections:
            return connections.request("POST", address, fields=form, headers=headers, redirect=False, encode_multipart=False)
    except urllib3.exceptions.HTTPError as error:
        raise unreachable(address, error) from error


def addressed(lab, headers: dict[str, str] | None) -> dict[str, str]:
    """`headers` with lower-case names, and with the lab's own host if they name none; see `http.fields`."""
    own = {"host": host(lab)} if host(lab) else {}
    return {**own, **http.fields(headers)}


def versions(lab) -> dict[str, str]:
    """Label ``version`` of every pod in the lab's namespace, by the pod's name."""
    return {pod["metadata"]["name"]: pods.labels(pod).get("version", "") for pod in lab.client.list(POD)}


def unreachable(address: str, error: Exception) -> TrafficError:
    """The error for a gateway that does not answer."""
    do = "See whether the gateway runs and listens: kubectl get pods -n istio-system, kubectl get gateway."
    return TrafficError(f"{address} did not answer ({error or type(error).__name__}).", do)


def served_by(text: str) -> str | None:
    """Name of the pod that served the reviews on a page of Bookinfo, as the page itself says; None where it shows none."""
    found = re.search(r"Reviews served by:\s*(\S+)", text)
    return found.group(1) if found else None
