"""Checks of chapter 14_mirroring."""

from __future__ import annotations

import pandas as pd

from lab_helpers.chapters.c14_mirroring.ends import ENDS, both_ends
from lab_helpers.core.statistics import goodness_of_fit, power, rate_at_most, required_n
from lab_helpers.show.checks import register, wrong
from lab_helpers.show.inputs import table
from lab_helpers.traffic import observe, prometheus

CALLERS, ARRIVED = ENDS.values()
SEEN_ALL = 200  # of so many answered by one version, with 99 % confidence the others answer less than 2.3 %
QUARTER, HALF = {"copied": 25, "not copied": 75}, {"copied": 50, "not copied": 50}
FAULTS = {"14.5": {"copied": 40, "not copied": 60}, "14.7": {"copied": 70, "not copied": 30}}  # that must not be missed
POWER = 0.995
PATIENCE = 1000.0  # ms: who waits for a version that never answers waits longer

# What the checks look at.
Seen = table("version", numbers=["status", "latency_ms"])
Ends = table(numbers=[CALLERS, ARRIVED])
Heard = table(text=["version", "host", "request id"])
Traces = table(numbers=["spans"])
Sent = table(numbers=["requests", "open", "failed"])


@register("14.1", "A copy of each, and no answer of a copy")
def copied(seen: Seen, ends: Ends) -> str:
    """All answers are v2's; as many requests as v2 got have arrived at v3, and no caller has counted one of them."""
    n = _all_v2(seen)
    if len(seen) < SEEN_ALL:
        raise wrong(f"{len(seen)} requests do not say much", f"Send {SEEN_ALL}.")
    v2, v3 = _arrived(ends, "reviews-v2"), _arrived(ends, "reviews-v3")
    if v2 != n:
        raise wrong(f"{n} were answered, and {v2} have arrived at v2", "Do both belong to the same window, and does nobody else call?")
    if v3 != v2:
        raise wrong(f"v2 got {v2} and v3 got {v3}", "Was the mirror in force before the window began? Does it say mirrorPercentage?")
    if told := int(ends[CALLERS].get("reviews-v3", 0)):
        raise wrong(f"callers have counted {told} requests to v3", "A copy counts where it arrives only. Is there a weight for v3?")
    return f"{n} answers, all by v2 (others: less than {100 * rate_at_most(0, n):.1f} %, with 99 % confidence); {v3} copies arrived."


@register("14.2", "What it costs behind")
def cost(before: Ends, after: Ends, answer: float) -> str:
    """How many times as often ratings is asked for each request of a user, by what arrived there with and without the mirror."""
    asked = []
    for ends, when in ((before, "without the mirror"), (after, "with the mirror")):
        users, behind = _arrived(ends, "reviews-v2"), _arrived(ends, "ratings-v1")
        if not users or not behind:
            raise wrong(f"nothing has arrived {when}", "Is it the table of a window in which requests were sent?")
        asked.append(behind / users)
    factor = asked[1] / asked[0]
    if factor == 1:
        raise wrong("ratings was asked as often in both", "Which of the two windows was with the mirror?")
    if answer != factor:
        raise wrong(
            f"{asked[0]:g} for each of v2's before and {asked[1]:g} after", "Compare what arrived at ratings-v1 with what arrived at v2."
        )
    return f"{asked[0]:g} for each request before, {asked[1]:g} now."


@register("14.3", "A request and its copy")
def same_request(copies: Heard, answer: str) -> str:
    """The two versions have logged one request each; the learner names the column by which they are found to be one."""
    by_version = copies.groupby("version").size().to_dict()
    if by_version != {"v2": 1, "v3": 1}:
        told = ", ".join(f"{version}: {count}" for version, count in by_version.items()) or "nobody anything"
        raise wrong(f"the logs hold {told}", "One request, with a user-agent that nobody has used before: one line in each of the two.")
    if answer not in copies.columns:
        raise wrong(f"there is no column {answer!r}", f"They are: {', '.join(copies.columns)}.")
    if copies[answer].nunique() != 1:
        raise wrong(f"the two differ in their {answer}", "Look for what is the same in both.")
    if answer != "request id":
        raise wrong(f"{answer} is the same in both, and in many other requests as well", "What has only this request?")
    return f"{copies['request id'].iloc[0][:8]}… in both; the copy's Host is {copies.set_index('version')['host']['v3']}."


@register("14.4", "Where it is not seen")
def not_traced(traces: Traces, ends: Ends, answer: str) -> str:
    """Where the new version's work is found: the traces hold v2's only, the counters on arrival both."""
    if traces.empty:
        raise wrong("there are no traces", "Is every request traced, and is Zipkin or Jaeger there? See chapter 7.")
    if not _arrived(ends, "reviews-v3"):
        raise wrong("nothing has arrived at v3", "Is it the window with the mirror?")
    if answer not in ("traces", "source", "destination"):
        raise wrong(f"{answer!r} is none of the three", "It is traces, source or destination.")
    if answer == "traces":
        raise wrong(f"the traces have {traces['spans'].max():g} spans at most", "How many would a page of v2 alone have?")
    if answer == "source":
        raise wrong(f"callers have counted {int(ends[CALLERS].get('reviews-v3', 0))} requests to v3", "Who counts what arrives?")
    return f"{_arrived(ends, 'reviews-v3')} requests, counted on arrival."


@register("14.5", "One in four")
def quarter(ends: Ends) -> tuple[str, str]:
    """The copies are a quarter of v2's requests, judged on enough of them."""
    return _share("14.5", _arrived(ends, "reviews-v2"), _arrived(ends, "reviews-v3"), QUARTER)


@register("14.6", "Nobody harmed")
def nobody_harmed(calm: Seen, seen: Seen, sent: Sent) -> str:
    """Copies went to a version that fails and to one that hangs, and users got what they had got before."""
    n = _all_v2(seen)
    _all_v2(calm)
    if n < SEEN_ALL:
        raise wrong(f"{n} requests do not say much", f"Send {SEEN_ALL}.")
    failed, hang = (int(sent[column].get(version, 0)) for column, version in (("failed", "v4"), ("open", "v5")))
    if failed < n:
        raise wrong(f"{failed} copies have failed at v4, and {n} were sent", "Is the mirror to both in force, and v4 running?")
    if hang < n:
        raise wrong(f"{hang} copies are open at v5, and {n} were sent", "Look before a timeout is set; is v5 running?")
    slow = seen["latency_ms"].quantile(0.95)
    if slow > PATIENCE + calm["latency_ms"].quantile(0.95):
        raise wrong(f"one in twenty took over {slow:.0f} ms", "Was something else slow? Look at kubectl top pods, and send them again.")
    median = [each["latency_ms"].median() for each in (calm, seen)]
    return f"{n} of {n} answered by v2; half of them within {median[1]:.0f} ms, before it was {median[0]:.0f} ms."


@register("14.7", "Two mirrors")
def two_mirrors(lab) -> tuple[str, str]:
    """The exercise: v2 answers, v3 gets a copy of each, v1 of half of them, by what arrives."""
    n = required_n(HALF, FAULTS["14.7"], wanted_power=POWER)
    with prometheus.window(lab) as window:
        seen = observe.observe(lab, "reviews", n=n, parallel=4)
    _all_v2(seen)
    ends = both_ends(lab, window)
    if (found := _arrived(ends, "reviews-v3")) != n:
        raise wrong(f"of {n} requests, {found} were copied to v3", "Each item of mirrors has a destination, and a percentage of its own.")
    return _share("14.7", n, _arrived(ends, "reviews-v1"), HALF)


def _all_v2(seen: pd.DataFrame) -> int:
    failed = seen[seen["status"] != 200]
    if len(failed):
        status = failed["status"].iloc[0]
        raise wrong(f"{len(failed)} of {len(seen)} requests failed, the first with status {status:g}", "Look at the route, not the mirror.")
    others = sorted(set(seen["version"].fillna("nobody")) - {"v2"})
    if others or seen.empty:
        raise wrong(f"{', '.join(others) or 'nobody'} answered", "The only destination of the route should be v2.")
    return len(seen)


def _arrived(ends: pd.DataFrame, workload: str) -> int:
    return int(ends[ARRIVED].get(workload, 0))


def _share(number: str, n: int, copies: int, wanted: dict[str, int]) -> tuple[str, str]:
    needed, fault = required_n(wanted, FAULTS[number], wanted_power=POWER), FAULTS[number]
    if n < needed:
        raise wrong(f"{n} requests are too few to tell", f"Not to miss {fault['copied']} % takes {needed:,}.")
    if copies > n:
        raise wrong(f"{copies} copies of {n} requests have arrived", "Does somebody else call that version?")
    fit = goodness_of_fit({"copied": copies, "not copied": n - copies}, wanted)
    if not fit.passed:
        raise wrong(f"{copies} of {n} were copied, {100 * copies / n:.1f} % ({fit})", f"It should be {wanted['copied']} %.")
    found = power(n, wanted, fault)
    return (
        f"{copies:,} of {n:,}, which agrees.",
        f"{fit}. A mesh that copies {fault['copied']} % is found in {100 * found:.2f} % of all runs.",
    )
