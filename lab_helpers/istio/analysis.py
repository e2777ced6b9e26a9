"""What ``istioctl analyze`` says of objects that were taken, and yet may not do what they say."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace

from lab_helpers.core.manifests import title
from lab_helpers.kube import commands
from lab_helpers.kube.apply import Change


def noted(lab, changes: Iterable[Change], documents: Iterable[dict] = ()) -> list[Change]:
    """The changes, each with what the analyzers say of its object, and what they do not say of one of `documents`."""
    said = _messages(lab)
    for each in documents:
        said.setdefault(title(each), []).extend(_unsaid(each))
    return [replace(each, warnings=(*each.warnings, *said.get(each.what, ()))) for each in changes]


def _unsaid(document: dict) -> list[str]:
    """What the analyzers keep to themselves.

    They ask for addresses (IST0134) only until istiod has given the entry automatic ones, and these a proxy uses only if it answers DNS.
    """
    spec = document.get("spec") or {}
    if document["kind"] != "ServiceEntry" or spec.get("addresses") or spec.get("resolution", "NONE") == "NONE":
        return []
    ports = [each.get("number") for each in spec.get("ports") or [] if str(each.get("protocol", "TCP")).upper() == "TCP"]
    return [
        f"Port {port} is TCP, and there are no addresses: whatever connects to port {port} and is not known otherwise, is sent here. "
        "Give the addresses; or TLS as the protocol, if that is what is spoken."
        for port in ports
    ]


def _messages(lab) -> dict[str, list[str]]:
    """By object, as ``VirtualService reviews``: level, what is wrong, and the code by which Istio's documentation has it."""
    found: dict[str, list[str]] = {}
    # Exit code and text differ by what was found; as JSON it is always 0.
    for each in json.loads(commands.run(lab.client, "istioctl analyze --output json").stdout or "[]"):
        kind, _, place = each["origin"].partition(" ")
        namespace, _, name = place.rpartition("/")
        if namespace in (lab.namespace, ""):
            found.setdefault(f"{kind} {name}", []).append(f"{each['level']}: {each['message']} [{each['code']}]")
    return found
