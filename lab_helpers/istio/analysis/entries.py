"""ServiceEntries that catch more than they name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from lab_helpers.core.manifests import title


def said(_, documents: Iterable[dict]) -> Iterator[tuple[str, str]]:
    """A sentence for each port of TCP of an entry without addresses.

    Istio's analyzers ask for addresses (IST0134) only until istiod has given the entry automatic ones, and these a proxy uses only if it
    answers DNS.
    """
    for each in documents:
        spec = each.get("spec") or {}
        if each["kind"] != "ServiceEntry" or spec.get("addresses") or spec.get("resolution", "NONE") == "NONE":
            continue
        for number in [each.get("number") for each in spec.get("ports") or [] if str(each.get("protocol", "TCP")).upper() == "TCP"]:
            yield (
                title(each),
                f"Port {number} is TCP, and there are no addresses: whatever connects to port {number} and is not known otherwise, is sent "
                "here. Give the addresses; or TLS as the protocol, if that is what is spoken.",
            )
