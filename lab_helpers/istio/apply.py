"""Apply, delete and compare manifests; each returns when the mesh has followed."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from lab_helpers.core import text
from lab_helpers.core.errors import ManifestError
from lab_helpers.core.manifests import FOLDER, HOME, beside, find, load, named, of_namespace, of_the_course, place, title
from lab_helpers.istio import analysis, converge, gateway, istiod, proxies, told
from lab_helpers.kube import channels, objects, rollout
from lab_helpers.kube.apply import Manifest, Outcome, put, refused, take
from lab_helpers.kube.client import FIELD_MANAGER
from lab_helpers.kube.kinds import Kind

ROOT = istiod.ROOT
MADE_HERE = {"app.kubernetes.io/managed-by": FIELD_MANAGER}


@channels.kept()
def apply(lab, *manifests: str | os.PathLike) -> Outcome:
    """Server-side apply manifests and wait: for Deployments to roll out, for every proxy to run the configuration.

    Raises
    ------
    ManifestError
        Not found, malformed, or refused by the API server or by Istio's validation, in its own words.
    ClusterError
        The cluster is not marked as one for the course.
    MeshError
        The mesh did not follow in time; names what lags.
    """
    manifests = _named(manifests)
    written, documents = _as_written(manifests), _labelled(load_for(lab, manifests))
    configuration = [each for each in documents if _configures(each)]
    watched = told.before(lab, configuration)
    try:
        done = write(lab, documents, _line(lab, "apply --server-side", manifests))
    except ManifestError as error:
        raise refused.explained(lab.client, error, {each.name: each.text for each in written}) from error
    # It takes a second, and of the course's own manifests chapters tell themselves what is to be told.
    # Whose rights end at their namespace, they have none to look with: it reads the whole cluster.
    own = configuration and not all(map(of_the_course, manifests)) and istiod.open_to(lab.client)
    changes = analysis.noted(lab, done.changes, configuration) if own else done.changes
    return replace(done, changes=changes, manifests=written, told=told.since(lab, watched))


@channels.kept()
def delete(lab, *manifests: str | os.PathLike) -> Outcome:
    """Delete the objects of manifests, last first, and wait until they are gone and every proxy has forgotten them."""
    manifests = _named(manifests)
    documents = load_for(lab, manifests)
    watched = told.before(lab, [each for each in documents if _configures(each)])
    done = erase(lab, documents, _line(lab, "delete --ignore-not-found", manifests))
    return replace(done, told=told.since(lab, watched))


def diff(lab, *manifests: str | os.PathLike) -> Outcome:
    """Say what `apply` would change, by a dry run on the API server; nothing is changed."""
    manifests = _named(manifests)
    written = _as_written(manifests)
    try:
        done = put(lab.client, _labelled(load_for(lab, manifests)), dry_run=True)
    except ManifestError as error:
        raise refused.explained(lab.client, error, {each.name: each.text for each in written}) from error
    also = [f"what kubectl apply has put into {change.what} and the file no longer has goes, too, and is not shown here"
            for change, new in done if objects.applied_by_kubectl(new)]  # fmt: skip
    command, changes = _line(lab, "diff --server-side", manifests), [change for change, _ in done]
    return Outcome(command, changes, warnings=also, manifests=written)


def made_here(document: dict) -> bool:
    """Whether `apply` has put an object into Istio's root namespace: for the whole mesh, and for as long as a chapter lasts."""
    metadata = document["metadata"]
    managers = {each.get("manager") for each in metadata.get("managedFields") or []}
    return MADE_HERE.items() <= (metadata.get("labels") or {}).items() and FIELD_MANAGER in managers


def _named(manifests: Iterable[str | os.PathLike]) -> list[str]:
    found = [named(each) for each in manifests]
    if not found:
        raise ManifestError("No manifest was named.", "Name at least one: a CHAPTER/FILE.yaml, or the path of a file.")
    return found


def _as_written(names: list[str]) -> list[Manifest]:
    return [Manifest(_file(name), text.read(find(name), name), [title(each) for each in load(name)], beside(name)) for name in names]


def _file(name: str) -> str:
    return name if name.endswith((".yaml", ".yml")) or "/" not in name else f"{name}.yaml"


def _from_here(name: str) -> str:
    """What a terminal calls it, beside ``manifests/``: there one opens, in a desk."""
    at = place(name)
    return str(FOLDER.name / at) if at else _file(name)


def _labelled(documents: list[dict]) -> list[dict]:
    """The documents, those for Istio's root namespace with a label by which `made_here` knows them again."""
    return [_with_label(each) if each["metadata"].get("namespace") == ROOT else each for each in documents]


def _with_label(document: dict) -> dict:
    metadata = document["metadata"]
    return {**document, "metadata": {**metadata, "labels": {**(metadata.get("labels") or {}), **MADE_HERE}}}


def load_for(lab, names: Iterable[str], root: Path | None = None) -> list[dict]:
    """Read manifests as this lab applies them; see `find`.

    Its own host stands where one claims every host of the shared gateway, and in those of the course its own namespace, where an identity
    is one of ``default``.
    """
    read = [_here(lab, name, document) for name in names for document in load(name, root)]
    return [gateway.claiming(each, gateway.host(lab)) for each in read] if gateway.host(lab) else read


def _here(lab, name: str, document: dict) -> dict:
    return of_namespace(document, lab.namespace) if place(name) else document


@channels.kept()
def write(lab, documents: list[dict], command: str = "") -> Outcome:
    """`apply` for objects at hand."""
    since = converge.before(lab)
    done = put(lab.client, documents)
    start = time.monotonic()
    rolling: dict[str, list[str]] = {}  # by the namespace that a manifest names itself, or else the lab's
    for each in (document["metadata"] for document in documents if document["kind"] == "Deployment"):
        rolling.setdefault(each.get("namespace") or lab.namespace, []).append(each["name"])
    for namespace, names in rolling.items():  # also where nothing changed: the pods of an earlier apply may still be starting
        rollout.complete(lab.client, names, namespace)
    changes, written = [change for change, _ in done], [new for change, new in done if change.action != "unchanged"]
    if not written:
        return Outcome(command, changes)
    count = _followed(lab, since, [each for each in written if _configures(each)], [])
    seconds = time.monotonic() - start
    if own := rolling.get(lab.namespace):
        proxies.reachable(lab, own)
        seconds = time.monotonic() - start
    return Outcome(command, changes, count, seconds, converge.refused_elsewhere(lab))


@channels.kept()
def erase(lab, documents: list[dict], command: str = "", orphan: bool = False) -> Outcome:
    """`delete` for objects at hand; with `orphan`, what belongs to them is left to the caller."""
    since = converge.before(lab)
    start = time.monotonic()
    done = take(lab.client, documents, orphan)
    changes, gone = [change for change, _ in done], [old for _, old in done if old]
    if not gone:
        return Outcome(command, changes)
    count = _followed(lab, since, [], [each for each in gone if _configures(each) or each["kind"] == "Service"])
    return Outcome(command, changes, count, time.monotonic() - start, converge.refused_elsewhere(lab))


def _followed(lab, since: converge.Before, written: list[dict], deleted: list[dict]) -> int:
    return converge.converged(lab, since, written, deleted) if written or deleted else converge.settled(lab)


def _configures(document: dict) -> bool:
    """Whether an object is configuration that istiod keeps in its store."""
    group = Kind.of(document).group
    return group.endswith("istio.io") or group == "gateway.networking.k8s.io"


def _line(lab, verb: str, names: Iterable[str]) -> str:
    """The line for a terminal; what stands for this learner instead of what the file says is put in first."""
    shown = [_quoted(_from_here(name)) for name in names]
    read = [document for name in names for document in load(name)]
    changed = [each for each, claimed in zip(read, load_for(lab, names), strict=True) if each != claimed]
    if verb.startswith("delete"):  # by their names, to which it is all the same who may call
        changed = [each for each in changed if not _identifies(lab, each)]
    if not changed:
        return f"kubectl {verb} {' '.join(f'-f {name}' for name in shown)}"
    rest = [each for each in changed if not _identifies(lab, each) and not gateway.own(each)]
    starred = [line for name in names for line in text.read(find(name), name).splitlines() if '"*"' in line]
    only = "/hosts:/" if 0 < sum("hosts:" in line for line in starred) < len(starred) else ""  # a "*" elsewhere is no host
    edits = [f'{only}s/"\\*"/{gateway.host(lab)}/'] if rest else []
    edits += [f"s/istio: {label}/istio: {label}-{lab.namespace}/" for label in sorted(set().union(*map(gateway.labels, changed)))]
    edits += [f"s#{HOME}default/#{HOME}{lab.namespace}/#"] if any(_identifies(lab, each) for each in changed) else []
    quoted = [f"'{each}'" for each in edits]
    sed = f"sed {' '.join(quoted if len(quoted) == 1 else (f'-e {each}' for each in quoted))}"
    # Of several files sed would make one, with nothing between their objects.
    edited = f"{sed} {shown[0]}" if len(shown) == 1 else f'for file in {" ".join(shown)}; do {sed} "$file"; echo ---; done'
    return f"{edited} | kubectl {verb} -f -"


def _quoted(name: str) -> str:
    """A path as a shell takes it for one word; what stands for somebody's home it has to put in itself."""
    home, slash, rest = name.partition("/")
    return f"{home}/{shlex.quote(rest)}" if home.startswith("~") and slash else shlex.quote(name)


def _identifies(lab, document: dict) -> bool:
    """Whether a manifest of the course names an identity of the learner's namespace."""
    return of_namespace(document, lab.namespace) != document
