"""Checks of chapter 15_fault_injection."""

from __future__ import annotations

import pandas as pd

from lab_helpers.chapters.c15_fault_injection.readers import outcomes
from lab_helpers.core.statistics import goodness_of_fit, power, rate_at_most, required_n
from lab_helpers.show.checks import register, wrong
from lab_helpers.show.inputs import Pair, table
from lab_helpers.traffic import pages

ASKED = {"answered": 70, "aborted": 30}
BESIDE, ABOVE = {"answered": 50, "aborted": 50}, {"answered": 87.5, "aborted": 12.5}
# The fault that must not be missed, for each of the checks that judge shares, and how surely it is found.
FAULTS = {
    "15.1": {"answered": 60, "aborted": 40},
    "15.2": {"answered": 30, "aborted": 70},
    "15.5": {"answered": 50, "aborted": 50},
    "15.7": {"answered": 75, "aborted": 25},
}
POWER = 0.995
UNTOUCHED = 300  # of so many without an exception, with 99 % confidence fewer than 1.6 % are touched
PAGES = 60  # all three versions show themselves on so many, but once in ten billion times

# What the checks look at.
Seen = table(numbers=["status"])
Pages = table("version", text=["ratings"], numbers=["status"])
Counted = table(text=["destination_service_name", "response_code", "response_flags"], numbers=["requests"])


@register("15.1", "30 of 100 are aborted")
def a_share_is_aborted(seen: Seen) -> tuple[str, str]:
    """The share of 403 is the one that was asked for, judged on enough requests."""
    return _share("15.1", outcomes(seen), ASKED)


@register("15.2", "What the readers see")
def readers_go_without_stars(seen: Pages) -> tuple[str, str]:
    """Every page is a 200; of those that ask for ratings, the share that goes without is the share that is aborted."""
    bad = seen[seen["status"] != 200]
    if len(bad):
        raise wrong(f"{len(bad)} of {len(seen)} pages have the status {bad['status'].iloc[0]:g}", "Look at the page itself: lab.page().")
    asking = seen[seen["version"].isin(["v2", "v3"])]
    own = seen[(seen["version"] == "v1") & (seen["ratings"] != "none")]
    if len(own):
        raise wrong(f"a page with reviews by v1 shows {own['ratings'].iloc[0]}", "v1 asks nobody for ratings.")
    counts = {"answered": int((asking["ratings"] == "stars").sum()), "aborted": int((asking["ratings"] == "unavailable").sum())}
    if sum(counts.values()) != len(asking):
        raise wrong(f"a page with reviews by {asking['version'].iloc[0]} shows neither stars nor an excuse", "Look at it: lab.page().")
    sentence, more = _share("15.2", counts, ASKED, "pages with reviews by v2 or v3", "go without")
    return f"{len(seen)} pages, all 200; {sentence[0].lower()}{sentence[1:]}", more


@register("15.3", "Who knows of it")
def only_the_caller_knows(told: Counted, heard: Counted, answer: str) -> str:
    """The client proxies have counted aborted calls, with a flag; the server proxy has counted none of them."""
    aborted = _of(told, "ratings", "403")
    if not len(aborted):
        raise wrong("no client proxy has counted a 403 from ratings", "Is the fault applied, and was the window long enough?")
    if len(_of(heard, "ratings", "403")):
        raise wrong(
            "the server proxy of ratings has counted 403s as well", "Then somebody denied them there: kubectl get authorizationpolicy."
        )
    flags = set(aborted["response_flags"])
    if answer not in flags:
        raise wrong(f"{answer!r} is not the flag of these requests", "It is in the row with the 403, in the column response_flags.")
    return f"{aborted['requests'].sum():g} aborted calls with the flag {answer}, and the server proxy of ratings has heard of none."


@register("15.4", "Two kinds of 403")
def two_kinds(told: Counted, heard: Counted, answer: Pair) -> str:
    """The fault's 403 carries a flag and is the caller's secret; the policy's carries none, and both proxies have counted it."""
    by_fault, by_policy = _of(told, "ratings", "403"), _of(told, "details", "403")
    if not len(by_fault) or not len(by_policy):
        missing = "ratings" if not len(by_fault) else "details"
        raise wrong(f"the client proxy has counted no 403 from {missing}", "Apply 02-two-kinds.yaml, and ask both.")
    if len(_of(heard, "ratings", "403")) or not len(_of(heard, "details", "403")):
        raise wrong("the server proxies have counted something else than the policy's 403", "Was there other traffic in this window?")
    flags = (by_fault["response_flags"].iloc[0], by_policy["response_flags"].iloc[0])
    if tuple(answer) != flags:
        raise wrong(f"the flags are not {answer[0]!r} and {answer[1]!r}", "First that of ratings, then that of details.")
    return f"the fault's has the flag {flags[0]}, the policy's {flags[1]}; only the policy's is known to who was called."


@register("15.5", "Only testing-user")
def only_one_user(mine: Seen, others: Seen) -> tuple[str, str]:
    """The one user's requests are aborted as asked for, and nobody else's."""
    touched = others[others["status"] != 200]
    if len(touched):
        status = touched["status"].iloc[0]
        raise wrong(
            f"{len(touched)} of {len(others)} requests of the others got {status:g}", "Is there a route without a fault below the match?"
        )
    if len(others) < UNTOUCHED:
        raise wrong(f"{len(others)} requests of the others do not prove much", f"Send {UNTOUCHED}.")
    sentence, more = _share("15.5", outcomes(mine), ASKED)
    most = 100 * rate_at_most(0, len(others))
    return (
        f"{sentence} Of the others, none of {len(others)}.",
        f"{more} With 99 % confidence, less than {most:.1f} % of the others are touched.",
    )


@register("15.6", "Per cent")
def percent_is_meant(seen: Seen, answer: float) -> str:
    """A fault without a percentage never fires, and the learner reads the field as per cent."""
    fired = seen[seen["status"] != 200]
    if len(fired):
        raise wrong(f"{len(fired)} of {len(seen)} requests got {fired['status'].iloc[0]:g}", "Apply 04-no-percentage.yaml first.")
    if len(seen) < 100:
        raise wrong(f"{len(seen)} requests do not say much", "Send 200.")
    if answer != 5:
        raise wrong(f"value: 0.5 does not abort {answer:g} of 1,000 requests", "The field is per cent: of 100, not of 1.")
    return f"no percentage, no fault in {len(seen)} requests; and 0.5 is 5 of 1,000."


@register("15.7", "Retries, beside and above")
def retries(beside: Seen, above: Seen) -> tuple[str, str]:
    """Beside a fault, retries change nothing; one hop above, each retry meets the fault anew."""
    first, more = _share("15.7", outcomes(beside, 503), BESIDE, "requests with the retries beside the fault")
    second, yet_more = _share("15.7", outcomes(above, 503), ABOVE, "requests with the retries one hop above")
    return f"{first} {second}", f"{more} {yet_more}"


@register("15.8", "Red stars for nobody")
def no_red_stars(lab) -> str:
    """Pages with reviews by v3 say that ratings are unavailable, those by v2 have their stars, and all are 200."""
    seen = pages.read(lab, PAGES)
    bad = seen[seen["status"] != 200]
    if len(bad):
        raise wrong(
            f"{len(bad)} of {len(seen)} pages have the status {bad['status'].iloc[0]:g}", "Is the fault at ratings, and only there?"
        )
    for version, wanted in (("v2", "stars"), ("v3", "unavailable"), ("v1", "none")):
        own = seen[seen["version"] == version]
        off = own[own["ratings"] != wanted]
        if not len(own):
            raise wrong(f"no page has reviews by {version}", "Does some other rule send everybody elsewhere? kubectl get virtualservices.")
        if len(off):
            hint = (
                "Whose calls are they? sourceLabels names pods by their labels." if version != "v3" else "All calls of v3, so 100 per cent."
            )
            raise wrong(f"{len(off)} of {len(own)} pages with reviews by {version} show {off['ratings'].iloc[0]}, not {wanted}", hint)
    return f"{len(seen)} pages, all 200: v3 goes without, v2 has its stars."


def _of(counted: pd.DataFrame, service: str, code: str) -> pd.DataFrame:
    own = counted["destination_service_name"] == service
    return counted[own & (counted["response_code"] == code) & (counted["requests"] > 0)]


def _share(
    number: str, counts: dict[str, int], wanted: dict[str, float], what: str = "requests", were: str = "were aborted"
) -> tuple[str, str]:
    strangers = sorted(name for name, count in counts.items() if count and name not in wanted)
    if strangers:
        raise wrong(f"{counts[strangers[0]]} {what} got {strangers[0]}, which nobody asked for", "See kubectl get virtualservice -o yaml.")
    n, needed = sum(counts.values()), required_n(wanted, FAULTS[number], wanted_power=POWER)
    if n < needed:
        raise wrong(f"{n} {what} are too few to tell", f"Not to miss {FAULTS[number]['aborted']} % takes {needed:,}.")
    fit, share = goodness_of_fit(counts, wanted), 100 * counts["aborted"] / n
    if not fit.passed:
        hint = "Look at the percentage, and at who else has a rule for this host."
        raise wrong(f"of {n:,} {what}, {share:.1f} % {were}, not {wanted['aborted']:g} % ({fit})", hint)
    found = power(n, wanted, FAULTS[number])
    more = f"{fit}. A mesh that aborts {FAULTS[number]['aborted']} % is found by so many in {100 * found:.1f} % of all runs."
    return f"Of {n:,} {what}, {share:.1f} % {were}; {wanted['aborted']:g} % was asked for.", more
