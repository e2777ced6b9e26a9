"""Manifests by the name a notebook uses for them: ``NN_slug/file.yaml`` below ``manifests/``, or a file of the learner's own.

A learner's desk has a copy of ``manifests/`` beside the notebooks, to be changed: what stands there comes before the course's own.
"""

from __future__ import annotations

import difflib
import errno
import json
import os
import re
import shlex
from pathlib import Path

from lab_helpers.core import decoding, exports, text
from lab_helpers.core.errors import ManifestError
from lab_helpers.core.paths import ROOT
from lab_helpers.core.scalars import NotReadable

FOLDER = ROOT / "manifests"
HOME = "/ns/"  # what stands before the namespace in an identity

# What others point at comes first; deleting goes the other way round. A DestinationRule stands before the VirtualService
# that names its subsets, since a route to a subset that no proxy knows yet answers 503. Kinds not named here stand
# between Deployment and Gateway.
APPLY_ORDER = (
    "Namespace", "CustomResourceDefinition", "ServiceAccount", "Secret", "ConfigMap", "Role", "ClusterRole", "RoleBinding",
    "ClusterRoleBinding", "Service", "Deployment", "*", "ServiceEntry", "Sidecar", "Gateway", "DestinationRule", "VirtualService",
)  # fmt: skip


def named(given: str | os.PathLike) -> str:
    """What was given as the name of a manifest, as text.

    Raises
    ------
    ManifestError
        It is neither text nor a path.
    """
    if isinstance(given, str | os.PathLike):
        return os.fspath(given)
    do = "Write it in quotes: a CHAPTER/FILE.yaml, or the path of a file."
    if isinstance(given, list | tuple | set):
        do = "Write the names one after the other, without brackets; of a list that you have, *LIST."
    raise ManifestError(f"{given!r} is not the name of a manifest.", do)


def folders() -> list[Path]:
    """Where manifests are looked for, one folder a chapter in each: beside the notebook, if it lies in a desk, and the course's own."""
    return [each for each in (Path.cwd() / FOLDER.name, FOLDER) if each.is_dir()]


def find(name: str, root: Path | None = None) -> Path:
    """Find the manifest that a notebook calls `name`: beside the notebook, in ``manifests/`` there, then among the course's own.

    Parameters
    ----------
    name : str
        ``NN_slug/file.yaml`` (the ending may be left out), or the path of any file that exists.
    root : Path, optional
        The only folder with one folder a chapter that counts, and before all other files: `FOLDER` for what a learner may not have changed.

    Raises
    ------
    ManifestError
        No such chapter, or no such file in it; names the nearest ones. Or a file that may not be looked for.
    """
    if "\n" in name:
        raise ManifestError("That is a manifest itself, not the name of one.", "Write it into a file, and give the path of that.")
    own = Path(os.path.expanduser(name))
    try:
        beside, chosen = [own, own.with_name(f"{own.name}.yaml")] if own.name else [], folders() if root is None else [root]
        named = [path for folder in chosen for path in (folder / name, folder / f"{name}.yaml")]
        for path in (beside + named) if root is None else (named + beside):
            if path.is_file():
                return path
    except OSError as error:  # a folder that is shut, or a name of over 255 bytes
        do = "Give the path of a file." if error.errno == errno.ENAMETOOLONG else f"See who may read it: namei -l {name}"
        raise ManifestError(f"{name} cannot be read: {error.strerror}.", do) from error
    _require_file(name, own)
    root = root or FOLDER
    chapter, _, file = name.partition("/")
    chapters = sorted(path.name for path in root.glob("*/"))
    if not file:
        if name in chapters:
            raise ManifestError(
                f"{name} is a chapter, not a manifest.", f"Name one of its files: {', '.join(chapter_manifests(name, root))}."
            )
        raise ManifestError(f"There is no manifest {name!r}.", "Name it as CHAPTER/FILE.yaml, or give the path of a file of your own.")
    if chapter not in chapters:
        raise ManifestError(f"There is no chapter {chapter!r} among the manifests, and no file {name}.", _nearest(chapter, chapters))
    files = sorted(path.name for path in (root / chapter).glob("*.yaml"))
    raise ManifestError(f"Chapter {chapter} has no manifest {file!r}.", _nearest(file, files))


def _require_file(name: str, own: Path) -> None:
    """Refuse what can be no name of a manifest of the course's, and is no file either."""
    if re.match(r"[a-z]+://", name):
        raise ManifestError(f"{name} is an address, not a file.", "Fetch it into a file, read it, and give the path of that.")
    if own.name and os.path.isdir(own):
        raise ManifestError(f"{name} is a folder.", "Name a file in it, or several one after the other.")
    if own.is_absolute() or name.startswith((".", "~")) and own.name:
        raise ManifestError(f"There is no file {name}.", f"Look what there is: ls {shlex.quote(str(own.parent))}")


def place(name: str) -> Path | None:
    """Where a manifest stands below ``manifests/``, the course's or a desk's; None where it stands elsewhere."""
    found = find(name).absolute()
    return next((found.relative_to(folder) for folder in folders() if found.is_relative_to(folder)), None)


def beside(name: str) -> str:
    """Its path from the notebook's folder; empty for a manifest that does not lie in there."""
    found = find(name).absolute()
    return found.relative_to(Path.cwd()).as_posix() if found.is_relative_to(Path.cwd()) else ""


def of_the_course(name: str) -> bool:
    """Whether `name` means a manifest as the course has it, be it in a learner's copy."""
    at = place(name)
    return at is not None and (FOLDER / at).is_file() and (FOLDER / at).read_bytes() == find(name).read_bytes()


def load(name: str, root: Path | None = None) -> list[dict]:
    """Read all objects of one manifest, in the order of the file, as kubectl reads them; what it loses in silence is refused.

    Lists, such as ``kubectl get -o yaml`` writes them, are taken apart, and what only the API server writes is left out.

    Returns
    -------
    list of dict
        At least one; each has ``apiVersion``, ``kind`` and ``metadata.name``.

    Raises
    ------
    ManifestError
        Not found, not UTF-8 or UTF-16, not YAML (with line and column), a key twice, empty, or an object without one of the three.
    """
    content = text.read(find(name, root), name)
    try:
        documents = [document for document in decoding.documents(content) if document is not None]
    except NotReadable as error:
        where = f" at line {error.line}, column {error.column}" if error.line else ""
        raise ManifestError(f"{name} is not valid YAML{where}: {error.problem}.", "Correct that line.") from error
    found = [each for number, document in enumerate(documents, 1) for each in exports.objects(document, f"Document {number}")]
    if not found:
        raise ManifestError(f"{name} holds no object.", "A manifest has at least one document with apiVersion, kind and metadata.name.")
    for what, each in found:
        if wrong := _wrong_fields(each):
            raise ManifestError(f"{what} of {name} {wrong}.", "Every Kubernetes object needs apiVersion, kind and metadata.name.")
    return [each for _, each in found]


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


def of_namespace(document: dict, namespace: str) -> dict:
    """`document` with identities of the namespace ``default`` as ones of `namespace`, if it is an AuthorizationPolicy.

    ``principals`` name a namespace, unlike nearly all else in a manifest, and each learner's is another.
    """
    return _moved(document, f"{HOME}{namespace}/") if document["kind"] == "AuthorizationPolicy" else document


def _moved(value, namespace: str):
    if isinstance(value, dict):
        return {name: _moved(each, namespace) for name, each in value.items()}
    if isinstance(value, list):
        return [_moved(each, namespace) for each in value]
    return value.replace(f"{HOME}default/", namespace) if isinstance(value, str) else value


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


def _wrong_fields(document) -> str:
    """What keeps an object from being sent at all; whatever else may be wrong, the API server says."""
    if not isinstance(document, dict):
        return f"has no apiVersion, kind and metadata.name: it is {_called(document)}"
    metadata = document.get("metadata")
    if not isinstance(metadata, dict | None):
        return f"has no metadata.name: metadata is {_called(metadata)}, not a mapping"
    have = {"apiVersion": document.get("apiVersion"), "kind": document.get("kind"), "metadata.name": (metadata or {}).get("name")}
    if missing := [field for field, value in have.items() if value in (None, "", [], {})]:
        return f"has no {' and no '.join(missing)}"
    for field, value in have.items():
        if not isinstance(value, str) and (field != "metadata.name" or isinstance(value, dict | list)):
            return f"has {_called(value)} as its {field}, not text"
    return ""


def _called(value) -> str:
    """How a sentence names a value of another type than it should be."""
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    return f"only {json.dumps(value, ensure_ascii=False)}"


def _nearest(wrong: str, known: list[str]) -> str:
    close = difflib.get_close_matches(wrong, known, n=3, cutoff=0.5)
    return f"Did you mean {' or '.join(close)}?" if close else f"There are: {', '.join(known) or 'none'}."
