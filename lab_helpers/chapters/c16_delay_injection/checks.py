"""Checks of chapter 16_delay_injection."""

from __future__ import annotations

import pandas as pd

from lab_helpers.core.statistics import goodness_of_fit, power, required_n
from lab_helpers.show.checks import register, wrong
from lab_helpers.show.inputs import table
from lab_helpers.traffic import pages

HALF, FIFTH = {"at once": 50, "late": 50}, {"at once": 80, "late": 20}
# The fault that must not be missed, for each of the checks that judge shares, and how surely it is found.
FAULTS = {"16.1": {"at once": 100, "late": 0}, "16.2": {"at once": 100, "late": 0}, "16.3": {"at once": 100, "late": 0}}
POWER = 0.995
SECONDS = {"v2": 10.0, "v3": 2.5, "productpage": 3.0}  # after which each of them gives up
NEAR, SLACK = 0.3, 1.5  # seconds that an answer may differ from these; and that a page may take longer, on a busy machine
PAGES = 32  # all three versions show themselves on so many, but once in a hundred thousand times

# What the checks look at.
Seen = table(numbers=["status", "latency_ms"])
Versions = table("version", numbers=["latency_ms"])
Pages = table("version", text=["ratings"], numbers=["status", "latency_ms"], flags=["details"])


@register("16.1", "Seven seconds, cut short")
def cut_short(read: Pages) -> tuple[str, str]:
    """Half of the pages take three seconds and have no details; the others have them at once."""
    _all_there(read)
    late, soon = read[~read["details"]], read[read["details"]]
    sentence, more = _share("16.1", {"at once": len(soon), "late": len(late)}, HALF, "pages")
    shortest, longest = late["latency_ms"].min() / 1000, late["latency_ms"].max() / 1000
    if not 2.9 < shortest <= longest < 3 + SLACK:
        hint = "Is the delay at details, and longer than three seconds? kubectl get virtualservice details -o yaml."
        raise wrong(f"the pages without details took {shortest:.1f} to {longest:.1f} s", hint)
    if soon["latency_ms"].max() > 2900:
        raise wrong(
            f"a page with details took {soon['latency_ms'].max() / 1000:.1f} s", "Nobody can wait so long for them. Is the machine busy?"
        )
    return f"{sentence} They took {shortest:.1f} to {longest:.1f} s, and have no details.", more


@register("16.2", "Two seconds, waited out")
def waited_out(read: Pages) -> tuple[str, str]:
    """Half of the pages take two seconds longer, and every one has its details."""
    _all_there(read)
    if not read["details"].all():
        raise wrong(f"{(~read['details']).sum()} pages have no details", "Is the delay shorter than what the page waits for?")
    late = read[read["latency_ms"] >= 2000]
    sentence, more = _share("16.2", {"at once": len(read) - len(late), "late": len(late)}, HALF, "pages")
    longest = late["latency_ms"].max() / 1000
    if longest > 2 + SLACK:
        raise wrong(f"a page took {longest:.1f} s", "Is the delay two seconds?")
    return f"{sentence} All of them have details.", more


@register("16.3", "Which of the two fields")
def percentage_holds(seen: Seen, answer: float) -> tuple[str, str]:
    """Of `percent` and `percentage`, the second is followed where both are given."""
    late = int((seen["latency_ms"] >= 1000).sum())
    sentence, more = _share("16.3", {"at once": len(seen) - late, "late": late}, FIFTH, "requests")
    if answer != 20:
        raise wrong(f"{answer:g} % is not what happened", "Count the late ones in the picture.")
    return sentence, more


@register("16.4", "Three clocks")
def three_clocks(direct: Versions, read: Pages, answer: dict) -> str:
    """How long v2 and v3 of reviews wait for ratings, and how long the page waits for reviews."""
    longest = {}
    for version, seconds in (("v1", 0.0), ("v2", SECONDS["v2"]), ("v3", SECONDS["v3"])):
        own = direct[direct["version"] == version]["latency_ms"] / 1000
        if not len(own):
            raise wrong(f"reviews {version} has not answered at all", "Send more requests, and see kubectl get pods.")
        longest[version] = own.median()
        if not seconds - 0.1 < own.median() < seconds + SLACK:
            raise wrong(f"reviews {version} answered after {own.median():.1f} s", "Is the delay at ratings, for all calls, and 12 s?")
    _all_there(read)
    fastest = read["latency_ms"].min() / 1000
    if not 5.9 < fastest < 6 + SLACK or read["version"].notna().any():
        raise wrong(f"the fastest page took {fastest:.1f} s, and reviews should be missing on all", "Is reviews slow for productpage, too?")
    for name, seconds in SECONDS.items():
        said = answer.get(name, ...)
        if said is ...:
            raise wrong(f"your answer for {name} is missing", f'Write it in seconds: "{name}": 1.5, say.')
        if isinstance(said, bool) or not isinstance(said, int | float) or abs(said - seconds) > NEAR:
            hint = (
                "The page asks reviews twice: the longest pages are two of these."
                if name == "productpage"
                else "Read it off the row of that version."
            )
            raise wrong(f"{name} does not give up after {said} s", hint)
    return f"v2 gives up after {longest['v2']:.1f} s, v3 after {longest['v3']:.1f} s, and the page after 3 s, twice."


@register("16.5", "A timeout beside a delay, and one above it")
def timeouts(beside: Seen, above: Versions, page: Versions) -> str:
    """Beside the delay the timeout never runs out; one hop above it does, and the page asks twice."""
    slow = beside["latency_ms"] / 1000
    if (beside["status"] != 200).any() or slow.min() < 1.9:
        raise wrong(
            "beside the delay, not every call was answered 200 after two seconds", "Ask ratings while 06-timeout-beside.yaml is applied."
        )
    own, cut = above[above["version"] == "v1"], above[above["version"].isna()]
    if not len(cut):
        raise wrong("one hop above, no call was cut short", "Ask reviews while 07-timeout-above.yaml is applied.")
    took = cut["latency_ms"].median() / 1000
    if not 0.45 < took < 0.5 + SLACK:
        raise wrong(f"one hop above, calls were cut short after {took:.1f} s", "Look at the timeout of VirtualService reviews.")
    if len(own) + len(cut) < len(above):
        raise wrong("one hop above, versions that ask ratings have answered", "Is the delay still at ratings, for all calls?")
    without = page[page["version"].isna()]["latency_ms"] / 1000
    if not len(without) or not 0.95 < without.median() < 1 + SLACK:
        raise wrong("the page's calls that got no reviews did not take two timeouts", "Ask while both rules are applied.")
    told = f"beside, the calls took {slow.median():.1f} s and were fine; above, they were cut after {took:.1f} s"
    return f"{told}, and the page's call that got none took {without.median():.1f} s."


@register("16.6", "Black stars, no red ones, and every review")
def between_two_clocks(lab) -> str:
    """A delay of ratings that v3 does not wait for, and v2 and the page do."""
    read = pages.read(lab, PAGES, parallel=10)  # more at once, and they wait for threads of reviews
    _all_there(read)
    gone = read[read["version"].isna()]
    if len(gone):
        raise wrong(f"{len(gone)} of {len(read)} pages have lost their reviews", "The page did not wait so long. Make the delay shorter.")
    for version, wanted, hint in (
        ("v2", "stars", "It waits for ten seconds. Is there a delay, and no abort?"),
        ("v3", "unavailable", "It had the patience. Make the delay longer, and have it for every call."),
    ):
        own = read[read["version"] == version]
        off = own[own["ratings"] != wanted]
        if not len(own):
            raise wrong(f"no page has reviews by {version}", "Does some other rule send everybody elsewhere? kubectl get virtualservices.")
        if len(off):
            raise wrong(f"{len(off)} of {len(own)} pages with reviews by {version} show {off['ratings'].iloc[0]}, not {wanted}", hint)
    return f"{len(read)} pages, all of them with reviews, the slowest after {read['latency_ms'].max() / 1000:.1f} s."


def _all_there(read: pd.DataFrame) -> None:
    bad = read[read["status"] != 200]
    if len(bad):
        raise wrong(f"{len(bad)} of {len(read)} pages have the status {bad['status'].iloc[0]:g}", "Look at the page itself: lab.page().")


def _share(number: str, counts: dict[str, int], wanted: dict[str, float], what: str) -> tuple[str, str]:
    n, needed = sum(counts.values()), required_n(wanted, FAULTS[number], wanted_power=POWER)
    if n < needed:
        raise wrong(f"{n} {what} are too few to tell", f"Not to miss {FAULTS[number]['late']} % takes {needed}.")
    fit = goodness_of_fit(counts, wanted)
    if not fit.passed:
        hint = "Look at the percentage, and at who else has a rule for this host."
        raise wrong(f"{counts['late']} of {n} {what} were late, and {wanted['late']:g} % should be ({fit})", hint)
    found = power(n, wanted, FAULTS[number])
    more = f"{fit}. A mesh that delays {FAULTS[number]['late']} % is found by so many in {100 * found:.1f} % of all runs."
    return f"{counts['late']} of {n} {what} were late; {wanted['late']:g} % was asked for.", more
