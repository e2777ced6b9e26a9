"""What ``kubectl get -o yaml`` writes, as something that can be applied: lists taken apart, and without what the API server owns."""

from __future__ import annotations

from collections.abc import Iterator

# Server-side apply refuses managedFields; with an old resourceVersion or another uid it answers that there is a conflict; the rest
# is the API server's own, and whatever a manifest says of it is passed over.
SERVER_OWNED = (
    "managedFields", "resourceVersion", "uid", "creationTimestamp", "generation", "selfLink", "deletionTimestamp",
    "deletionGracePeriodSeconds",
)  # fmt: skip


def objects(document, what: str) -> Iterator[tuple[str, object]]:
    """The objects in one document: itself, or the items of a list, and of lists in it; as kubectl finds them.

    Parameters
    ----------
    document : any value
        As it was read: nothing is known about it yet.
    what : str
        How a sentence names it: ``Document 2``.

    Yields
    ------
    str, any value
        How a sentence names it: ``Item 3 of document 2``; and the object.
    """
    items = document.get("items") if isinstance(document, dict) else None
    kind = str(document.get("kind")) if isinstance(document, dict) else ""
    if items is None and kind == "List":
        return
    if not isinstance(items, list):
        yield what, without_what_the_server_owns(document)
        return
    for number, item in enumerate(items, 1):
        if isinstance(item, dict) and kind != "List" and kind.endswith("List"):  # a ServiceList holds Services
            item = {"apiVersion": document.get("apiVersion"), "kind": kind.removesuffix("List"), **item}
        yield from objects(item, f"Item {number} of {what[0].lower()}{what[1:]}")


def without_what_the_server_owns(document):
    """An object without what only the API server writes; its status only where it comes from there."""
    metadata = document.get("metadata") if isinstance(document, dict) else None
    if not isinstance(metadata, dict) or not metadata.keys() & set(SERVER_OWNED):
        return document
    kept = {field: value for field, value in metadata.items() if field not in SERVER_OWNED}
    return {field: kept if field == "metadata" else value for field, value in document.items() if field != "status"}
