"""Checks of chapter 13_ab_testing."""

from __future__ import annotations

import pandas as pd

from lab_helpers.show.checks import given, register, wrong
from lab_helpers.show.inputs import Words, table
from lab_helpers.traffic import observe

FEWEST = 12  # pages: a mesh without the rule gives the same version so often in a row once in 177,147 times
PLACES = {"browser", "gateway", "productpage", "sidecar"}
# What a rule for "the cookie group=b, among others or not" has to take and to leave, as a browser would send it.
OURS = ("group=b", "group=b; session=x", "session=x; group=b", "a=1; group=b; z=2")
OTHERS = ("group=a", "group=bb", "subgroup=b", "note=group=b", "session=x; group=a")
EACH = 4  # requests for each cookie

# What the checks look at.
Visitors = table("name on the page", text=["visitor", "version"], numbers=["pages"])
Seen = table("version", numbers=["status"])
Newcomers = table(text=["group", "versions"], flags=["changed"])


@register("13.1", "One user, and everybody else")
def one_user(visitors: Visitors) -> str:
    """The user quentin gets v3, at least two others get v2, and the application knows which of them is quentin."""
    _enough(visitors)
    names = visitors["name on the page"].astype(str)
    if not (names == "quentin").any():
        raise wrong("nobody is logged in as quentin", "Is the visitor's browser the one that has logged in?")
    if (names != "quentin").sum() < 2:
        raise wrong("there is nobody to compare quentin with", "Have somebody without a name open pages, too, and somebody with another.")
    for visitor, version, name in zip(visitors["visitor"], visitors["version"], names, strict=True):
        due = "v3" if name == "quentin" else "v2"
        if version != due:
            raise wrong(f"{visitor} got {version}, and should get {due}", "Look at the rule: kubectl get virtualservice reviews -o yaml.")
    return f"quentin got v3, and {(names != 'quentin').sum()} others v2, each on every page."


@register("13.2", "Who writes the header")
def who_writes(outside: Seen, inside: Seen, answer: str) -> str:
    """Sent to productpage, the header never got to reviews; sent straight to reviews, it did. The learner says who wrote it for quentin."""
    for seen, due, where in ((outside, "v2", "through the gateway"), (inside, "v3", "straight to reviews")):
        found = _versions(seen, where)
        if found != {due}:
            raise wrong(f"{where}, {', '.join(sorted(found))} answered", "Is the rule for quentin in force, and was end-user sent along?")
    if answer not in PLACES:
        raise wrong(f"{answer!r} is none of the four", f"They are: {', '.join(sorted(PLACES))}.")
    if answer != "productpage":
        raise wrong(
            f"{answer} has passed the same request on in both experiments of step 2, and no header appeared",
            "Who knows what is in the session, and makes a new request of its own?",
        )
    return f"{len(outside)} requests carried it to the gateway and got v2; {len(inside)} carried it to reviews and got v3."


@register("13.3", "Phones")
def phones(phone: Seen, desk: Seen) -> str:
    """Every page for a phone has v3, every other one v2."""
    for seen, due, who in ((phone, "v3", "a phone"), (desk, "v2", "a browser at a desk")):
        found = _versions(seen, f"for {who}")
        if found != {due}:
            raise wrong(f"{who} got {', '.join(sorted(found))}, and should get {due}", "Which rule was in force, and what did each send?")
    return f"{len(phone)} pages for phones, {len(desk)} for others."


@register("13.4", "A truth table")
def truth_table(visitors: Visitors, answer: Words) -> str:
    """The learner says which visitors get v3; each visitor got one version only."""
    _enough(visitors)
    answer, everybody = given(answer), set(visitors["visitor"])
    if strangers := sorted(answer - everybody):
        raise wrong(f"{strangers[0]!r} is no visitor", f"They are called {'; '.join(sorted(everybody))}.")
    if mixed := sorted(visitors.loc[visitors["version"].str.contains(","), "visitor"]):
        raise wrong(f"{mixed[0]} got more than one version", "Is the VirtualService the one of this step?")
    seen = set(visitors.loc[visitors["version"] == "v3", "visitor"])
    if not seen or seen == everybody:
        raise wrong(f"v3 went to {'everybody' if seen else 'nobody'}", "Is the VirtualService the one of this step?")
    if answer - seen:
        raise wrong(f"{min(answer - seen)} did not get v3", "Conditions in one item of match have to hold together.")
    if seen - answer:
        raise wrong(f"{len(seen - answer)} more got v3 than you name", "Of two items of match, one is enough.")
    return f"v3 for {len(seen)} of {len(everybody)}, on every page."


@register("13.5", "Groups that stay")
def groups_stay(seen: Newcomers) -> str:
    """Nobody has changed version, and group and version belong together; both groups have somebody."""
    if not len(seen):
        raise wrong("nobody has visited", "Send twenty visitors, and count who got what.")
    changed = seen[seen["changed"]]
    if len(changed):
        raise wrong(f"{len(changed)} of {len(seen)} visitors changed version", "Does a lot still decide which version is asked?")
    if (seen["group"] == "").any():
        raise wrong(f"{(seen['group'] == '').sum()} visitors were given no group", "Which answers carry set-cookie?")
    if set(seen["group"]) != {"a", "b"}:
        raise wrong(f"all {len(seen)} visitors are in group {seen['group'].iloc[0]}", "Twenty draw lots: are there two destinations?")
    for group, due in (("a", "v2"), ("b", "v3")):
        found = set(", ".join(seen.loc[seen["group"] == group, "versions"]).split(", "))
        if found != {due}:
            raise wrong(f"group {group} got {', '.join(sorted(found))}, and should get {due}", "Look at the match of the reviews rule.")
    return f"{(seen['group'] == 'a').sum()} in group a and {(seen['group'] == 'b').sum()} in group b; nobody changed."


@register("13.6", "A cookie among others")
def cookie_among_others(lab) -> str:
    """The exercise: group=b gets v3 wherever it stands among the cookies, and nothing that only looks like it does."""
    for cookies, due in ((OURS, "v3"), (OTHERS, "v2")):
        for cookie in cookies:
            found = _versions(observe.observe(lab, "reviews", n=EACH, headers={"cookie": cookie}), f"with cookie: {cookie}", EACH)
            if found != {due}:
                hint = "A pattern has to match the whole header: what may stand before, what after?" if due == "v3" else _looser(cookie)
                raise wrong(f"with cookie: {cookie}, {', '.join(sorted(found))} answered, and {due} should", hint)
    return f"{len(OURS)} headers that hold it, {len(OTHERS)} that do not."


@register("13.7", "Who may say who the user is")
def only_productpage(forged: Seen, plain: Seen, visitors: Visitors) -> str:
    """A forged header is denied, a call without it and a real session are not."""
    _enough(visitors)
    if set(forged["status"]) != {403}:
        raise wrong(f"with a forged header, the statuses are {_statuses(forged)}", "Is the policy applied, and its action DENY?")
    if set(plain["status"]) != {200}:
        raise wrong(f"without the header, the statuses are {_statuses(plain)}", "The policy should speak of requests with it only.")
    own = visitors[visitors["name on the page"] == "quentin"]
    if own.empty or set(own["version"]) != {"v3"}:
        raise wrong("quentin does not get v3 any more", "Does the policy except productpage, by its service account?")
    return f"{len(forged)} of {len(forged)} denied, {len(plain)} of {len(plain)} answered, and quentin has his version."


def _enough(visitors: pd.DataFrame) -> None:
    few = visitors[visitors["pages"] < FEWEST]
    if len(few):
        raise wrong(f"{few['visitor'].iloc[0]} opened {few['pages'].iloc[0]} pages, which could be chance", f"Have each open {FEWEST}.")


def _versions(seen: pd.DataFrame, where: str, fewest: int = FEWEST) -> set[str]:
    if len(seen) < fewest:
        raise wrong(f"{len(seen)} requests {where} could be chance", f"Send {fewest}.")
    if set(seen["status"]) != {200}:
        raise wrong(f"{where}, the statuses are {_statuses(seen)}", "503 often means a subset that no DestinationRule defines.")
    return set(seen["version"].fillna("none"))


def _statuses(seen: pd.DataFrame) -> str:
    return ", ".join(map(str, sorted(set(seen["status"])))) or "none at all"


def _looser(cookie: str) -> str:
    return "That is another cookie, or another value: where does a cookie begin, where does it end?" if "b" in cookie else "Not that group."
