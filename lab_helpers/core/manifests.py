"""Manifests by the name a notebook uses for them: ``NN_slug/file.yaml`` below ``manifests/``, or a file of the learner's own."""

from __future__ import annotations

import difflib
from pathlib import Path

import yaml

from lab_helpers.core.errors import ManifestError
from lab_helpers.core.paths import ROOT

FOLDER = ROOT / "manifests"

# What others point at comes first; deleting goes the other way round. A DestinationRule stands before the VirtualService
# that names its subsets, since a route to a subset that no proxy knows yet answers 503. Kinds not named here stand
# between Deployment and Gateway.
APPLY_ORDER = (
    "Namespace", "CustomResourceDefinition", "ServiceAccount", "Secret", "ConfigMap", "Role", "ClusterRole", "RoleBinding",
    "ClusterRoleBinding", "Service", "Deployment", "*", "ServiceEntry", "Sidecar", "Gateway", "DestinationRule", "VirtualService",
)  # fmt: skip


def find(name: str, root: Path = FOLDER) -> Path:
    """Find the manifest that a notebook calls `name`.

    Parameters
    ----------
    name : str
        ``NN_slug/file.yaml`` (the ending may be left out), or the path of any file that exists.
    root : Path
        The folder that holds one folder a chapter.

    Raises
    ------
    ManifestError
        No such chapter, or no such file in it; names the nearest ones.
    """
    for path in (root / name, root / f"{name}.yaml", Path(name).expanduser()):
        if path.is_file():
            return path
    chapter, _, file = name.partition("/")
    if not file:
        raise ManifestError(f"There is no manifest {name!r}.", "Name it as CHAPTER/FILE.yaml, or give the path of a file of your own.")
    chapters = sorted(path.name for path in root.glob("*/"))
    if chapter not in chapters:
        raise ManifestError(f"There is no chapter {chapter!r} among the manifests.", _nearest(chapter, chapters))
    files = sorted(path.name for path in (root / chapter).glob("*.yaml"))
    raise ManifestError(f"Chapter {chapter} has no manifest {file!r}.", _nearest(file, files))


def load(name: str, root: Path = FOLDER) -> list[dict]:
    """Read all objects of one manifest, in the order of the file.

    Returns
    -------
    list of dict
        At least one; each has ``apiVersion``, ``kind`` and ``metadata.name``.

    Raises
    ------
    ManifestError
        Not found, not YAML (with line and column), empty, or a document without one of the three.
    """
    path = find(name, root)
    try:
        documents = [document for document in yaml.safe_load_all(path.read_text()) if document is not None]
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ManifestError(
            f"{name} is not valid YAML{where}: {getattr(error, 'problem', None) or error}.", "Correct that line."
        ) from error
    if not documents:
        raise ManifestError(f"{name} holds no object.", "A manifest has at least one document with apiVersion, kind and metadata.name.")
    for number, document in enumerate(documents, 1):
        missing = _missing_fields(document)
        if missing:
            raise ManifestError(f"Document {number} of {name} has no {missing}.", "Every Kubernetes object needs it.")
    return documents


def chapters(root: Path = FOLDER) -> list[str]:
    """Stems of all chapters that have manifests, in order."""
    return sorted(path.name for path in root.glob("[0-9][0-9]_*/"))


def chapter_manifests(stem: str, root: Path = FOLDER) -> list[str]:
    """Names of all manifests of one chapter, in the order in which the chapter applies them.

    Raises
    ------
    ManifestError
        The chapter has no folder of manifests.
    """
    if stem not in chapters(root):
        raise ManifestError(f"There is no chapter {stem!r} among the manifests.", _nearest(stem, chapters(root)))
    return [f"{stem}/{path.name}" for path in sorted((root / stem).glob("*.yaml"))]


def in_apply_order(objects: list[dict]) -> list[dict]:
    """Sort objects so that each comes after what it points at; objects of one kind keep their order."""
    rank = {kind: number for number, kind in enumerate(APPLY_ORDER)}
    return sorted(objects, key=lambda each: rank.get(each["kind"], rank["*"]))


def in_delete_order(objects: list[dict]) -> list[dict]:
    """The reverse of `in_apply_order`."""
    return in_apply_order(objects)[::-1]


def title(document: dict) -> str:
    """How a person names an object: ``Deployment reviews-v1``."""
    return f"{document['kind']} {document['metadata']['name']}"


def _missing_fields(document) -> str:
    if not isinstance(document, dict):
        return "apiVersion, kind and metadata.name"
    name = (document.get("metadata") or {}).get("name") if isinstance(document.get("metadata"), dict | None) else None
    have = {"apiVersion": document.get("apiVersion"), "kind": document.get("kind"), "metadata.name": name}
    return " and no ".join(field for field, value in have.items() if not value)


def _nearest(wrong: str, known: list[str]) -> str:
    close = difflib.get_close_matches(wrong, known, n=3, cutoff=0.5)
    return f"Did you mean {' or '.join(close)}?" if close else f"There are: {', '.join(known) or 'none'}."
