"""What ``istioctl analyze`` says of objects that were taken, and yet may not do what they say."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace

from lab_helpers.istio.analysis.tokens import unread
from lab_helpers.kube import commands
from lab_helpers.kube.apply import Change


def noted(lab, changes: Iterable[Change]) -> list[Change]:
    """The changes, each with what the analyzers say of its object."""
    said = _messages(lab)
    return unread(lab, [replace(each, warnings=(*each.warnings, *said.get(each.what, ()))) for each in changes])


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
