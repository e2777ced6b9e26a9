"""A mesh to experiment on: one cluster, one namespace of it, and everything a notebook does there."""

from __future__ import annotations

from functools import cached_property, wraps
from pathlib import Path

import httpx2
import pandas as pd
from lightkube import Client
from lightkube.config.client_adapter import Client as authenticated
from lightkube.config.client_adapter import ConnectionParams
from lightkube.config.kubeconfig import SingleConfig

from lab_helpers.mesh import apply, calls, checkpoint, commands, gateway, objects, observe


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
    """

    def __init__(self, config: SingleConfig, kubeconfig: Path, namespace: str, bin: Path | str = ""):
        self.config, self.kubeconfig, self.namespace, self.bin = config, kubeconfig, namespace, bin
        self.context = config.context_name
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

    def run(self, line: str, deadline: float = 60.0) -> commands.Output:
        """Run one kubectl, istioctl or curl command; see `commands.run`."""
        return commands.run(self, line, deadline)

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

    def __repr__(self) -> str:
        return f"Lab(context={self.context!r}, namespace={self.namespace!r})"
