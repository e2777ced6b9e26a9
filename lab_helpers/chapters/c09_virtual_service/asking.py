"""One request by curl from a pod, with all that came back: what a status alone does not tell is in the headers."""

from __future__ import annotations

from dataclasses import dataclass

from lab_helpers.kube import channels, pods


@dataclass(frozen=True)
class Reply:
    """What curl was answered.

    Attributes
    ----------
    status : int
        0 where nobody answered.
    headers : dict of str to str
        By name, in small letters.
    body : str
    """

    status: int
    headers: dict[str, str]
    body: str = ""


def ask(lab, url: str, caller: str = "client", *options: str) -> Reply:
    """Send one request from a pod.

    Parameters
    ----------
    url : str
        Such as ``http://productpage:9080/``.
    caller : str
        Label ``app`` of the pod, and name of its container that has curl.
    *options : str
        More of curl's.

    Raises
    ------
    TrafficError
        There is no such pod.
    """
    pod = pods.require_ready(lab.client, caller, f'lab.apply("shared/{caller}.yaml")')
    command = ["curl", "--disable", "--silent", "--include", "--max-time", "20", *options, url]
    return read(channels.execute(lab.client, pod["metadata"]["name"], caller, command).stdout)


def read(text: str) -> Reply:
    """What ``curl --include`` printed; of nothing, a reply without a status."""
    head, _, body = text.replace("\r\n", "\n").partition("\n\n")
    first, *lines = head.splitlines() or [""]
    words = first.split()
    pairs = (line.partition(":") for line in lines)
    return Reply(int(words[1]) if len(words) > 1 else 0, {name.strip().lower(): value.strip() for name, _, value in pairs}, body)
