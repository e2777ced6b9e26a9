"""Traces out of Zipkin or Jaeger, whichever the mesh sends to, in one form."""

from __future__ import annotations

import re

import pandas as pd

from lab_helpers.core.errors import QueryError
from lab_helpers.core.wait import wait_until
from lab_helpers.kube.kinds import Kind
from lab_helpers.traffic import addons, prometheus
from lab_helpers.traffic.prometheus import Window
from lab_helpers.traffic.trace_stores import STORES, one, search

TELEMETRY = Kind("telemetry.istio.io/v1", "Telemetry")

SPAN = ["span", "parent", "service", "kind", "to", "name", "start_ms", "duration_ms", "status", "flags", "error"]
TRACE = ["trace", "began", "service", "name", "duration_ms", "spans", "services", "status", "errors"]
# A proxy hands its spans on every 5 s; then they have to be stored.
ARRIVED = 40.0


def trace(lab, id: str, store: str | None = None) -> pd.DataFrame:
    """All spans of one trace, callers before those whom they called.

    Waits until the trace is complete: whoever was called has told of it too.

    Parameters
    ----------
    id : str
        As Zipkin and Jaeger show it: 16 or 32 hexadecimal digits.
    store : {"zipkin", "jaeger"}, optional
        Where to look; without it, where the mesh sends its spans.

    Returns
    -------
    pandas.DataFrame
        One row a span, as a waterfall has them:

        - span, parent: ids; ``parent`` is empty for the first
        - service: whose proxy tells of it, ``name.namespace``
        - kind: ``SERVER`` (a request came in) or ``CLIENT`` (it was sent on)
        - to: the service that a CLIENT called, without its namespace; empty for a SERVER
        - name: the host and route that were asked for
        - start_ms, duration_ms: since the trace began, in ms
        - status, flags: HTTP status and Envoy's response flags; ``-`` where there are none
        - error: whether it failed

        ``.attrs["trace"]`` is the id.

    Raises
    ------
    QueryError
        Not an id, no such trace, or the store is not there.
    MeshError
        It did not become complete in time.
    """
    if not re.fullmatch(r"[0-9a-fA-F]{16}([0-9a-fA-F]{16})?", id):
        raise QueryError(f"{id!r} is not the id of a trace.", "It has 16 or 32 hexadecimal digits; lab.traces() lists some.")
    store = _store(lab, store)
    spans: list[dict] = []

    def whole() -> bool:
        spans[:] = one(lab, store, id.lower())
        return complete(spans)

    if not one(lab, store, id.lower()):
        do = "Spans arrive some seconds after the request; lab.traces() lists what is there."
        raise QueryError(f"{store.capitalize()} has no trace {id}.", do)
    so_far = lambda: f"{len(spans)} spans so far."  # noqa: E731
    wait_until(whole, f"trace {id} to be complete", ARRIVED, every=0.2, late=so_far, do="Look at it as it is in the store.")
    return _table(id, spans)


def traces(
    lab,
    since: Window | str = "15m",
    service: str | None = None,
    error: bool = False,
    status: int | None = None,
    n: int = 100,
    at_least: int = 0,
    store: str | None = None,
) -> pd.DataFrame:
    """Look for traces of the namespace's services, newest first.

    Parameters
    ----------
    since : Window or str
        When they began: within a window from ``lab.window()``, or within the last so and so much.
    service : str, optional
        One that takes part, such as ``"reviews"``.
    error : bool
        Only those in which something failed: a 5xx, or no answer. Envoy does not take a 4xx for its own failure.
    status : int, optional
        Only those in which somebody answered with this HTTP status.
    n : int
        At most so many.
    at_least : int
        Wait until so many are there and complete. Spans arrive some seconds after the request.
    store : {"zipkin", "jaeger"}, optional
        Where to look; without it, where the mesh sends its spans.

    Returns
    -------
    pandas.DataFrame
        One row a trace:

        - trace: its id
        - began: when (UTC)
        - service, name: of its first span
        - duration_ms: of its first span, in ms
        - spans, services: how many
        - status: HTTP status of its first span
        - errors: how many of its spans failed

    Raises
    ------
    QueryError
        The store is not there.
    MeshError
        Fewer than `at_least` arrived in time.
    """
    store = _store(lab, store)
    found: list[list[dict]] = []

    def there() -> bool:
        start, end = _range(lab, since)
        found[:] = [spans for spans in search(lab, store, start, end, service, _tags(error, status), n) if complete(spans)]
        return len(found) >= at_least

    seen = lambda: f"{len(found)} are there."  # noqa: E731
    do = "Was there so much traffic, and is every request traced?"
    wait_until(there, f"{at_least} complete traces", ARRIVED, every=0.3, late=seen, do=do)
    rows = sorted((_row(spans) for spans in found), key=lambda row: row["began"], reverse=True)
    return pd.DataFrame(rows[:n], columns=TRACE)


def complete(spans: list[dict]) -> bool:
    """Whether a trace has its first span, no span lacks its parent, and whoever was called has told of it."""
    ids = {each["span"] for each in spans}
    called = {each["parent"] for each in spans if each["kind"] == "SERVER"} | {each["span"] for each in spans if each["kind"] == "SERVER"}
    open_calls = [each for each in spans if each["kind"] == "CLIENT" and each["inside"] and each["span"] not in called]
    roots = [each for each in spans if _first(each)]
    return bool(roots) and all(each["parent"] in ids for each in spans if each not in roots) and not open_calls


def _first(span: dict) -> bool:
    """Whether a span has nobody above it who could tell of himself.

    Who begins a trace outside of the mesh gives the first span half of the trace's id, as proxies do; his own span is nowhere.
    """
    return not span["parent"] or (span["kind"] == "SERVER" and span["parent"] == span["trace"][-16:])


def switch(lab) -> str:
    """The store that the namespace's proxies send their spans to: as its own Telemetry says, or else the mesh's."""
    for namespace in (lab.namespace, "istio-system"):
        for each in lab.client.list(TELEMETRY, namespace):
            spec = each.get("spec", {})
            named = [provider["name"] for part in spec.get("tracing") or [] for provider in part.get("providers") or []]
            if "selector" not in spec and named and named[0] in STORES:
                return named[0]
    return next((each for each in STORES if addons.find(lab.client, each, lab.addons_namespace) is not None), "zipkin")


def _store(lab, store: str | None) -> str:
    if store is None:
        return switch(lab)
    if store not in STORES:
        raise QueryError(f"There is no trace store {store!r}.", f"Choose one of: {', '.join(STORES)}.")
    return store


def _range(lab, since: Window | str) -> tuple[float, float]:
    if isinstance(since, Window):
        since.require_end()
        return since.start, since.end
    now = prometheus.clock(lab)
    return now - prometheus.duration(since), now


def _tags(error: bool, status: int | None) -> dict[str, str]:
    return ({"error": "true"} if error else {}) | ({"http.status_code": str(status)} if status else {})


def _table(id: str, spans: list[dict]) -> pd.DataFrame:
    began = min(each["start"] for each in spans)
    ids = {each["span"] for each in spans}
    ordered: list[dict] = []

    walked = set()  # where both ends of a call share one id, it is met twice

    def walk(parent: str) -> None:
        walked.add(parent)
        below = [each for each in spans if (each["parent"] if each["parent"] in ids else "") == parent]
        for each in sorted(below, key=lambda one: (one["start"], one["kind"])):
            ordered.append({**each, "start_ms": round(1000 * (each["start"] - began), 3)})
            if each["span"] not in walked:
                walk(each["span"])

    walk("")
    table = pd.DataFrame(ordered, columns=SPAN)
    table.attrs = {"trace": id}
    return table


def _row(spans: list[dict]) -> dict:
    first = next(each for each in sorted(spans, key=lambda one: one["start"]) if _first(each))
    return {
        **{key: first[key] for key in ("trace", "service", "name", "duration_ms", "status")},
        "began": pd.Timestamp(first["start"], unit="s", tz="UTC").round("ms"),
        "spans": len(spans),
        "services": len({each["service"] for each in spans}),
        "errors": sum(each["error"] for each in spans),
    }
