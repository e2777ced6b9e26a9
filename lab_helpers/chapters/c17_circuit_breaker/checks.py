"""Checks of chapter 17_circuit_breaker."""

from __future__ import annotations

from lab_helpers.chapters.c17_circuit_breaker.fortio import Load, load
from lab_helpers.chapters.c17_circuit_breaker.proxy import limits
from lab_helpers.core.statistics import rate_interval
from lab_helpers.show.checks import register, wrong
from lab_helpers.show.inputs import table

UNBOUNDED = 2**32 - 1  # what Istio gives Envoy where nobody has set a limit
CONFIDENCE = 1 - 1e-5
FEW, MANY = 8, 32  # callers of the exercise: all of the few are served, of the many some are refused
UNDER_WAY = 2  # connections of the exercise

# What the checks look at.
Curve = table(numbers=["connections", "requests", "refused", "failed"])
Told = table(text=["response_code", "response_flags"], numbers=["requests"])
Seen = table(numbers=["status"])
Pods = table("version", numbers=["requests", "failed"], flags=["left_out"])


@register("17.1", "Where the requests were")
def where_they_wait(lab, answer: str) -> str:
    """The limit on requests that wait is the one that nobody has set."""
    now = limits(lab)
    if now.get("max_connections") != 1:
        raise wrong("fortio's proxy may open as many connections to productpage as it likes", "Is the article's rule applied?")
    if answer not in now:
        raise wrong(f"the proxy has no limit that is called {answer!r}", f"It has {', '.join(sorted(now))}.")
    if now[answer] < UNBOUNDED:
        raise wrong(f"{answer} is {now[answer]}, so it has a bound", "Look for 4294967295, which stands for none.")
    if answer != "max_pending_requests":
        raise wrong(f"{answer} has no bound either, and fortio's requests are no retries", "What is a request that has no connection yet?")
    return "Requests without a connection are pending, and as many as like may be."


@register("17.2", "The curve")
def curve_rises(points: Curve) -> str:
    """Nobody is refused as long as one is under way and one waits; with more callers the share grows."""
    callers = sorted(points["connections"].unique())
    if len(callers) < 4 or callers[0] > 1 or callers[-1] < 8:
        raise wrong(f"{len(callers)} numbers of callers are no curve", "Take four or more, from 1 to at least 8.")
    lost = points[points["failed"] > 0]
    if len(lost):
        raise wrong(f"{lost['failed'].iloc[0]:.0f} requests failed in another way than by 503", "See kubectl get pods; then run it again.")
    early = points[(points["connections"] <= 2) & (points["refused"] > 0)]
    if len(early):
        raise wrong(
            f"{early['refused'].iloc[0]:.0f} requests were refused with {early['connections'].iloc[0]:.0f} callers",
            "One has the connection and one may wait: is 05-kept-open.yaml applied?",
        )
    sums = points.groupby("connections")[["refused", "requests"]].sum()
    spans = [rate_interval(int(each.refused), int(each.requests), CONFIDENCE) for each in sums.itertuples()]
    if spans[-1][0] <= 0:
        raise wrong(f"with {callers[-1]:.0f} callers it is not sure that any are refused", "Send more requests; is the rule in effect?")
    for before, after, many in zip(spans, spans[1:], callers[1:], strict=False):
        if after[1] < before[0]:
            raise wrong(f"with {many:.0f} callers a smaller share is refused than with fewer", "Has somebody changed the rule meanwhile?")
    return (
        f"None of one or two callers' requests; of {callers[-1]:.0f} callers' {sums['refused'].iloc[-1] / sums['requests'].iloc[-1]:.0%}."
    )


@register("17.3", "Three that counted")
def counted_alike(run: Load, overflow: int, told: Told) -> str:
    """What fortio got as 503, what its proxy counted as overflow, and what Prometheus knows under the flag UO are the same number."""
    if not run.refused:
        raise wrong("fortio was never answered 503", "Take more callers.")
    if overflow != run.refused:
        more = "more" if overflow > run.refused else "fewer"
        raise wrong(
            f"the proxy counted {overflow:.0f}, {more} than fortio's {run.refused}", "Read the counter right before, and right after."
        )
    flagged = int(told.loc[told["response_flags"].str.split(",").map(lambda flags: "UO" in flags), "requests"].sum())
    if flagged != run.refused:
        raise wrong(f"{flagged} requests have the flag UO, and fortio got {run.refused} times 503", "Is it the window of that run?")
    return f"{run.refused} times 503, {overflow:.0f} overflows, {flagged} requests with the flag UO."


@register("17.4", "One caller's limit")
def others_untouched(run: Load, seen: Seen) -> str:
    """While one client is refused a lot, another one is not refused at all."""
    if run.refused < run.requests / 4:
        raise wrong(f"fortio was refused only {run.refused} of {run.requests} times", "Take more callers: is the rule in effect?")
    if len(seen) < 20:
        raise wrong(f"{len(seen)} requests of client do not say much", "Send at least 20.")
    failed = seen[seen["status"] != 200]
    if len(failed):
        raise wrong(f"{len(failed)} of client's {len(seen)} requests got {failed['status'].iloc[0]:.0f}", "Does client send one at a time?")
    return f"fortio: {run.refused} of {run.requests} refused. client: {len(seen)} of {len(seen)} answered."


@register("17.5", "Left out")
def left_out(pods: Pods, answer: str) -> str:
    """The pod that fails, and no other, is left out."""
    out = list(pods.loc[pods["left_out"], "version"])
    if not out:
        raise wrong("no pod is left out", "How many of its answers failed, running? And how many percent of the pods may go?")
    if answer not in list(pods["version"]):
        raise wrong(f"no pod has the version {answer!r}", f"There are {', '.join(pods['version'])}.")
    if answer not in out:
        raise wrong(f"{answer} still gets requests", "Look at the column left_out.")
    if len(out) > 1:
        raise wrong(f"{', '.join(out)} are left out", "Only one of them fails: wait until the others are back.")
    return f"{answer} is left out after {pods.loc[pods['version'] == answer, 'failed'].iloc[0]:.0f} failures; {len(pods) - 1} others go on."


@register("17.6", "Taken back")
def taken_back(before: Pods, after: Pods) -> str:
    """No pod is left out, and the one that had been has answered again."""
    out = list(after.loc[after["left_out"], "version"])
    if out:
        raise wrong(f"{out[0]} is left out", "It is taken back when its time is over: until_back(lab).")
    had = list(before.loc[before["failed"] > 0, "version"])
    if not had:
        raise wrong("nobody had failed before", "before is the table of the moment when v4 was mended.")
    grown = after.set_index("version")[["requests", "failed"]] - before.set_index("version")[["requests", "failed"]]
    if grown.loc[had[0], "requests"] <= 0:
        raise wrong(f"{had[0]} has got no request since", "Send some: load(lab, 1, 100, 'reviews').")
    if grown.loc[had[0], "failed"] > 0:
        raise wrong(f"{grown.loc[had[0], 'failed']:.0f} requests to {had[0]} failed again", "Does it answer 200 now? Have it mended first.")
    return f"{had[0]} has answered {grown.loc[had[0], 'requests']:.0f} requests since, and failed none."


@register("17.7", "A breaker of your own")
def own_breaker(lab) -> str:
    """Two connections to details; eight callers are all served, of thirty-two some are refused."""
    now = limits(lab, "details")
    if now.get("max_connections") != UNDER_WAY:
        said = "no limit" if now.get("max_connections", UNBOUNDED) == UNBOUNDED else f"a limit of {now['max_connections']}"
        raise wrong(f"fortio's proxy has {said} on connections to details", f"It should be {UNDER_WAY}: connectionPool, tcp.")
    few = load(lab, FEW, 25 * FEW, "details")
    if few.refused:
        raise wrong(
            f"with {FEW} callers, {few.refused} of {few.requests} requests were refused", "May enough of them wait, also at the start?"
        )
    many = load(lab, MANY, 25 * MANY, "details")
    if not many.refused:
        raise wrong(f"with {MANY} callers, none of {many.requests} requests was refused", "How many may wait?")
    return f"{FEW} callers: none refused. {MANY} callers: {many.refused} of {many.requests} refused."
