"""The command lines that a learner will type at work, run as they stand and captured."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass, field

from lab_helpers.core import text
from lab_helpers.core.errors import CommandError
from lab_helpers.core.manifests import FOLDER, beside, folders
from lab_helpers.kube.apply import Manifest
from lab_helpers.kube.client import Client

KNOWN = ("kubectl", "istioctl", "curl")
# What only looks, and so may be asked of any cluster. Whatever else kubectl and istioctl do may change something.
LOOKING = {
    "kubectl": ("api-resources", "api-versions", "cluster-info", "describe", "diff", "events", "explain", "get", "logs", "top", "version"),
    "istioctl": ("analyze", "manifest", "pc", "proxy-config", "proxy-status", "ps", "version"),
}  # fmt: skip
# A user's own settings, with which a line would do something else here than in the book: kubectl's kuberc (another output, a question
# before each delete) and its tool for diffs; istioctl's. Against those in a file of istioctl's and of curl's there are options.
OWN = ("KUBECTL_", "ISTIOCTL_")
NO_SETTINGS = {"KUBERC": "off"}
OPERATOR = re.compile(r"^(?:\|\|?|&&?|;|[<>]{1,2})$|^\$(?:\w+$|\{\w+\}$|\()")
COLOURS = re.compile(r"\x1b\[[\d;]*m")  # istioctl paints its marks even where nobody can see them


@dataclass(frozen=True)
class Output:
    """A command line and what it printed.

    Attributes
    ----------
    command : str
        As a person would type it.
    stdout, stderr : str
    code : int
        Its exit code.
    manifests : list of Manifest
        The course's that it was given.
    """

    command: str
    stdout: str
    stderr: str = ""
    code: int = 0
    manifests: list[Manifest] = field(default_factory=list)

    @property
    def shown(self) -> str:
        """What a person would read: what it printed, or why it failed."""
        return self.stdout + self.stderr if self.code or not self.stdout.strip() else self.stdout

    def __str__(self) -> str:
        return f"$ {self.command}\n{self.shown}".rstrip("\n")


def run(client: Client, line: str, deadline: float = 60.0, stdin: str | None = None, code: int = 0) -> Output:
    """Run kubectl, istioctl or curl with the client's kubeconfig, context and namespace.

    Parameters
    ----------
    line : str
        One command; no shell looks at it, so pipes and ``$VARIABLES`` mean nothing. It may name files as `apply` does:
        relative to ``manifests/``, a desk's or the course's.
    deadline : float
        Seconds it may take.
    stdin : str, optional
        What it reads, where the line says ``-f -``.
    code : int
        The exit code it is to end with: something else than 0 where a failure is what is to be shown.

    Raises
    ------
    CommandError
        Another command, a shell operator, not installed, another exit code (with what it printed), or too slow.
    ClusterError
        It may change something, and the cluster is not marked as one for the course.
    """
    words = split(line)
    if isinstance(deadline, bool) or not isinstance(deadline, int | float) or not deadline > 0:
        raise CommandError(f"The deadline is {deadline!r}, which is no time.", "Give it in seconds, such as deadline=120.")
    if re.search(rf"\n\s*(?:{'|'.join(KNOWN)})\b", line):
        raise CommandError(f"{line!r} is more than one line.", "Run them one after the other, each by a lab.run of its own.")
    if not words or words[0] not in KNOWN:
        raise CommandError(f"{line!r} does not begin with {', '.join(KNOWN)}.", "Other commands belong in a terminal.")
    operators = [found[0] for word in (*words, *_ends(line)) if (found := OPERATOR.search(word))]
    if operators:
        raise CommandError(
            f"{line!r} uses {operators[0]!r}, which only a shell understands.",
            "Filter the result in Python, .stdout is a str; put a variable in by an f-string; run a second command by a second lab.run.",
        )
    if words[0] in LOOKING and words[1:] and words[1] not in LOOKING[words[0]]:
        client.require_mark()
    path = find(words[0], client.tools)
    named = [word for word in words if _is_manifest(word)]
    shown = [word for word in named if not word.startswith("..")]
    at = next((folder for folder in folders() if all((folder / word).is_file() for word in shown)), FOLDER) if named else None
    words = [_from_elsewhere(word) if at else word for word in words]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(OWN)}
    environment |= {"KUBECONFIG": client.context.variable, **NO_SETTINGS}
    try:
        done = subprocess.run(
            [path, *_target(client, words[0]), *words[1:]],
            capture_output=True,
            encoding="utf-8",
            errors="replace",  # a pod may print whatever it likes
            timeout=deadline,
            env=environment,
            input=stdin,
            cwd=at,
        )
    except subprocess.TimeoutExpired as error:
        raise CommandError(f"{line} did not end within {deadline:g} s.", "Give it a longer deadline, or ask for less.") from error
    stdout, stderr = (COLOURS.sub("", printed) for printed in (done.stdout, done.stderr))
    if done.returncode != code:
        raise CommandError(
            f"{line} ended with exit code {done.returncode}{f', not {code}' if code else ''}: {(stdout + stderr).strip()}",
            "Correct the command and run it again.",
        )
    manifests = [Manifest(name, text.read(at / name, name), [], beside(name)) for name in shown]
    return Output(line, stdout, stderr, done.returncode, manifests)


def split(line: str) -> list[str]:
    """The words of a command line.

    Raises
    ------
    CommandError
        It is no text, or a quotation mark in it is never closed.
    """
    if not isinstance(line, str):
        raise CommandError(f"{line!r} is not a command.", "Write the whole line in quotes, such as 'kubectl get pods'.")
    try:
        return shlex.split(line)
    except ValueError as error:
        raise CommandError(f"{line!r} cannot be read as a command: {error}.", "Close every quotation mark.") from error


def _ends(line: str) -> list[str]:
    """The semicolons outside of quotes, which a shell takes for the end of a command even at the end of a word."""
    reader = shlex.shlex(line, posix=True, punctuation_chars=";")
    reader.whitespace_split, reader.commenters = True, ""
    return [word for word in reader if word == ";"]


def find(name: str, folder: str | os.PathLike = "") -> str:
    """The program `name`: the lab's own, which is of the cluster's version, or else the one on PATH.

    Raises
    ------
    CommandError
        Neither is there.
    """
    found = shutil.which(name, path=str(folder)) or shutil.which(name)
    if not found:
        raise CommandError(f"{name} is not installed.", "meshlab up brings it; for another cluster, install it and put it on PATH.")
    return found


def _is_manifest(word: str) -> bool:
    """Whether `word` names a manifest of the course, and not a file that lies where the notebook is."""
    return word.endswith(".yaml") and any(os.path.isfile(folder / word) for folder in folders()) and not os.path.exists(word)


def _from_elsewhere(word: str) -> str:
    """A word that names a file where the notebook is, or beside the course's manifests, by a path that holds in every folder."""
    if _is_own_file(word):
        return os.path.abspath(word)
    return os.path.abspath(FOLDER / word) if word.startswith("..") and _is_manifest(word) else word


def _is_own_file(word: str) -> bool:
    """Whether `word` names a file that lies where the notebook is, wherever that may be."""
    return word.endswith((".yaml", ".yml", ".json")) and os.path.isfile(word)


def _target(client: Client, program: str) -> list[str]:
    if program == "curl":
        return ["--disable"]  # of all its options this one has to come first
    at = ["--context", client.context.name, "--namespace", client.namespace]
    return [*at, "--istioNamespace", "istio-system"] if program == "istioctl" else at
