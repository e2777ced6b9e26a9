"""Requests with curl from a pod of the lab: without a sidecar, as somebody outside of the mesh, or with one."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from lab_helpers.core.errors import TrafficError
from lab_helpers.kube import channels, objects, pods
from lab_helpers.kube.commands import Output

OUTSIDE, INSIDE = "plain-client", "client"
PATIENCE = 10  # seconds that curl waits for an answer


@dataclass(frozen=True, repr=False)
class Answer(Output):
    """What curl has printed, and what it means.

    Attributes
    ----------
    status : int
        Of the (last) answer; 0 if there was none.
    headers : dict of str to str
        Of the same, with lower-case names; none unless curl was told to print them.
    """

    @property
    def status(self) -> int:
        found = re.findall(r"^HTTP/[\d.]+ (\d+)", self.stdout, re.MULTILINE)
        return int(found[-1]) if found else 0

    @property
    def headers(self) -> dict[str, str]:
        last = re.split(r"^HTTP/[\d.]+ \d+[^\n]*\n", self.stdout, flags=re.MULTILINE)[-1] if self.status else ""
        lines = last.replace("\r", "").partition("\n\n")[0].splitlines()
        return {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}


@objects.sentences("curl")
def curl(lab, options: str, app: str = OUTSIDE) -> Answer:
    """Run curl in the pod of `app`; that nobody answers is an answer, too.

    Parameters
    ----------
    options : str
        As in a terminal.
    app : str
        ``plain-client``, which has no sidecar, or ``client``, which has one.

    Raises
    ------
    TrafficError
        The options cannot be read, or there is no such pod.
    """
    read = words(options)
    pod = pods.require_ready(lab.client, app, "Run the checkpoint's cell again.")
    done = channels.execute(lab.client, pod["metadata"]["name"], app, ["curl", "-sS", "--max-time", str(PATIENCE), *read])
    command = f"kubectl exec deployment/{app} -- curl -sS {options}"
    return Answer(command, done.stdout.replace("\r\n", "\n"), done.stderr, done.code)


def words(options: str) -> list[str]:
    """Options as in a terminal, one by one.

    Raises
    ------
    TrafficError
        They cannot be read.
    """
    try:
        return shlex.split(options)
    except ValueError as error:
        raise TrafficError(f"{options!r} cannot be read as options of curl: {error}.", "Close every quotation mark.") from error
