"""A mesh to experiment on: one cluster, one namespace of it, and everything a notebook does there."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from functools import cached_property, wraps
from pathlib import Path

import httpx2
import pandas as pd
from lightkube import Client
from lightkube.config.client_adapter import Client as authenticated
from lightkube.config.client_adapter import ConnectionParams
from lightkube.config.kubeconfig import SingleConfig

from lab_helpers.mesh import (
    addons,
    apply,
    attempts,
    autoscaler,
    calls,
    checkpoint,
    cluster,
    commands,
    dashboards,
    gateway,
    graph,
    identity,
    logs,
    objects,
    observe,
    prometheus,
    restart,
    shift,
    traces,
    wire,
)


def _in_sentences(method):
    """Have what the API server or the network says come out of `method` as a `LabError`."""

    @wraps(method)
    def told(self, *positional, **named):
        with objects.sentences(f"lab.{method.__name__}"):
            return method(self, *positional, **named)

    return told


class Lab:
    """One namespace of a cluster with Istio; `connect` makes it.

    Parameters
    ----------
    config : lightkube.config.kubeconfig.SingleConfig
        Cluster, credentials and context.
    kubeconfig : Path
        Where that was read from; kubectl and istioctl read it too.
    namespace : str
        Where everything happens.
    bin : Path or str
        A folder with kubectl and istioctl of the cluster's version, if there is one.
    overlay : str
        What this cluster needs on top whenever Istio is installed, as options of ``istioctl install``: ``-f FILE``, or nothing.
    """

    def __init__(self, config: SingleConfig, kubeconfig: Path, namespace: str, bin: Path | str = "", overlay: str = ""):
        self.config, self.kubeconfig, self.namespace, self.bin, self.overlay = config, kubeconfig, namespace, bin, overlay
        self.context = config.context_name
        self.addons = "istio-system"  # where Prometheus, Zipkin, Jaeger, Grafana and Kiali are looked for
        self.client = Client(config=config, namespace=namespace, trust_env=False)

    @cached_property
    def http(self) -> httpx2.Client:
        """HTTP to the API server with the lab's credentials, for what lightkube has no method for."""
        return authenticated(self.config, ConnectionParams(trust_env=False))

    @cached_property
    def outside(self) -> httpx2.Client:
        """HTTP as a user outside the cluster speaks it: without credentials and without a proxy of this machine.

        No connection is kept: one that outlives a change of the gateway's listener still follows the old rules.
        """
        return httpx2.Client(trust_env=False, timeout=15, limits=httpx2.Limits(max_connections=50, max_keepalive_connections=0))

    @property
    def url(self) -> str:
        """Address of the ingress gateway, such as ``http://192.0.2.1:30080``; see `gateway.url`."""
        return gateway.url(self)

    @_in_sentences
    def checkpoint(self, chapter: str) -> checkpoint.Checkpoint:
        """Bring the namespace from any state to the start of `chapter`; see `checkpoint.checkpoint`."""
        return checkpoint.checkpoint(self, chapter)

    @_in_sentences
    def apply(self, *manifests: str) -> apply.Outcome:
        """Apply manifests and return when the mesh runs it; see `apply.apply`."""
        return apply.apply(self, *manifests)

    @_in_sentences
    def delete(self, *manifests: str) -> apply.Outcome:
        """Delete what manifests made and return when the mesh has forgotten it; see `apply.delete`."""
        return apply.delete(self, *manifests)

    @_in_sentences
    def diff(self, *manifests: str) -> apply.Outcome:
        """What `apply` would change; see `apply.diff`."""
        return apply.diff(self, *manifests)

    @_in_sentences
    def shift(self, service: str, weights: dict[str, int]) -> apply.Outcome:
        """Give each version of `service` its share of the traffic, in percent; see `shift.shift`."""
        return shift.shift(self, service, weights)

    def run(self, line: str, deadline: float = 60.0, stdin: str | None = None, code: int = 0) -> commands.Output:
        """Run one kubectl, istioctl or curl command; see `commands.run`."""
        return commands.run(self, line, deadline, stdin, code)

    @_in_sentences
    def page(self, path: str = "/productpage", headers: dict[str, str] | None = None) -> gateway.Page:
        """GET a page through the ingress gateway; see `gateway.page`."""
        return gateway.page(self, path, headers)

    @_in_sentences
    def observe(self, service: str, n: int = 100, **how) -> pd.DataFrame:
        """Send `n` requests and return one row each; see `observe.observe`."""
        return observe.observe(self, service, n, **how)

    @_in_sentences
    def calls(self) -> pd.DataFrame:
        """Who has called whom, by the proxies' own counters; see `calls.calls`."""
        return calls.calls(self)

    @_in_sentences
    def uis(self) -> pd.DataFrame:
        """Which of Kiali, Grafana, Jaeger, Zipkin and Prometheus are there, and where; see `addons.uis`."""
        return addons.uis(self)

    @_in_sentences
    def promql(self, query: str, **when) -> pd.DataFrame:
        """Ask Prometheus, now, at an instant or over a range; see `prometheus.promql`."""
        return prometheus.promql(self, query, **when)

    def window(self) -> AbstractContextManager[prometheus.Window]:
        """Send traffic within ``with lab.window() as window:``, and Prometheus knows all of it afterwards; see `prometheus.window`."""
        return prometheus.window(self)

    @_in_sentences
    def requests(self, window: prometheus.Window | str, *labels: str, reporter: str = "source") -> pd.DataFrame:
        """Count the requests of a window by labels, to the last one; see `graph.requests`."""
        return graph.requests(self, window, *labels, reporter=reporter)

    @_in_sentences
    def graph(self, window: prometheus.Window | str = "1m", by: str = "version") -> pd.DataFrame:
        """Who called whom, how often, how well, how fast and how safely; see `graph.graph`."""
        return graph.graph(self, window, by)

    @_in_sentences
    def dashboard(self, name: str, since: prometheus.Window | str | None = None, **variables) -> dashboards.Dashboard:
        """One of Istio's Grafana dashboards with live data; see `dashboards.dashboard`."""
        return dashboards.dashboard(self, name, since, **variables)

    @_in_sentences
    def traces(self, since: prometheus.Window | str = "15m", **which) -> pd.DataFrame:
        """Look for traces, newest first; see `traces.traces`."""
        return traces.traces(self, since, **which)

    @_in_sentences
    def trace(self, id: str, store: str | None = None) -> pd.DataFrame:
        """All spans of one trace; see `traces.trace`."""
        return traces.trace(self, id, store)

    @_in_sentences
    def logs(self, service: str, since: prometheus.Window | str = "1m", container: str | None = None) -> pd.DataFrame:
        """What the pods of a Service have logged, access log and all; see `logs.logs`."""
        return logs.logs(self, service, since, container)

    @_in_sentences
    def restart(self, *deployments: str) -> apply.Outcome:
        """Have Deployments make their pods anew; see `restart.restart`."""
        return restart.restart(self, *deployments)

    @_in_sentences
    def attempts(self, callers: Iterable[str], requests: Iterable[str], service: str = "ratings") -> pd.DataFrame:
        """Which status each caller gets for each request; see `attempts.attempts`."""
        return attempts.attempts(self, callers, requests, service)

    @_in_sentences
    def overhear(self, *lines: str) -> pd.DataFrame:
        """Run commands and return what the eavesdropper has read meanwhile; see `wire.overhear`."""
        return wire.overhear(self, *lines)

    @_in_sentences
    def identities(self) -> pd.DataFrame:
        """Which identity each pod can prove; see `identity.identities`."""
        return identity.identities(self)

    @_in_sentences
    def nodes(self) -> pd.DataFrame:
        """What the cluster's nodes are and how much room they have; see `cluster.nodes`."""
        return cluster.nodes(self)

    @_in_sentences
    def network(self) -> list[str]:
        """Which CNI plugins wire the pods; see `cluster.network`."""
        return cluster.network(self)

    @_in_sentences
    def beside_article(self) -> pd.DataFrame:
        """Lay this cluster beside the article's; see `cluster.beside_article`."""
        return cluster.beside_article(self)

    @_in_sentences
    def follow(self, name: str, pods: int, deadline: float = 180.0) -> pd.DataFrame:
        """Watch an autoscaler until it has come to that many pods; see `autoscaler.follow`."""
        return autoscaler.follow(self, name, pods, deadline)

    def __repr__(self) -> str:
        return f"Lab(context={self.context!r}, namespace={self.namespace!r})"
