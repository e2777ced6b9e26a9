"""Find a cluster, make sure that it is one with Istio, and hand out the `Lab`."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
from functools import wraps
from pathlib import Path

from kubernetes.client.rest import ApiException
from urllib3.exceptions import HTTPError

from lab_helpers.core import paths
from lab_helpers.core.errors import ClusterError, HostError, LabError, require_fit
from lab_helpers.core.manifests import FOLDER
from lab_helpers.istio import configuration, istiod, proxies
from lab_helpers.kube import channels, kubeconfig, mark, objects
from lab_helpers.kube.client import Client
from lab_helpers.kube.kubeconfig import Context
from lab_helpers.lab.lab import Lab

UP = "`meshlab up` starts the embedded lab; connect(context=...) takes another cluster."
SYSTEM = re.compile(r"istio-.*|kube-.*|.*-system")  # where a cluster's own programs run: no place for a learner's objects


def _signed(function):
    """Have a wrong call of a function told in a sentence."""

    @wraps(function)
    def told(*positional, **named):
        require_fit(function.__name__, function, positional, named)
        return function(*positional, **named)

    return told


@_signed
def connect(context: str | None = None, namespace: str = "default", quiet: bool = False, istio: bool = True) -> Lab:
    """Connect to a cluster with Istio and print one line about it.

    Parameters
    ----------
    context : str, optional
        A context of the kubeconfig that kubectl would read. Without it, the embedded lab, whatever the environment says.
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
        not accept, one without Istio, or a namespace that cannot be a learner's; each with what to do.
    """
    if context is not None and not (isinstance(context, str) and context):  # an empty one would be whichever is current
        raise ClusterError(
            f"{context!r} is not the name of a context.", "kubectl config get-contexts lists them; None is the embedded lab."
        )
    if not isinstance(namespace, str) or not re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", namespace):
        raise ClusterError(f"{namespace!r} cannot be a namespace.", "Use lower-case letters, digits and hyphens, 63 at most.")
    if SYSTEM.fullmatch(namespace):
        raise ClusterError(
            f"Namespace {namespace} belongs to the cluster itself, and a checkpoint would empty it.", "Take another, such as default."
        )
    found = _embedded() if context is None else kubeconfig.choose(context, [*kubeconfig.files(), *_own()])
    lab = _lab(found, namespace)
    kubernetes, mesh = _ask(lab, istio)
    if not quiet:
        print(f"Connected to {lab.context}: Kubernetes {kubernetes}, {mesh}; working in namespace {namespace}.")
    return lab


def _own() -> list[Path]:
    """The lab's own kubeconfig, where there is one for this user to read."""
    return [paths.KUBECONFIG] if os.access(paths.KUBECONFIG, os.R_OK) else []


def _embedded() -> Context:
    if not kubeconfig.there(paths.KUBECONFIG):
        raise ClusterError("The embedded lab is not up.", UP)
    return kubeconfig.choose(None, [paths.KUBECONFIG])


def _lab(context: Context, namespace: str) -> Lab:
    if not is_embedded(context):
        return Lab(Client(context, namespace))
    kubeconfig.by_no_proxy(context)
    # Relative to the manifests, or just as well to the notebooks: these are the folders that commands run in.
    overlay = f"-f {os.path.relpath(paths.OVERLAY, FOLDER)}"
    return Lab(Client(context, namespace, paths.BIN), overlay)


def is_embedded(context: Context) -> bool:
    """Whether this is the embedded lab: by its server and its authority, since its kubeconfig may have any path and be merged."""
    if not _own():
        return False
    own = kubeconfig.choose(None, [paths.KUBECONFIG])
    same = ("server", "certificate-authority-data")
    return all(context.cluster.get(each) == own.cluster.get(each) for each in same)


def _as_marked(lab: Lab) -> None:
    """Take over what ``meshlab up --context`` has noted on a cluster: it was set up by the course's tools, with overlays of its own."""
    if not mark.marked(lab.client):
        return
    lab.client.tools = paths.BIN
    lab.overlay = " ".join(f"-f {shlex.quote(str(_file(text)))}" for text in mark.overlays(lab.client))


def _file(text: str) -> Path:
    """A file that holds `text`, as istioctl wants it; the same one for the same text."""
    file = paths.CACHE / "overlays" / f"{hashlib.sha256(text.encode()).hexdigest()[:12]}.yaml"
    paths.make_folder(file.parent)
    if not file.exists():
        fresh = file.with_suffix(f".{os.getpid()}")
        try:
            fresh.write_text(text, encoding="utf-8")
        except OSError as error:
            raise HostError(
                f"{fresh} cannot be written: {error.strerror}.", "Make room there, or set HOME to a folder of yours."
            ) from error
        paths.give_to_user(fresh)
        fresh.rename(file)
    return file


def _as_far_as_seen(lab: Lab, needs_istio: bool) -> str:
    """What is told of the mesh to somebody whose rights end at their namespace: that its kinds are there, and of their own proxies."""
    if not any(kind.group.endswith("istio.io") for kind in configuration.kinds(lab)):  # the Gateway API's may be there without Istio
        if needs_istio:
            raise ClusterError("The cluster knows none of Istio's kinds, so there is no mesh.", "Ask whoever runs it to install Istio.")
        return "no Istio yet"
    return f"{len(proxies.meshed(lab, lab.namespace))} proxies of your own (your account may look no farther)"


def _refused(where: str, status: int, said: str) -> ClusterError:
    """What an API server's answer to the first questions means, by its status."""
    if status == 401:
        return ClusterError(f"{where} does not accept the kubeconfig's credentials (401).", "They may have expired: fetch new ones.")
    if said.lstrip().startswith("<"):
        do = "Look at the address in the kubeconfig, and at what is in between, such as a proxy or a page to log in."
        return ClusterError(f"{where} answered with a web page ({status}): {said[:200]}", do)
    if status == 403:
        do = "Ask whoever runs the cluster for the rights of a learner: book/clusters.md has them, and what can be done with them."
        return ClusterError(f"{where} knows who you are, and does not let your account look (403): {said}", do)
    if status == 404:
        return ClusterError(f"{where} has no such page as a Kubernetes API server has (404).", "Look at the address in the kubeconfig.")
    if status == 429 or status >= 500:
        return ClusterError(f"{where} is there and cannot answer now ({status}): {said}", f"Wait a moment and try again. {UP}")
    return ClusterError(f"{where} answered {status}: {said}", "Look at the address in the kubeconfig.")


@channels.kept()
def _ask(lab: Lab, needs_istio: bool) -> tuple[str, str]:
    where = lab.client.context.where
    try:
        kubernetes = lab.client.version
        if not is_embedded(lab.client.context):
            _as_marked(lab)
        if not istiod.open_to(lab.client):
            return kubernetes, _as_far_as_seen(lab, needs_istio)
        if not needs_istio and not istiod.runs(lab.client):
            return kubernetes, "no Istio yet"
        try:
            return kubernetes, f"Istio {istiod.version(lab.client)}, {len(istiod.proxies(lab.client))} proxies"
        except LabError:
            if needs_istio:
                raise
            return kubernetes, "an Istio that does not answer"
    except (ApiException, HTTPError) as error:
        if status := getattr(error, "status", 0):
            raise _refused(where, status, objects.message(error)) from error
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            raise ClusterError(
                f"{where} is not the one that the kubeconfig was made for (its certificate differs).",
                f"Stale kubeconfig. {UP}",
            ) from error
        why = objects.reason(error) if isinstance(error, HTTPError) else error.reason
        raise ClusterError(f"{where} does not answer ({why}).", f"It may be down. {UP}") from error
