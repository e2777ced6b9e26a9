"""Whether anybody answers where the ingress gateway was: asked by its address, since nobody can be asked for that any more."""

from __future__ import annotations

import urllib3

from lab_helpers.istio import gateway
from lab_helpers.kube.commands import Output

PATIENCE = 3.0  # seconds


def knock(url: str) -> Output:
    """Ask for a page, as a user outside the cluster does; ``code`` is 0 if anybody answered at all, and 7, as curl has it, if not."""
    command = f"curl --head {url}"
    try:
        answer = gateway.fetch(url, timeout=PATIENCE)
    except urllib3.exceptions.HTTPError:
        return Output(command, "", "nobody answers there\n", 7)
    return Output(command, f"HTTP/1.1 {answer.status}\n")
