"""Checks of chapter 07_tracing."""

from __future__ import annotations

import pandas as pd

from lab_helpers.core.errors import LabError
from lab_helpers.show.checks import register, wrong
from lab_helpers.show.inputs import Pair, having, table
from lab_helpers.traffic import traces

SPANS, SERVICES = 9, {"istio-ingressgateway", "productpage", "details", "reviews", "ratings"}

# What the checks look at.
Spans = table("to", "status", text=["service", "kind"], numbers=["start_ms", "duration_ms"], flags=["error"])
Own = table(text=["service"], numbers=["own_ms"])
Window = having("known", "a window, as lab.window() gives it")


def services(spans: pd.DataFrame) -> set[str]:
    """Names of the services in a trace, without their namespaces."""
    return {name.partition(".")[0] for name in spans["service"]}


@register("07.1", "A whole trace")
def whole_trace(spans: Spans) -> str:
    """A page with stars leaves nine spans of five services, none of them failed."""
    if spans["error"].any():
        raise wrong(f"{int(spans['error'].sum())} of its spans failed", "Choose a good one: errors is 0 in lab.traces().")
    missing = sorted(SERVICES - services(spans))
    if missing:
        raise wrong(f"{missing[0]} is not in it", "Choose the trace of a page with stars: the one with the most spans.")
    if len(spans) != SPANS:
        raise wrong(f"it has {len(spans)} spans", f"A page with stars has {SPANS}: two for each call, but one for the way in.")
    return f"{len(spans)} spans of {len(SERVICES)} services."


@register("07.2", "Who waits for whom")
def who_waits(spans: Spans, answer: str) -> str:
    """Productpage asks one service, waits, and asks the other; the learner says which comes first."""
    asked = spans[(spans["kind"] == "CLIENT") & spans["service"].str.startswith("productpage.")].sort_values("start_ms")
    names = list(asked["to"])
    if len(names) < 2:
        raise wrong(f"productpage asks {' and '.join(names) or 'nobody'} in this trace", "Choose a trace of a whole page.")
    first, second = asked.iloc[0], asked.iloc[1]
    if first["start_ms"] + first["duration_ms"] > second["start_ms"]:
        raise wrong("the two calls of productpage overlap", "Is this a trace of Bookinfo's own productpage?")
    if answer != names[0]:
        raise wrong(f"{answer} is not asked first", "Which of productpage's two calls begins further left?")
    return f"{names[0]}, and {names[1]} only when that has answered."


@register("07.3", "The call that failed")
def failed_call(spans: Spans, answer: Pair) -> str:
    """One call failed in an otherwise good page; the learner says whose and to whom."""
    failed = spans[spans["error"]]
    if failed.empty:
        raise wrong("nothing failed in this trace", "Look for one with lab.traces(window, error=True).")
    calls = {(each.service.partition(".")[0], each.to) for each in failed.itertuples()}
    if tuple(answer) not in calls:
        raise wrong(f"{answer[0]} → {answer[1]} is not what failed", "Which bar is red, and what stands before it?")
    status, root = failed["status"].iloc[0], spans["status"].iloc[0]
    return f"{answer[0]} → {answer[1]}, with status {status}; the page itself says {root}."


@register("07.4", "Where the time goes")
def where_time_goes(own: Own, answer: str) -> str:
    """The service that is busy longest by itself; the learner names it."""
    if own.empty:
        raise wrong("there is no service in this table", "Is it that of a trace?")
    busiest = own["service"].iloc[0].partition(".")[0]
    if answer != busiest:
        raise wrong(f"{answer} is not the busiest by itself", "Not the longest bar counts, but what is left of it without the bars below.")
    return f"{busiest}, for {own['own_ms'].iloc[0] / own['own_ms'].sum():.0%} of the time."


@register("07.5", "The switch")
def switched(lab, window: Window) -> str:
    """The namespace sends to Jaeger; Jaeger has the traces of the window, and Zipkin none that `client` began."""
    if traces.switch(lab) != "jaeger":
        raise wrong("the namespace still sends its spans to Zipkin", "Which Telemetry is nearest: kubectl get telemetry -A.")
    found = traces.traces(lab, window, store="jaeger")
    if found.empty:
        raise wrong("Jaeger has no trace of that window", "Were requests sent after the switch?")
    try:
        old = traces.traces(lab, window, service="details", store="zipkin")
    except LabError:  # no Zipkin at all is as good as an empty one
        old = found.iloc[:0]
    old = old[old["service"].str.startswith("client.")]
    if len(old):
        what = f"Zipkin has {len(old)} of client's traces of that window, too"
        raise wrong(what, "Did the window begin before every proxy knew of the switch?")
    return f"{len(found)} traces in Jaeger, none that client began in Zipkin."


@register("07.6", "One request among many")
def one_request(spans: Spans, id: str) -> str:
    """The exercise: a request with an id of the learner's own was found by it."""
    if spans.attrs.get("trace", "").lower() != id.lower():
        raise wrong(f"these are the spans of trace {spans.attrs.get('trace')}", "Pass what lab.trace(...) returned for your id.")
    if "productpage" not in services(spans):
        raise wrong("productpage is not in it", "Send a page with your headers: lab.page(headers={...}).")
    return f"{len(spans)} spans carry the id that you chose."
