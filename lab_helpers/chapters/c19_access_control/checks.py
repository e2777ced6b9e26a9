"""Checks of chapter 19_access_control."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import pandas as pd

from lab_helpers.chapters.c19_access_control.asking import OUTSIDE, ask
from lab_helpers.chapters.c19_access_control.doors import SERVICES, parts
from lab_helpers.show.checks import register, wrong
from lab_helpers.show.inputs import Kind, Words, table
from lab_helpers.traffic import pages

PAGES = 40  # that none of so many has reviews which show stars is no matter of chance
DENIED = 403
# What an empty policy leaves of a service, in words.
LEAVES = ("as before", "everything", "nothing")
# What readers need of productpage, and what nobody is to get.
NEEDED = [
    f"{method} {path}"
    for method in ("GET", "HEAD")
    for path in (
        "/productpage", "/static/img/izzy.png", "/logout", "/api/v1/products", "/api/v1/products/0", "/api/v1/products/0/reviews",
        "/api/v1/products/0/ratings",
    )
] + ["POST /login"]  # fmt: skip
REFUSED = ["POST /productpage", "DELETE /productpage", "GET /login", "POST /api/v1/products", "PUT /api/v1/products/0", "DELETE /logout"]
PAST = ["GET http://productpage:9080/", "GET http://productpage:9080/health", "GET http://productpage:9080/metrics"]

# What the checks look at.
Heard = table(text=["destination_workload", "response_code"], numbers=["requests"])
Asked = table(text=["caller", "service", "method", "path"], numbers=["status"])
Logged = table(text=["method", "details"], numbers=["status"])
Questions = Annotated[
    list, Kind("a list of questions", lambda value: value if isinstance(value, list) and all(isinstance(e, str) for e in value) else None)
]


@register("19.1", "Who turns readers away")
def who_turned_away(heard: Heard, answer: str) -> str:
    """The workload of the answer has counted denied requests, and it alone has counted any."""
    denied = heard[heard["response_code"] == str(DENIED)]
    if not len(denied):
        raise wrong("no proxy has counted a 403 as the one who was asked", "Apply 01-allow-nothing.yaml, and read some pages in a window.")
    counted = dict(zip(denied["destination_workload"], denied["requests"], strict=True))
    if answer not in counted:
        name = f"{answer} has counted no request that it turned away"
        raise wrong(name, f"The table has who was asked, and with what outcome: {', '.join(counted)}.")
    others = sorted(set(heard["destination_workload"]) - set(counted))
    if others:
        raise wrong(f"{', '.join(others)} has answered as well", "Is every connection from before the policy closed? until_all(lab, 403).")
    return f"{counted[answer]:g} requests, every one that arrived, were turned away by the proxy of {answer}; nobody behind it was asked."


@register("19.2", "What the policy forgets")
def what_is_turned_away(lab, wanted: Questions, answer: Words) -> str:
    """What the answer names is 403 through the gateway, and the rest is not."""
    if not wanted:
        raise wrong("there is no question to ask", "Run the cell with the list of them.")
    strange = sorted(set(answer) - set(wanted))
    if strange:
        raise wrong(f"{strange[0]!r} is not among the questions", f"Copy them as they stand, such as {wanted[0]!r}.")
    seen = ask(lab, OUTSIDE, *wanted)
    statuses = dict(zip(wanted, seen["status"], strict=True))
    if set(statuses.values()) == {DENIED}:
        raise wrong("all of them are answered 403", "Apply 03-allow-productpage.yaml first.")
    if DENIED not in statuses.values():
        raise wrong("none of them is answered 403", "Apply 01-allow-nothing.yaml and 03-allow-productpage.yaml first.")
    for each in wanted:
        if (statuses[each] == DENIED) != (each in answer):
            said = "comes through" if statuses[each] != DENIED else "is turned away"
            hint = "A path without * is that path and no other; and each method has its own list of paths."
            raise wrong(f"{each} {said}: {statuses[each]}", hint)
    return f"{len(answer)} of {len(wanted)} are turned away: {', '.join(each for each in wanted if each in answer)}."


@register("19.3", "The whole page, and no more")
def whole_page(lab) -> str:
    """Every page has all its parts, and what the services are not asked for by the page is turned away."""
    seen = pages.read(lab, PAGES)
    bad = seen[seen["status"] != 200]
    if len(bad):
        raise wrong(f"{len(bad)} of {len(seen)} pages have the status {bad['status'].iloc[0]}", "Is productpage open? Slide to 4.")
    for name, share in parts(seen).items():
        if share != 1:
            raise wrong(f"what {name} gives is missing on pages", f"Which policy opens it? istioctl x authz check deployment/{name}-v1.")
    others = ask(lab, "client", *[f"POST http://{service}:9080/{service}/0" for service in SERVICES])
    open_ = others[others["status"] != DENIED]
    if len(open_):
        hint = "Is allow-nothing there, and no policy that allows more than GET? kubectl get authorizationpolicy."
        raise wrong(f"POST to {', '.join(open_['service'])} is answered {open_['status'].iloc[0]}, not 403", hint)
    return f"{len(seen)} pages with all their parts, and POST is turned away by all {len(SERVICES)} services."


@register("19.4", "Kinds of empty")
def kinds_of_empty(asked: Asked, answer: dict) -> str:
    """What each service answers under its empty policy is what the answer says."""
    for service in ("details", "reviews", "ratings"):
        left = _left(asked, service)
        if answer.get(service) not in LEAVES:
            raise wrong(f"{service} is said to be left {answer.get(service)!r}", f"Choose one of: {', '.join(LEAVES)}.")
        if answer[service] != left:
            get, delete = (_status(asked, service, method) for method in ("GET", "DELETE"))
            hint = "403 is the proxy's; any other status is the program's, which has been asked."
            raise wrong(f"{service} is not left {answer[service]!r}: GET is answered {get}, DELETE {delete}", hint)
    return "no rules leave things as they are, an empty rule allows everything, and to deny by one denies everything."


@register("19.5", "One rule, not two")
def one_rule(dash: Asked, rule: Asked) -> str:
    """With one rule, reading through the gateway comes through and nothing else; with two, each of its halves was enough."""
    for asked, name in ((dash, "the first"), (rule, "the second")):
        if len(asked) != 6 or set(asked["caller"]) != {OUTSIDE, "client"}:
            raise wrong(f"{name} table is not one of both_ways(lab)", "Run the cell that makes it again.")
    if set(dash["status"] == DENIED) == {True} or not (dash["status"].iloc[3] != DENIED and dash["status"].iloc[2] != DENIED):
        raise wrong("with the first policy, one of its halves was not enough", "Apply 08-who-and-what.yaml before the first table.")
    for row in rule.itertuples():
        fits = row.caller == OUTSIDE and row.method == "GET"
        if (row.status != DENIED) != fits:
            who = f"{row.caller}, {row.method} {row.path}: {row.status}"
            hint = "Is there a dash before to:? Then it is a rule by itself." if row.status != DENIED else "Who is to be let in?"
            raise wrong(f"with the second policy, {who}", hint)
    through = int((dash["status"] != DENIED).sum())
    return f"by two rules {through} of 6 came through, by one rule the reader's GET alone."


@register("19.6", "Text, not meaning")
def text_not_meaning(denied: Asked, listed: Asked, answer: str) -> str:
    """Some spellings of one path slip past a DENY, none past a list of what is allowed."""
    past = denied[denied["status"] == 200]
    if not len(past) or len(past) == len(denied):
        what = "none" if not len(past) else "every one"
        raise wrong(f"{what} of the spellings has come through the DENY", "Apply 10-deny-details.yaml, and ask for all six.")
    there = listed[(listed["path"] == "/health") & (listed["status"] == 200)]
    through = listed[(listed["path"] != "/health") & (listed["status"] != DENIED)]
    if len(through) or not len(there):
        what = f"{through['path'].iloc[0]} is answered {through['status'].iloc[0]:g}" if len(through) else "/health is not answered 200"
        raise wrong(f"under the second policy {what}", "Apply 11-only-health.yaml, and ask again.")
    if answer != "ALLOW":
        hint = "A DENY that matches is named in the log. What is missing where nobody has said yes?"
        raise wrong(f"{answer!r} is not the action that was missing", hint)
    return f"{' and '.join(past['path'])} slip past the DENY; past the list of what is allowed, none of {len(listed) - 1}."


@register("19.7", "Tried, not enforced")
def tried_only(traffic: Logged, tried: dict, answer: str) -> str:
    """Every request was answered 200, and the proxy has counted how many it would have turned away."""
    turned = traffic[traffic["status"] != 200]
    if len(turned):
        what = f"{len(turned)} of {len(traffic)} requests were answered {turned['status'].iloc[0]:g}"
        raise wrong(what, "Has the policy its annotation istio.io/dry-run, and are the policies of the steps before gone?")
    noted, gets = traffic[traffic["details"] != ""], traffic[traffic["method"] == "GET"]
    if not noted.index.equals(gets.index):
        what = f"{len(noted)} requests were written down, and {len(gets)} were GET"
        raise wrong(what, "Apply 12-tried.yaml: a policy to try, a policy that notes, and what the log is to have.")
    would = tried.get("shadow_denied", 0)
    if not would or would + tried.get("shadow_allowed", 0) != len(traffic):
        what = f"the proxy of details has judged {would + tried.get('shadow_allowed', 0)} requests by it, not {len(traffic)}"
        raise wrong(what, "Apply 12-tried.yaml, and read the counters right before and right after the traffic.")
    if answer != "shadow_denied":
        what = f"{answer!r} is not the counter of what would have been turned away"
        hint = "What is only tried, Envoy calls shadow; and what would it do?" if answer in tried else f"Choose one of: {', '.join(tried)}."
        raise wrong(what, hint)
    return f"all {len(traffic)} were answered 200; {would} would have been turned away, and {len(noted)} were noted."


@register("19.8", "What readers need")
def what_readers_need(lab) -> str:
    """Readers get all that they need through the gateway, and nothing else comes through, there or past it."""
    for question, status in _answers(ask(lab, OUTSIDE, *NEEDED), NEEDED):
        if status == DENIED:
            raise wrong(f"a reader's {question} is answered 403", "Which method, or which path, is missing in the list?")
    for asked, questions, who in ((ask(lab, OUTSIDE, *REFUSED), REFUSED, "a reader"), (ask(lab, "client", *PAST), PAST, "client")):
        for question, status in _answers(asked, questions):
            if status != DENIED:
                raise wrong(f"{question}, asked by {who}, is answered {status}, not 403", "Readers do not need that: allow less.")
    return f"{len(NEEDED)} questions that readers have come through, {len(REFUSED) + len(PAST)} others do not."


def _answers(asked: pd.DataFrame, questions: Iterable[str]) -> list[tuple[str, int]]:
    return list(zip(questions, asked["status"], strict=True))


def _status(asked: pd.DataFrame, service: str, method: str) -> int:
    found = asked[(asked["service"] == service) & (asked["method"] == method)]["status"]
    if not len(found):
        raise wrong(f"nobody has asked {service} by {method}", "Run the cell that asks all three, by GET and by DELETE.")
    return int(found.iloc[0])


def _left(asked: pd.DataFrame, service: str) -> str:
    """What an empty policy has left of a service that may be asked by GET only."""
    closed = tuple(_status(asked, service, method) == DENIED for method in ("GET", "DELETE"))
    return {(False, True): "as before", (False, False): "everything"}.get(closed, "nothing")
