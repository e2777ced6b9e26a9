"""Find a cluster, make sure that it is one with Istio, and hand out the `Lab`."""

from __future__ import annotations

import os
import re
import ssl
from pathlib import Path

import httpx2
import yaml
from lightkube import ApiError
from lightkube.config.kubeconfig import KubeConfig, SingleConfig
from lightkube.core.exceptions import ConfigError

from lab_helpers.core.errors import ClusterError
from lab_helpers.core.manifests import ROOT
from lab_helpers.mesh import istiod
from lab_helpers.mesh.lab import Lab

UP = "meshlab up starts the embedded lab; for another cluster, set KUBECONFIG or give connect(context=...)."


def connect(context: str | None = None, namespace: str = "default", quiet: bool = False, istio: bool = True) -> Lab:
    """Connect to a cluster with Istio and print one line about it.

    Parameters
    ----------
    context : str, optional
        A context of the kubeconfig. Without it: the current context of ``$KUBECONFIG``, or else the embedded lab, or
        else the current context of ``~/.kube/config``.
    namespace : str
        Where the chapter's objects live. Learners who share a cluster take one each.
    quiet : bool
        Print nothing.
    istio : bool
        Whether Istio has to be there already; only who goes on to install it says no.

    Raises
    ------
    ClusterError
        No cluster, an unknown context (names the known ones), a cluster that does not answer, credentials that it does
        not accept, or one without Istio; each with what to do.
    """
    if not re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", namespace):
        raise ClusterError(f"{namespace!r} cannot be a namespace.", "Use lower-case letters, digits and hyphens.")
    from lab_helpers.embedded.paths import (
        BIN,
        KUBECONFIG,
        OVERLAY,
    )  # the one place outside the command line that knows the embedded lab

    own = os.environ.get("KUBECONFIG")
    files = [Path(each) for each in own.split(os.pathsep) if each] if own else [KUBECONFIG, Path.home() / ".kube" / "config"]
    path, config = _choose(files, context, "KUBECONFIG" if own else "")
    embedded = path == KUBECONFIG
    # Relative to the manifests, or just as well to the notebooks: these are the folders that commands run in.
    overlay = f"-f {os.path.relpath(OVERLAY, ROOT)}" if embedded else ""
    lab = Lab(config, path, namespace, BIN if embedded else "", overlay)
    kubernetes, mesh = _ask(lab, istio)
    if not quiet:
        print(f"Connected to {lab.context}: Kubernetes {kubernetes}, {mesh}; working in namespace {namespace}.")
    return lab


def _choose(files: list[Path], context: str | None, variable: str) -> tuple[Path, SingleConfig]:
    there = {path: _read(path) for path in files if path.is_file()}
    if not there:
        if variable:
            raise ClusterError(f"${variable} names {', '.join(map(str, files))}, which does not exist.", "Correct or unset it.")
        raise ClusterError("There is no cluster to connect to: no kubeconfig was found.", UP)
    for path, config in there.items():
        if context in config.contexts or (context is None and config.current_context):
            try:
                return path, config.get(context)
            except (ConfigError, KeyError) as error:
                raise ClusterError(f"{path} is not complete: {error} is missing.", "Fetch the kubeconfig anew.") from error
    known = ", ".join(sorted({name for config in there.values() for name in config.contexts})) or "none"
    if context:
        raise ClusterError(f"No kubeconfig has a context {context!r}.", f"Known: {known}.")
    raise ClusterError("The kubeconfig has no current context.", f"Choose one with connect(context=...). Known: {known}.")


def _read(path: Path) -> KubeConfig:
    try:
        return KubeConfig.from_file(path)
    except (yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise ClusterError(f"{path} is not a kubeconfig ({type(error).__name__}: {error}).", "Fetch it anew.") from error


def _ask(lab: Lab, needs_istio: bool) -> tuple[str, str]:
    where = f"The cluster of context {lab.context} at {lab.config.cluster.server}"
    try:
        answer = lab.http.get("/version")
        answer.raise_for_status()
        kubernetes = answer.json()["gitVersion"]
        if not needs_istio and not istiod.runs(lab):
            return kubernetes, "no Istio yet"
        return kubernetes, f"Istio {istiod.version(lab)}, {len(istiod.proxies(lab))} proxies"
    except (ApiError, httpx2.HTTPStatusError) as error:
        code = error.status.code if isinstance(error, ApiError) else error.response.status_code
        raise ClusterError(
            f"{where} does not accept the kubeconfig's credentials ({code}).", "They may have expired: fetch new ones."
        ) from error
    except (httpx2.HTTPError, ssl.SSLError) as error:
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            raise ClusterError(
                f"{where} is not the one that the kubeconfig was made for (its certificate differs).",
                f"Stale kubeconfig. {UP}",
            ) from error
        raise ClusterError(f"{where} does not answer ({error or type(error).__name__}).", f"It may be down. {UP}") from error
