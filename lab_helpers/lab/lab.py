"""A mesh to experiment on: one cluster, one namespace of it, and everything that several chapters do there."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

from lab_helpers.core.errors import require_fit
from lab_helpers.istio import gateway
from lab_helpers.istio.apply import delete, diff
from lab_helpers.istio.gateway import page
from lab_helpers.istio.restart import restart
from lab_helpers.kube import commands, objects
from lab_helpers.kube.client import Client
from lab_helpers.lab.checkpoint import checkpoint
from lab_helpers.lab.whole_mesh import apply
from lab_helpers.traffic import addons
from lab_helpers.traffic.calls import calls
from lab_helpers.traffic.graph import graph, requests
from lab_helpers.traffic.observe import observe
from lab_helpers.traffic.pages import uis
from lab_helpers.traffic.prometheus import promql, window
from lab_helpers.traffic.traces import trace, traces


def _method(function: Callable) -> Callable:
    """Make a function that takes a lab a method of it: what the API server or the network says comes out as a `LabError`."""

    @wraps(function)
    def told(self, *positional, **named):
        require_fit(f"lab.{function.__name__}", function, (self, *positional), named, given=1)
        with objects.sentences(f"lab.{function.__name__}"):
            return function(self, *positional, **named)

    return told


@wraps(commands.run)
def run(lab, line: str, deadline: float = 60.0, stdin: str | None = None, code: int = 0) -> commands.Output:
    """`commands.run` with the lab's client."""
    return commands.run(lab.client, line, deadline, stdin, code)


class Lab:
    """One namespace of a cluster with Istio; `connect` makes it.

    Parameters
    ----------
    client : Client
        Cluster, credentials and namespace.
    overlay : str
        What this cluster needs on top whenever Istio is installed, as options of ``istioctl install``: ``-f FILE``, or nothing.
    """

    addons_namespace = addons.NAMESPACE  # where Prometheus, Zipkin, Jaeger, Grafana and Kiali are looked for

    def __init__(self, client: Client, overlay: str = ""):
        self.client, self.overlay = client, overlay

    @property
    def namespace(self) -> str:
        """Where everything happens."""
        return self.client.namespace

    @property
    def context(self) -> str:
        """Name of the kubeconfig's context."""
        return self.client.context.name

    @property
    def url(self) -> str:
        """Address of the ingress gateway, such as ``http://192.0.2.1:30080``."""
        with objects.sentences("Looking for the gateway"):
            return gateway.url(self)

    run = _method(run)
    checkpoint = _method(checkpoint)
    apply = _method(apply)
    delete = _method(delete)
    diff = _method(diff)
    restart = _method(restart)
    page = _method(page)
    observe = _method(observe)
    calls = _method(calls)
    uis = _method(uis)
    promql = _method(promql)
    requests = _method(requests)
    graph = _method(graph)
    traces = _method(traces)
    trace = _method(trace)
    window = _method(window)

    def __repr__(self) -> str:
        return f"Lab(context={self.context!r}, namespace={self.namespace!r})"
