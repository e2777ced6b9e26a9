"""One and the same request by several ways: from inside the mesh, from a pod beside it, and from this machine."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from lab_helpers.chapters.c18_mtls import outside
from lab_helpers.core.errors import LabError, TrafficError
from lab_helpers.kube import pods
from lab_helpers.lab.asking.curl import curl
from lab_helpers.lab.forward import forwarding

PATHS = {"details": "/details/0", "ratings": "/ratings/0", "reviews": "/reviews/0", "httpbin": "/headers", "productpage": "/productpage"}
PORTS = {"httpbin": 8000}
LOCAL = 9080  # where each container listens
RESET = "reset"


def ask(lab, *ways: str, service: str = "productpage") -> pd.Series:
    """Ask a Service once by each of `ways`.

    Parameters
    ----------
    *ways : str
        - ``client``: from a pod with a sidecar, by the Service's name
        - ``client, by address``: the same pod, by the address of a pod
        - ``plain-client``: from a pod without a sidecar
        - ``NodePort``: from this machine, in plain text
        - ``ingress gateway``: from this machine (``productpage`` only)
        - ``port-forward``: from this machine, by ``kubectl port-forward``

    Returns
    -------
    pandas.Series
        By way: the HTTP status as text, ``reset`` where the connection was closed on the caller, or what curl said.

    Raises
    ------
    TrafficError
        No such way, or nobody there to ask.
    """
    if strange := [each for each in ways if each not in WAYS]:
        raise TrafficError(f"{strange[0]!r} is no way to ask.", f"Choose among: {'; '.join(WAYS)}.")
    return pd.Series({way: WAYS[way](lab, service) for way in ways}, name=service)


def _from(app: str, by_address: bool = False) -> Callable:
    def send(lab, service: str) -> str:
        host = f"{service}:{PORTS.get(service, LOCAL)}"
        if by_address:
            host = f"{pods.require_ready(lab.client, service)['status']['podIP']}:{LOCAL}"
        answer = curl(lab, f"-o /dev/null -w '%{{http_code}}' http://{host}{PATHS.get(service, '/')}", app)
        if answer.code in (52, 56):  # an empty reply, a reset: what of the two curl sees is chance
            return RESET
        return answer.stdout if answer.code == 0 else answer.stderr.strip()

    return send


def _node_port(lab, service: str) -> str:
    return outside.knock(lab, outside.KINDS[0], service=service)["answer"].iloc[0]


def _gateway(lab, service: str) -> str:
    return str(lab.page(PATHS[service]).status)


def _forwarded(lab, service: str) -> str:
    name = pods.require_ready(lab.client, service)["metadata"]["name"]
    with forwarding(lab, f"kubectl port-forward pod/{name} :{LOCAL}") as forward:
        try:
            return str(forward.page(PATHS.get(service, "/")).status)
        except LabError:
            return RESET


WAYS: dict[str, Callable] = {
    "client": _from("client"),
    "client, by address": _from("client", by_address=True),
    "plain-client": _from("plain-client"),
    "NodePort": _node_port,
    "ingress gateway": _gateway,
    "port-forward": _forwarded,
}
