"""Traces out of Zipkin or Jaeger, whichever the mesh sends to, in one form."""

from __future__ import annotations

import re
import time

import pandas as pd

from lab_helpers.core.errors import QueryError
from lab_helpers.core.wait import wait_until
from lab_helpers.kube.kinds import Kind
from lab_helpers.traffic import addons, prometheus
from lab_helpers.traffic.prometheus import Window
from lab_helpers.traffic.trace_stores import STORES, one, search, tops

TELEMETRY = Kind("telemetry.istio.io/v1", "Telemetry")

SPAN = ["span", "parent", "service", "kind", "to", "name", "start_ms", "duration_ms", "status", "flags", "error"]
TRACE = ["trace", "began", "service", "name", "duration_ms", "spans", "services", "status", "errors"]
# A proxy hands its spans on every 5 s; then they have to be stored.
ARRIVED = 40.0
# A caller that has told nothing for so long, while those whom it called have, told somebody else, or nobody.
SETTLED = 15.0


def trace(lab, id: str, store: str | None = None) -> pd.DataFrame:
    """All spans of one trace, callers before those whom they called.

    Waits until the trace is complete: whoever was called has told of it too. Who called may tell another store, or nobody, as a
    program outside of the mesh does: then it waits until no more spans come, and what such a caller called stands on top.

    Parameters
    ----------
    id : str
        As Zipkin and Jaeger show it: 16 or 32 hexadecimal digits.
    store : {"zipkin", "jaeger"}, optional
        Where to look; without it, where the mesh sends its spans, and for what is missing there in the other one.

    Returns
    -------
    pandas.DataFrame
        One row a span, as a waterfall has them:

        - span, parent: ids; ``parent`` is empty for the first, and no span's of these where nobody has told of the caller
        - service: whose proxy tells of it, ``name.namespace``
        - kind: ``SERVER`` (a request came in) or ``CLIENT`` (it was sent on)
        - to: the service that a CLIENT called, without its namespace; empty for a SERVER
        - name: the host and route that were asked for
        - start_ms, duration_ms: since the trace began, in ms. Where the clocks of two nodes differ, so that somebody would have
          answered before he was asked, or only after that call was over, his time is put into the middle of the call
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
    if not isinstance(id, str) or not re.fullmatch(r"[0-9a-fA-F]{16}([0-9a-fA-F]{16})?", id):
        raise QueryError(f"{id!r} is not the id of a trace.", "It has 16 or 32 hexadecimal digits; lab.traces() lists some.")
    looked_in = _stores(lab, store)
    spans = _spans(lab, looked_in, id.lower())
    if not spans:
        do = "Spans arrive some seconds after the request; lab.traces() lists what is there."
        nor = "".join(f", nor has {each.capitalize()}" for each in looked_in[1:])
        raise QueryError(f"{looked_in[0].capitalize()} has no trace {id}{nor}.", do)
    since = time.monotonic()

    def whole() -> bool:
        nonlocal since
        now = _spans(lab, looked_in, id.lower())
        if len(now) > len(spans):
            since = time.monotonic()
        spans[:] = now or spans
        return complete(spans) or (not _open_calls(spans) and time.monotonic() - since > SETTLED)

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
        - service, name: of its first span; where nobody has told of who called first, of the first whom he called
        - duration_ms: of that span, in ms
        - spans, services: how many
        - status: HTTP status of that span
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
        there = search(lab, store, start, end, service, _tags(error, status), n)
        now = prometheus.clock(lab) if not all(map(complete, there)) else 0.0
        found[:] = [spans for spans in there if complete(spans) or _settled(spans, now)]
        return len(found) >= at_least

    seen = lambda: f"{len(found)} are there."  # noqa: E731
    do = "Was there so much traffic, and is every request traced?"
    wait_until(there, f"{at_least} complete traces", ARRIVED, every=0.3, late=seen, do=do)
    rows = sorted((_row(spans) for spans in found), key=lambda row: row["began"], reverse=True)
    return pd.DataFrame(rows[:n], columns=TRACE)


def complete(spans: list[dict]) -> bool:
    """Whether a trace has its first span, no span lacks its parent, and whoever was called has told of it."""
    above = tops(spans)
    return any(map(_first, spans)) and all(map(_first, above)) and not _open_calls(spans)


def _open_calls(spans: list[dict]) -> list[dict]:
    """Calls of which whoever was called has not told."""
    called = {each["parent"] for each in spans if each["kind"] == "SERVER"} | {each["span"] for each in spans if each["kind"] == "SERVER"}
    return [each for each in spans if each["kind"] == "CLIENT" and each["inside"] and each["span"] not in called]


def _settled(spans: list[dict], now: float) -> bool:
    """Whether a trace is old enough for its missing spans to come no more."""
    return not _open_calls(spans) and max(each["start"] + each["duration_ms"] / 1000 for each in spans) + SETTLED < now


def _first(span: dict) -> bool:
    """Whether a span surely has nobody above it who will tell of himself.

    Who begins a trace outside of the mesh gives the first span half of the trace's id, and his own span is nowhere. So does a proxy that
    begins one, and tells of it, perhaps later than whom it called: only at the gateway it must have been somebody outside.
    """
    outside = span["service"].startswith("istio-ingressgateway.") and span["parent"] == span["trace"][-16:]
    return not span["parent"] or (span["kind"] == "SERVER" and outside)


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


def _stores(lab, store: str | None) -> list[str]:
    """Where to look for a trace: in the store that was named, or first in the mesh's own."""
    first = _store(lab, store)
    others = [each for each in STORES if store is None and each != first]
    return [first, *(each for each in others if addons.find(lab.client, each, lab.addons_namespace) is not None)]


def _spans(lab, stores: list[str], id: str) -> list[dict]:
    """The spans of a trace; of the further stores only what the first does not have, and only if something is missing."""
    found: dict[tuple, dict] = {}
    for store in stores:
        if not complete(list(found.values())):
            for each in one(lab, store, id):
                found.setdefault((each["span"], each["kind"], each["service"]), each)
    return list(found.values())


def _range(lab, since: Window | str) -> tuple[float, float]:
    if isinstance(since, Window):
        since.require_end()
        return since.start, since.end
    now = prometheus.clock(lab)
    return now - prometheus.duration(since), now


def _tags(error: bool, status: int | None) -> dict[str, str]:
    return ({"error": "true"} if error else {}) | ({"http.status_code": str(status)} if status else {})


def _table(id: str, spans: list[dict]) -> pd.DataFrame:
    below: dict[str, list[dict]] = {}
    for each in sorted(spans, key=lambda one: (one["start"], one["kind"])):
        below.setdefault(each["parent"], []).append(each)
    ordered: list[dict] = []
    walked = set()  # where both ends of a call share one id, it is met twice
    placed = set()

    def walk(first: dict) -> None:
        waiting: list[tuple[dict, dict | None]] = [(first, None)]
        while waiting:
            each, caller = waiting.pop()
            if _place(each) in placed:
                continue
            placed.add(_place(each))
            ordered.append(here := {**each, "ahead": _ahead(each, caller)})
            if each["span"] not in walked:
                walked.add(each["span"])
                waiting += [(one, here) for one in reversed(below.get(each["span"], []))]

    # Spans that call each other in a circle, as no request can, have none on top: the earliest stands there.
    for each in [*tops(spans), *sorted(spans, key=lambda one: one["start"])]:
        walk(each)
    began = min(each["start"] - each["ahead"] for each in ordered)
    rows = [{**each, "start_ms": round(1000 * (each["start"] - each["ahead"] - began), 3)} for each in ordered]
    table = pd.DataFrame(rows, columns=SPAN)
    table.attrs = {"trace": id}
    return table


def _place(span: dict) -> tuple:
    return span["span"], span["kind"], span["service"]


def _ahead(span: dict, caller: dict | None) -> float:
    """How many seconds the clock that timed a span is ahead of that of the trace's first, as far as it shows."""
    if caller is None:
        return 0.0
    if span["service"] == caller["service"]:
        return caller["ahead"]
    called = caller["start"] - caller["ahead"]
    if called <= span["start"] <= called + caller["duration_ms"] / 1000:
        return 0.0
    return span["start"] - called - max(caller["duration_ms"] - span["duration_ms"], 0) / 2000


def _row(spans: list[dict]) -> dict:
    first = next(iter([each for each in tops(spans) if _first(each)] or tops(spans) or spans))
    return {
        **{key: first[key] for key in ("trace", "service", "name", "duration_ms", "status")},
        "began": pd.Timestamp(first["start"], unit="s", tz="UTC").round("ms"),
        "spans": len(spans),
        "services": len({each["service"] for each in spans}),
        "errors": sum(each["error"] for each in spans),
    }
