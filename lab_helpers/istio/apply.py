"""Apply, delete and compare manifests; each returns when the mesh has followed."""

from __future__ import annotations

import difflib
import time
from collections.abc import Iterable
from dataclasses import dataclass

import yaml

from lab_helpers.core.manifests import in_apply_order, in_delete_order, load, title
from lab_helpers.mesh import channels, converge, gateway, objects, rollout, wait

# What the API server and controllers fill in: never part of what a person wrote.
BOOKKEEPING = ("managedFields", "resourceVersion", "uid", "creationTimestamp", "generation", "selfLink", "namespace")


@dataclass(frozen=True)
class Change:
    """What happened to one object.

    Attributes
    ----------
    what : str
        ``Deployment reviews-v1``.
    action : str
        ``created``, ``configured``, ``unchanged``, ``deleted`` or ``absent``, kubectl's own words.
    diff : str
        Unified diff of its YAML, empty unless ``configured``.
    """

    what: str
    action: str
    diff: str = ""


@dataclass(frozen=True)
class Outcome:
    """What an apply or delete did, and how long the mesh took to follow.

    Attributes
    ----------
    command : str
        The line that does the same in a terminal.
    changes : list of Change
    proxies : int
        Proxies that run the result; 0 where there was nothing to follow.
    seconds : float
        From the API server's answer to the last proxy (pods included, where there are any to start).
    """

    command: str
    changes: list[Change]
    proxies: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        lines = [f"{change.what} {change.action}" for change in self.changes]
        return "\n".join([f"$ {self.command}", *lines, *([self.effect] if self.effect else [])])

    @property
    def effect(self) -> str:
        """One line on the time to effect, empty where nothing changed."""
        return f"in effect on all {self.proxies} proxies after {self.seconds:.2f} s" if self.proxies else ""


def apply(lab, *names: str) -> Outcome:
    """Server-side apply manifests and wait: for Deployments to roll out, for every proxy to run the configuration.

    Raises
    ------
    ManifestError
        Not found, malformed, or refused by the API server or by Istio's validation, in its own words.
    MeshError
        The mesh did not follow in time; names what lags.
    """
    return write(lab, load_for(lab, names), _line(lab, "apply --server-side", names))


def delete(lab, *names: str) -> Outcome:
    """Delete the objects of manifests, last first, and wait until they are gone and every proxy has forgotten them."""
    return erase(lab, load_for(lab, names), _line(lab, "delete --ignore-not-found", names))


def diff(lab, *names: str) -> Outcome:
    """Say what `apply` would change, by a dry run on the API server; nothing is changed."""
    changes = []
    for document in in_apply_order(load_for(lab, names)):
        with objects.sentences(title(document)):
            old = objects.read(lab.client, document, lab.namespace)
        changes.append(_change(document, old, objects.write(lab.client, document, lab.namespace, dry_run=True)))
    return Outcome(_line(lab, "diff --server-side", names), changes)


def load_for(lab, names: Iterable[str]) -> list[dict]:
    """Read manifests as this lab applies them: its own host stands where one claims every host of the shared gateway."""
    read = [document for name in names for document in load(name)]
    return [gateway.claiming(each, gateway.host(lab)) for each in read] if gateway.host(lab) else read


@channels.kept()
def erase(lab, documents: list[dict], command: str = "", orphan: bool = False) -> Outcome:
    """`delete` for objects at hand; with `orphan`, what belongs to them is left to the caller."""
    since, start, changes, gone = converge.before(lab), 0.0, [], []
    for document in in_delete_order(documents):
        with objects.sentences(f"Deleting {title(document)}"):
            old = objects.read(lab.client, document, lab.namespace)
            if old:
                start, _ = time.monotonic(), objects.remove(lab.client, document, lab.namespace, orphan)
                gone.append(old)
        changes.append(Change(title(document), "deleted" if old else "absent"))
    if not gone:
        return Outcome(command, changes)
    wait.until_none(
        lambda: [title(each) for each in gone if _still(lab, each)],
        "objects to be deleted",
        "A finalizer may hold them: kubectl describe.",
        60,
    )
    return Outcome(command, changes, *_followed(lab, since, start, [], [each for each in gone if _configures(each)]))


@channels.kept()
def write(lab, documents: list[dict], command: str = "") -> Outcome:
    """`apply` for objects at hand."""
    since, start, changes, written = converge.before(lab), 0.0, [], []
    for document in in_apply_order(documents):
        with objects.sentences(title(document)):
            old = objects.read(lab.client, document, lab.namespace)
        new = objects.write(lab.client, document, lab.namespace)
        changes.append(_change(document, old, new))
        if changes[-1].action != "unchanged":
            start, _ = time.monotonic(), written.append(new)
    deployments = [each["metadata"]["name"] for each in documents if each["kind"] == "Deployment"]
    if deployments:  # also where nothing changed: the pods of an earlier apply may still be starting
        rollout.complete(lab, deployments)
    if not written:
        return Outcome(command, changes)
    proxies, seconds = _followed(lab, since, start, [each for each in written if _configures(each)], [])
    if deployments:
        rollout.reachable(lab, deployments)
        seconds = time.monotonic() - start
    return Outcome(command, changes, proxies, seconds)


def _followed(lab, since: converge.Before, start: float, written: list[dict], deleted: list[dict]) -> tuple[int, float]:
    proxies = converge.converged(lab, since, written, deleted) if written or deleted else converge.settled(lab)
    return proxies, time.monotonic() - start


def _change(document: dict, old: dict | None, new: dict) -> Change:
    if old is None:
        return Change(title(document), "created")
    before, after = _readable(old), _readable(new)
    if before == after:
        return Change(title(document), "unchanged")
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), "before", "after", lineterm="", n=2)
    return Change(title(document), "configured", "\n".join(lines))


def _readable(document: dict) -> str:
    metadata = {field: value for field, value in document["metadata"].items() if field not in BOOKKEEPING}
    kept = {"apiVersion": document.get("apiVersion"), "kind": document.get("kind"), "metadata": metadata}
    rest = {field: value for field, value in document.items() if field not in kept and field != "status"}
    return yaml.safe_dump({**kept, **rest}, sort_keys=False, allow_unicode=True)


def _configures(document: dict) -> bool:
    """Whether an object is configuration that istiod keeps in its store."""
    group = document["apiVersion"].partition("/")[0]
    return group.endswith("istio.io") or group == "gateway.networking.k8s.io"


def _still(lab, document: dict) -> bool:
    now = objects.read(lab.client, document, lab.namespace)
    return now is not None and now["metadata"]["uid"] == document["metadata"]["uid"]


def _line(lab, verb: str, names: tuple[str, ...]) -> str:
    """The line for a terminal; where manifests claim the gateway's every host, the lab's own host is put in first."""
    shown = [name if name.endswith((".yaml", ".yml")) or "/" not in name else f"{name}.yaml" for name in names]
    if [each for name in names for each in load(name)] == load_for(lab, names):
        return f"kubectl {verb} {' '.join(f'-f {name}' for name in shown)}"
    return f"sed 's/\"\\*\"/{gateway.host(lab)}/' {' '.join(shown)} | kubectl {verb} -f -"
