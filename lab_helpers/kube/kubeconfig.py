"""Which cluster, and as whom: kubeconfig files read and merged as kubectl does.

The official client has a merger as well; it takes the *last* file's current context, where kubectl takes the first
(client-go, ``tools/clientcmd/loader.go``).
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from lab_helpers.core import decoding, paths, text
from lab_helpers.core.errors import ClusterError
from lab_helpers.core.scalars import NotReadable

ENTRIES = {"clusters": "cluster", "contexts": "context", "users": "user"}
# The fields that name files, which count from the folder of the kubeconfig that names them.
FILES = {"clusters": ("certificate-authority",), "users": ("client-certificate", "client-key", "tokenFile")}
# The fields that are not text.
OTHER_TYPES = {"insecure-skip-tls-verify": bool, "disable-compression": bool, "extensions": list, "as-groups": list,
               "as-user-extra": dict, "auth-provider": dict, "exec": dict}  # fmt: skip
FRESH = "Fetch the kubeconfig anew."


@dataclass(frozen=True)
class Context:
    """One context of the kubeconfig, and what it points at.

    Attributes
    ----------
    name : str
    cluster, user : dict
        As in the kubeconfig; paths of files are absolute.
    variable : str
        The value of ``KUBECONFIG`` with which kubectl reads the same.
    """

    name: str
    cluster: dict
    user: dict = field(repr=False)
    variable: str

    @property
    def server(self) -> str:
        """Address of the API server."""
        return self.cluster["server"]

    @property
    def where(self) -> str:
        """How a sentence names it."""
        return f"The cluster of context {self.name} at {self.server}"


def files() -> list[Path]:
    """The files that kubectl would read: those of ``$KUBECONFIG``, or else ``~/.kube/config``."""
    # By os.path, since that of a user who does not exist (~nobody/config) Path refuses to expand.
    named = [Path(os.path.expanduser(each)) for each in os.environ.get("KUBECONFIG", "").split(os.pathsep) if each]
    return named or [paths.HOME / ".kube" / "config"]


def there(path: Path) -> bool:
    """Whether there is a file, or something that keeps one from looking: then to read it says what."""
    try:
        return path.exists()
    except OSError:
        return True


def by_no_proxy(context: Context) -> None:
    """Have nobody in this process, or started by it, ask a proxy for the way to a cluster: whose node is on this machine, say."""
    host = urlsplit(context.server).hostname or ""
    for name in ("NO_PROXY", "no_proxy"):
        os.environ[name] = ",".join(dict.fromkeys([*filter(None, os.environ.get(name, "").split(",")), host]))


def choose(name: str | None, candidates: Iterable[Path]) -> Context:
    """Find a context in kubeconfig files.

    Parameters
    ----------
    name : str or None
        Without it, the current context.
    candidates : iterable of Path
        In kubectl's order: whatever the first of them says stands. Files that do not exist are left out.

    Raises
    ------
    ClusterError
        No file, none that is a kubeconfig, no such context, or one that is not complete; names what there is.
    """
    candidates = list(candidates)
    found = [path for path in candidates if there(path)]
    if not found:
        raise ClusterError(f"There is no kubeconfig: {', '.join(map(str, candidates))} does not exist.", "Set KUBECONFIG to yours.")
    merged = merge(found)
    known = f"There are: {', '.join(merged['contexts'])}."
    if not merged["contexts"]:
        known = f"None is in {', '.join(map(str, found))}: set KUBECONFIG to yours."
    name = name or merged["current-context"]
    if not name:
        raise ClusterError("The kubeconfig has no current context.", f"Name one. {known}")
    if name not in merged["contexts"]:
        raise ClusterError(f"No kubeconfig has a context {name!r}.", known)
    context = merged["contexts"][name]
    cluster = merged["clusters"].get(context.get("cluster"))
    if not (cluster or {}).get("server"):
        raise ClusterError(f"Context {name} names the cluster {context.get('cluster')!r}, of which no server is known.", FRESH)
    user = merged["users"].get(context.get("user"))
    if user is None and context.get("user"):
        raise ClusterError(f"Context {name} names the user {context['user']!r}, who is in no kubeconfig.", FRESH)
    return Context(name, cluster, user or {}, os.pathsep.join(str(path.absolute()) for path in found))


def merge(candidates: Iterable[Path]) -> dict:
    """Merge kubeconfig files: of an entry that several have, and of the current context, the first one counts, whole.

    Returns
    -------
    dict
        ``clusters``, ``contexts`` and ``users``, each by name, and ``current-context`` (empty where there is none).

    Raises
    ------
    ClusterError
        One of them is a folder, cannot be read, or is not a kubeconfig.
    """
    merged: dict = {**{kind: {} for kind in ENTRIES}, "current-context": ""}
    for path in candidates:
        config = _read(path)
        merged["current-context"] = merged["current-context"] or config.get("current-context") or ""
        for kind, inner in ENTRIES.items():
            for entry in config.get(kind) or []:
                value = {name: given for name, given in (entry[inner] or {}).items() if given is not None}
                for field_ in FILES.get(kind, ()):
                    if value.get(field_):
                        value[field_] = str(path.parent.absolute() / value[field_])
                if os.sep in (value.get("exec") or {}).get("command", ""):  # without a slash it is looked for on PATH
                    value["exec"] = {**value["exec"], "command": str(path.parent.absolute() / value["exec"]["command"])}
                merged[kind].setdefault(entry["name"], value)
    return merged


def _require_text(path: Path, whose: str, entry: dict) -> None:
    """Refuse a value of another type than kubectl wants: a password of digits only, say, which is a number unless it is quoted."""
    for name, value in entry.items():
        wanted = OTHER_TYPES.get(name, str)
        if value is not None and not isinstance(value, wanted):
            called = {str: "text", bool: "true or false", list: "a list", dict: "a mapping"}[wanted]
            do = "Put it into quotes." if wanted is str and not isinstance(value, list | dict) else FRESH
            raise ClusterError(f"{path} is not a kubeconfig: {name} of {whose} is not {called}.", do)


def _entries(found, inner: str) -> bool:
    """Whether a kind of entries is there as kubectl writes it, or not at all."""
    if not isinstance(found, list | None):
        return False
    named = [each for each in found or [] if isinstance(each, dict) and isinstance(each.get("name"), str) and inner in each]
    return len(named) == len(found or []) and all(isinstance(each[inner], dict | None) for each in named)


def _read(path: Path) -> dict:
    try:
        documents = decoding.documents(text.decode(path.read_bytes(), f"{path} is not a kubeconfig: it", ClusterError))
        config, *more = [each for each in documents if each is not None] or [{}]  # an empty file is one that says nothing
        if more:
            what = f"{path} holds {len(more) + 1} documents, and kubectl reads only the first."
            raise ClusterError(what, "Make a file of each, and name all of them in KUBECONFIG.")
        if not isinstance(config, dict):
            raise ClusterError(f"{path} is not a kubeconfig: it holds {'a list' if isinstance(config, list) else 'only text'}.", FRESH)
        for kind, inner in ENTRIES.items():
            if not _entries(config.get(kind), inner):
                what = f"{path} is not a kubeconfig: {kind} is not a list of entries with a name, which is text, and a {inner}."
                raise ClusterError(what, f"{FRESH} A name such as 12 or y has to stand in quotes.")
            for each in config.get(kind) or []:
                _require_text(path, f"{inner} {each['name']}", each[inner] or {})
        return config
    except IsADirectoryError as error:
        raise ClusterError(f"{path} is a folder, not a kubeconfig.", "Name the file in it.") from error
    except PermissionError as error:
        do = f"See who may: namei -l {path}. Ask them, or set HOME or KUBECONFIG to what is yours."
        raise ClusterError(f"{path} may not be read by {paths.USER.pw_name}.", do) from error
    except NotReadable as error:
        where = f" at line {error.line}" if error.line else ""
        raise ClusterError(f"{path} is not a kubeconfig: it is not valid YAML{where}: {error.problem}.", "Correct that line.") from error
    except OSError as error:
        raise ClusterError(f"{path} cannot be read: {error.strerror}.", "Set KUBECONFIG to yours.") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ClusterError(f"{path} is not a kubeconfig ({type(error).__name__}: {error}).", FRESH) from error
