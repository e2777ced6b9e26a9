"""Checks of chapter 08_metrics."""

from __future__ import annotations

from numbers import Real
from typing import Annotated

from lab_helpers.chapters.c08_metrics.questions import Questions
from lab_helpers.core.statistics import rate_interval
from lab_helpers.show.checks import register, wrong
from lab_helpers.show.inputs import Estimate, Kind, having, several, table
from lab_helpers.traffic import graph

CONFIDENCE = 0.99  # of the interval around the counted share, in which a learner's lies

# What the checks look at.
Counted = table(text=["destination_version", "response_code"], numbers=["requests"])
Total = table(numbers=["requests"])
Seen = table("version", numbers=["status"], measured=["latency_ms"])
Buckets = several(Real, "a list of numbers")
Board = having("panels", "a dashboard")
Window = having("known", "a window, as lab.window() gives it")
Ask = Annotated[
    object, Kind("the questions, as Questions(lab, ...) makes them", lambda each: each if isinstance(each, Questions) else None)
]


@register("08.1", "Counted is sent")
def counted_is_sent(counted: Counted, seen: Seen) -> str:
    """What the proxies counted, split by version and code, equals what was sent, to the last request."""
    told = counted.groupby(["destination_version", "response_code"])["requests"].sum().to_dict()
    sent = seen.assign(version=seen["version"].fillna("unknown"), status=seen["status"].astype(str))
    sent = sent.groupby(["version", "status"]).size().to_dict()
    for key in sorted({*told, *sent}):
        if told.get(key, 0) != sent.get(key, 0):
            what = f"of version {key[0]} with code {key[1]}, {sent.get(key, 0)} were sent and {told.get(key, 0)} counted"
            raise wrong(what, "Do both belong to the same window, and does nobody else call reviews?")
    return f"{sum(sent.values()):,} of {sum(sent.values()):,}, in {len(sent)} parts."


@register("08.2", "The 95th percentile")
def ninety_fifth(estimate: Estimate, seen: Seen, buckets: Buckets) -> str:
    """The estimate lies in the bucket where the measured value lies, or in one next to it: the client times from further off."""
    if seen.empty:
        raise wrong("no request was sent", "Is it the table of lab.observe?")
    measured = seen["latency_ms"].quantile(0.95)
    bounds = [0.0, *sorted(buckets)]
    place = lambda value: sum(bound < value for bound in bounds)  # noqa: E731
    if abs(place(estimate) - place(measured)) > 1:
        raise wrong(
            f"the query says {estimate:.0f} ms, and the client measured {measured:.0f} ms",
            "Is `le` still there when the buckets are summed?",
        )
    return "estimated and measured lie in the same bucket or in neighbouring ones."


@register("08.3", "Two reporters")
def two_reporters(source: Total, destination: Total, answer: int) -> str:
    """Mirrored requests are counted where they arrive; the learner says how many more the destinations count."""
    sent, arrived = int(source["requests"].sum()), int(destination["requests"].sum())
    if not sent:
        raise wrong("the source has counted nothing", "Were requests sent in this window?")
    if arrived == sent:
        raise wrong("both have counted the same", "Was 02-mirror applied before the window began?")
    if answer != arrived / sent:
        raise wrong(f"the destinations have counted {arrived}, the source {sent}", "How many times as much is that?")
    return f"{sent} sent, {arrived} arrived."


@register("08.4", "Retries")
def retries(source: Total, destination: Total, answer: int) -> str:
    """A retried request is one to its caller and several to its server; the learner says how often each was tried."""
    sent, arrived = int(source["requests"].sum()), int(destination["requests"].sum())
    if not sent or arrived == sent:
        raise wrong("nothing was tried again", "Was 03-retry applied before the window began?")
    if answer * sent != arrived:
        raise wrong(f"{sent} requests were tried {arrived} times", "How often is that for each?")
    return f"{sent} requests, {arrived} attempts."


@register("08.5", "A dashboard that shows what was sent")
def dashboard_shows(board: Board, sent: int) -> str:
    """The lines of the service's volume come to about as many requests as were sent: their area, which no pause in between changes."""
    panel = next((each for each in board.panels if each.title == "Incoming Requests By Destination Workload And Response Code"), None)
    if panel is None or panel.data.empty:
        raise wrong("the service dashboard shows no incoming requests", "Choose service=... and the window of the traffic.")
    rates = panel.data.groupby("time")["value"].sum().sort_index()
    step = rates.index.to_series().diff().dt.total_seconds().min()
    shown = rates.sum() * step if len(rates) > 1 else 0
    if not sent / 2 <= shown <= 2 * sent:
        raise wrong(f"its lines come to {shown:.0f} requests, and {sent} were sent", "Is it the dashboard of that service and window?")
    return f"{sum(not each.reason for each in board.panels if each.kind not in ('row', 'text'))} panels with data."


@register("08.6", "The error share by hand")
def error_share(ask: Ask, query: str, window: Window) -> tuple[str, str]:
    """The exercise: a query that gives the share of failed calls to reviews, whatever way it says it; held against what was counted."""
    found = ask.answer(query, window)
    if len(found) != 1:
        raise wrong(
            f"the query gives {len(found)} series",
            "A share is one number: sum over everything else on both sides of the division. No series at all: does the metric exist?",
        )
    counted = graph.requests(ask.lab, window, "source_workload", "destination_service_name", "response_code")
    ours = counted[(counted["source_workload"] == "client") & (counted["destination_service_name"] == "reviews")]
    failed, total = (int(each["requests"].sum()) for each in (ours[ours["response_code"].str.fullmatch(r"5\d\d")], ours))
    if not failed:
        raise wrong("no call of client to reviews has failed in this window", "Was 01-some-fail applied before it began?")
    share, (low, high) = found["value"].iloc[0], rate_interval(failed, total, CONFIDENCE)
    if not low <= share <= high:
        raise wrong(
            f"it gives {share:.3f}, and {failed} of {total} calls failed",
            "Which requests stand above the line, which below? And did both counters exist before the range begins?",
        )
    return f"{share:.1%} of them failed.", f"Counted: {failed} of {total}, with a {CONFIDENCE:.0%} interval from {low:.1%} to {high:.1%}."
