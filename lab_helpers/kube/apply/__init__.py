"""What happens to objects: applied and deleted one after the other, each change told as kubectl tells it."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field, replace

import yaml

from lab_helpers.core.exports import SERVER_OWNED
from lab_helpers.core.manifests import in_apply_order, in_delete_order, title
from lab_helpers.core.wait import wait_until_none
from lab_helpers.kube import objects
from lab_helpers.kube.client import Client

BOOKKEEPING = (*SERVER_OWNED, "namespace")  # filled in where the object is stored: never part of what a person wrote
GONE = 60.0  # seconds for what is deleted to be gone


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
    warnings : tuple of str
        What the API server, a webhook or ``istioctl analyze`` says against it, although it was taken.
    """

    what: str
    action: str
    diff: str = ""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Manifest:
    """A file that was applied, as it was written.

    Attributes
    ----------
    name : str
        By which it was named.
    text : str
    objects : list of str
        What is in it, each as ``Deployment reviews-v1``.
    beside : str
        Its path from the notebook's folder, if it lies in there.
    """

    name: str
    text: str
    objects: list[str]
    beside: str = ""


@dataclass(frozen=True)
class Told:
    """What one proxy has been told.

    Attributes
    ----------
    proxy : str
        Its workload's name, as ``client-v1``.
    differences : dict of str to list of str
        By what istioctl proxy-config calls the type: lines that begin by what they belong to, or by ``+``, ``-`` or ``~``.
    command : str
        The line that shows all of it.
    """

    proxy: str
    differences: dict[str, list[str]]
    command: str


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
    warnings : list of str
        What may get in the way, and is not of this change.
    manifests : list of Manifest
        The files that said so, if it was files.
    told : Told, optional
        What came of it for a proxy.
    """

    command: str
    changes: list[Change]
    proxies: int = 0
    seconds: float = 0.0
    warnings: list[str] = field(default_factory=list)
    manifests: list[Manifest] = field(default_factory=list)
    told: Told | None = None

    def __str__(self) -> str:
        told = [[f"{each.what} {each.action}", *(f"warning: {warning}" for warning in each.warnings)] for each in self.changes]
        lines = [line for lines in told for line in lines]
        beware = [f"beware: {each}" for each in self.warnings]
        return "\n".join([f"$ {self.command}", *lines, *([self.effect] if self.effect else []), *beware])

    @property
    def effect(self) -> str:
        """One line on the time to effect, empty where nothing changed."""
        return f"in effect on all {self.proxies} proxies after {self.seconds:.2f} s" if self.proxies else ""


def put(client: Client, documents: list[dict], dry_run: bool = False) -> list[tuple[Change, dict]]:
    """Server-side apply objects, those first that others point at.

    Returns
    -------
    list of (Change, dict)
        What happened to each, and how the API server has it now; in the order in which they were applied.
    """
    done = []
    for document in in_apply_order(documents):
        with objects.sentences(title(document)):
            old = objects.read(client, document)
            if old and not dry_run:
                objects.hand_over(client, old)
        said: list[str] = []
        new = objects.write(client, document, dry_run, said.append)
        done.append((replace(_change(old, new), warnings=tuple(said)), new))
    return done


def take(client: Client, documents: list[dict], orphan: bool = False) -> list[tuple[Change, dict | None]]:
    """Delete objects, those last that others point at, and wait until they are gone.

    Returns
    -------
    list of (Change, dict or None)
        What happened to each, and what it was; None where there was none.
    """
    done = []
    for document in in_delete_order(documents):
        with objects.sentences(f"Deleting {title(document)}"):
            old = objects.read(client, document)
            if old:
                objects.remove(client, document, orphan)
        done.append((Change(title(document), "deleted" if old else "absent"), old))
    gone = [old for _, old in done if old]
    do = "A finalizer may hold them: kubectl describe."
    wait_until_none(lambda: [title(each) for each in gone if _still(client, each)], "objects to be deleted", do, GONE, 0.05)
    return done


def _change(old: dict | None, new: dict) -> Change:
    if old is None:
        return Change(title(new), "created")
    before, after = _readable(old), _readable(new)
    if before == after:
        return Change(title(new), "unchanged")
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), "before", "after", lineterm="", n=2)
    return Change(title(new), "configured", "\n".join(lines))


def _readable(document: dict) -> str:
    metadata = {field: value for field, value in document["metadata"].items() if field not in BOOKKEEPING}
    kept = {"apiVersion": document.get("apiVersion"), "kind": document.get("kind"), "metadata": metadata}
    rest = {field: value for field, value in document.items() if field not in kept and field != "status"}
    return yaml.safe_dump({**kept, **rest}, sort_keys=False, allow_unicode=True)


def _still(client: Client, document: dict) -> bool:
    now = objects.read(client, document)
    return now is not None and now["metadata"]["uid"] == document["metadata"]["uid"]
