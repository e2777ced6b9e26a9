"""The two stores of traces, Zipkin and Jaeger: asked by their own APIs, their spans told in one form."""

from __future__ import annotations

import json

from lab_helpers.core.errors import QueryError
from lab_helpers.traffic import addons

STORES = ("zipkin", "jaeger")
ZIPKIN = "/zipkin/api/v2"


def one(lab, store: str, id: str) -> list[dict]:
    """All spans of one trace so far; see `_span` for what each has."""
    path = f"{ZIPKIN}/trace/{id}" if store == "zipkin" else f"{_jaeger(lab)}/traces/{id}"
    answer = addons.ask(lab, store, path)
    if answer.status == 404:
        return []
    found = _json(answer, store)
    return _zipkin(found) if store == "zipkin" else [span for each in found["data"] for span in _of_jaeger(each)]


def search(lab, store: str, start: float, end: float, service: str | None, tags: dict[str, str], n: int) -> list[list[dict]]:
    """The spans of each trace of the namespace's services that began between `start` and `end` (seconds since 1970) and has `tags`."""
    names = [f"{service}.{lab.namespace}"] if service else [name for name in _services(lab, store) if name.endswith(f".{lab.namespace}")]
    asked = _zipkin_search if store == "zipkin" else _jaeger_search
    traces = [spans for name in names for spans in asked(lab, name, start, end, tags, n)]
    return list({each[0]["trace"]: each for each in traces if each and start <= began(each) <= end}.values())


def began(spans: list[dict]) -> float:
    """When a trace began, by the clock of whoever began it: that of another may be behind."""
    return min(each["start"] for each in tops(spans) or spans)


def tops(spans: list[dict]) -> list[dict]:
    """Spans whose callers are not there, the earliest first: the first one, and each whose caller told nobody, or another store."""
    ids = {each["span"] for each in spans}
    return sorted((each for each in spans if each["parent"] not in ids), key=lambda one: (one["start"], one["kind"]))


def _services(lab, store: str) -> list[str]:
    if store == "zipkin":
        return _json(addons.ask(lab, store, f"{ZIPKIN}/services"), store)
    return _json(addons.ask(lab, store, f"{_jaeger(lab)}/services"), store)["data"] or []


def _zipkin_search(lab, service: str, start: float, end: float, tags: dict[str, str], n: int) -> list[list[dict]]:
    params = {"serviceName": service, "endTs": int(1000 * end) + 1, "lookback": int(1000 * (end - start)) + 2, "limit": n}
    params |= {"annotationQuery": " and ".join(f"{name}={value}" for name, value in tags.items())} if tags else {}
    return [_zipkin(each) for each in _json(addons.ask(lab, "zipkin", f"{ZIPKIN}/traces", params), "zipkin")]


def _jaeger_search(lab, service: str, start: float, end: float, tags: dict[str, str], n: int) -> list[list[dict]]:
    params = {"service": service, "start": int(1e6 * start), "end": int(1e6 * end), "limit": n}
    params |= {"tags": json.dumps(tags)} if tags else {}
    return [_of_jaeger(each) for each in _json(addons.ask(lab, "jaeger", f"{_jaeger(lab)}/traces", params), "jaeger")["data"]]


def _jaeger(lab) -> str:
    """Where its API begins: Istio's add-on puts all of it under ``/jaeger``."""
    told = addons.ask(lab, "jaeger", "/jaeger/api/services").headers.get("content-type", "")
    return "/jaeger/api" if told.startswith("application/json") else "/api"


def _json(answer, store: str):
    try:
        if answer.status == 200:
            return answer.json()
    except ValueError:
        pass
    raise QueryError(f"{store.capitalize()} answered {answer.status}: {answer.text.strip()[:200]}", "See its log.")


def _zipkin(spans: list[dict]) -> list[dict]:
    found = []
    untimed = min((each["timestamp"] for each in spans if each.get("timestamp")), default=0)
    for each in spans:
        service, tags = (each.get("localEndpoint") or {}).get("serviceName", ""), each.get("tags") or {}
        ids = (each["traceId"], each["id"], each.get("parentId", ""))
        times = (each.get("timestamp") or untimed, each.get("duration") or 0)
        found.append(_span(*ids, service, each.get("kind", ""), each.get("name", ""), *times, tags, "error" in tags))
    return found


def _of_jaeger(found: dict) -> list[dict]:
    spans = []
    for each in found["spans"]:
        tags = {tag["key"]: tag["value"] for tag in each.get("tags") or []}
        parents = [reference["spanID"] for reference in each.get("references") or [] if reference["traceID"] == each["traceID"]]
        service = (found.get("processes") or {}).get(each.get("processID"), {}).get("serviceName", "")
        kind = str(tags.get("span.kind", "")).upper()
        failed = str(tags.get("error", "")).lower() not in ("", "false")
        spans.append(
            _span(
                each["traceID"], each["spanID"], parents[0] if parents else "", service, kind, each["operationName"], each["startTime"],
                each["duration"], tags, failed,
            )
        )  # fmt: skip
    return spans


def _span(
    trace: str, span: str, parent: str, service: str, kind: str, name: str, start: int, duration: int, tags: dict, error: bool
) -> dict:
    flags = str(tags.get("response_flags", "-"))
    cluster = str(tags.get("upstream_cluster", ""))
    called = cluster.rpartition("|")[2].partition(".")[0] or name.partition(":")[0].partition(".")[0]
    return {
        "trace": trace, "span": span, "parent": parent, "service": service, "kind": kind, "name": name,
        "to": called if kind == "CLIENT" else "", "start": start / 1e6,
        "duration_ms": duration / 1000, "status": str(tags.get("http.status_code", "-")), "flags": flags, "error": error,
        # A call into the mesh that somebody answered: its other end has to tell of it too.
        "inside": cluster.startswith("outbound|") and cluster.endswith(".svc.cluster.local") and flags in ("-", "DI"),
    }  # fmt: skip
