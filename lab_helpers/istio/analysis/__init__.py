"""What is to be said of objects that were taken, and yet may not do what they say."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain

from lab_helpers.istio.analysis import callers, entries, policies, tokens
from lab_helpers.kube import commands
from lab_helpers.kube.apply import Change

# Beside Istio's own analyzers. Each is asked with lab and objects; it gives pairs: what it is about, as `title` has it; a sentence.
OURS = (callers.said, entries.said, policies.said, tokens.said)


def noted(lab, changes: Iterable[Change], documents: Iterable[dict]) -> list[Change]:
    """The changes, each with what Istio's analyzers say of its object, and what they keep to themselves.

    Parameters
    ----------
    lab : Lab
    changes : iterable of Change
    documents : iterable of dict
        The objects, as they were applied.
    """
    return told(changes, chain(_messages(lab), *(analyzer(lab, documents) for analyzer in OURS)))


def told(changes: Iterable[Change], sentences: Iterable[tuple[str, str]]) -> list[Change]:
    """The changes, each with the sentences about its object."""
    said: dict[str, list[str]] = {}
    for what, sentence in sentences:
        said.setdefault(what, []).append(sentence)
    return [replace(each, warnings=(*each.warnings, *said.get(each.what, ()))) for each in changes]


def _messages(lab) -> Iterator[tuple[str, str]]:
    """Of each object, as ``VirtualService reviews``: level, what is wrong, and the code by which Istio's documentation has it."""
    # Exit code and text differ by what was found; as JSON it is always 0.
    for each in json.loads(commands.run(lab.client, "istioctl analyze --output json").stdout or "[]"):
        kind, _, place = each["origin"].partition(" ")
        namespace, _, name = place.rpartition("/")
        if namespace in (lab.namespace, ""):
            yield f"{kind} {name}", f"{each['level']}: {each['message']} [{each['code']}]"
