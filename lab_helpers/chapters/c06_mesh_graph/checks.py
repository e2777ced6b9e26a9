"""Checks of chapter 06_mesh_graph."""

from __future__ import annotations

import pandas as pd

from lab_helpers.show.checks import given, register, wrong
from lab_helpers.show.inputs import Words, having, table

GATEWAY, PAGE = "istio-ingressgateway", "productpage-v1"
USED = {
    (GATEWAY, PAGE), (PAGE, "details-v1"), (PAGE, "reviews-v1"), (PAGE, "reviews-v2"), (PAGE, "reviews-v3"),
    ("reviews-v2", "ratings-v1"), ("reviews-v3", "ratings-v1"),
}  # fmt: skip
CLOSE = 0.05  # of a rate

# What the checks look at.
Graph = table(text=["source", "destination"], numbers=["requests", "rate", "errors", "denied"], measured=["mtls"])
Window = having("seconds", "a window, as lab.window() gives it")


def edges(graph: pd.DataFrame) -> set[tuple[str, str]]:
    """Pairs of source and destination."""
    return set(zip(graph["source"], graph["destination"], strict=True))


@register("06.1", "The edges that were used, and no others")
def edges_used(graph: Graph) -> str:
    """The graph of some pages has Bookinfo's seven edges."""
    found = edges(graph)
    if not found:
        raise wrong("the graph is empty", "It shows traffic: was any sent within the window?")
    missing = sorted(USED - found)
    if missing:
        raise wrong(f"nobody went {' → '.join(missing[0])}", "Ask for more pages, so that each version has its turn.")
    extra = sorted(found - USED)
    if extra:
        raise wrong(f"somebody went {' → '.join(extra[0])}, which a page does not need", "Did other requests run in the same window?")
    return f"{len(found)} edges, all of them under mutual TLS." if (graph["mtls"] == 1).all() else f"{len(found)} edges."


@register("06.2", "The rate of the graph is the rate that was sent")
def rate_sent(graph: Graph, window: Window, sent: int) -> str:
    """The edge into productpage carries what was sent."""
    into = graph[(graph["source"] == GATEWAY) & graph["destination"].str.startswith("productpage")]
    if into.empty:
        raise wrong("there is no edge from the gateway to productpage", "Send the pages through the gateway: via='gateway'.")
    rate, wanted = into["rate"].sum(), sent / window.seconds
    off = abs(rate - wanted) / wanted
    if off > CLOSE:
        raise wrong(f"the graph says {rate:.2f} a second, and {wanted:.2f} were sent", "Is it the graph of this window?")
    return f"{into['requests'].sum()} of {sent} pages counted, {off:.1%} off."


@register("06.3", "Why ratings is missing")
def ratings_missing(graph: Graph, answer: str) -> str:
    """Nobody called ratings, since one version answered everything; the learner says which."""
    found = edges(graph)
    if any(destination.startswith("ratings") for _, destination in found):
        raise wrong("somebody called ratings", "Was 01-only-v1 applied before the window began?")
    answered = {destination for _, destination in found if destination.startswith("reviews")}
    if answered != {answer}:
        raise wrong(f"{answer} did not answer these requests alone", "Which node of reviews is in the picture?")
    return f"{answer} answered all of them, and it calls nobody."


@register("06.4", "The caller without mutual TLS")
def without_mutual_tls(graph: Graph, answer: str) -> str:
    """One caller came without mutual TLS, and another with it."""
    open_ = set(graph.loc[graph["mtls"] < 1, "source"])
    locked = set(graph.loc[graph["mtls"] == 1, "source"])
    if not open_:
        raise wrong("every edge of this graph is under mutual TLS", "Send requests from plain-client as well: via='plain'.")
    if not locked:
        raise wrong("no edge of this graph is under mutual TLS", "Send requests from client as well: via='mesh'.")
    if answer not in open_:
        raise wrong(f"what {answer} sent came in under mutual TLS, or not at all", "Look at the column mtls.")
    return f"{answer}: no proxy said who it is, and no certificate proved it."


@register("06.5", "The edge that fails")
def failing_edge(graph: Graph, answer: Words) -> str:
    """Half of the calls to ratings fail, and nothing else does; the learner names the callers."""
    failing = graph[graph["errors"] > 0]
    if failing.empty:
        raise wrong("nothing fails in this graph", "Was 02-ratings-fail applied before the window began?")
    elsewhere = failing[~failing["destination"].str.startswith("ratings")]
    if len(elsewhere):
        first = elsewhere.iloc[0]
        raise wrong(f"{first['source']} → {first['destination']} fails too", "Is something else broken in the namespace?")
    callers, named = set(failing["source"]), given(answer)
    if named != callers:
        strangers = sorted(named - callers)
        what = f"{strangers[0]} has no failing calls" if strangers else "somebody else's calls fail too"
        raise wrong(what, "Where do the red arrows begin?")
    return f"{' and '.join(sorted(callers))} → ratings, and nothing else fails."


@register("06.6", "Who is denied")
def who_is_denied(graph: Graph, answer: str) -> str:
    """Some of one caller's requests were denied, and none failed for that; the learner says whose."""
    denied = graph[graph["denied"] > 0]
    if denied.empty:
        raise wrong("nobody is denied in this graph", "Was 03-not-for-client applied before the window began?")
    callers = set(denied["source"])
    if answer not in callers:
        raise wrong(f"nothing that {answer} sent was denied", "Where does the arrow of that colour begin?")
    if len(callers) > 1:
        raise wrong(f"{min(callers - {answer})} was denied as well", "Is there another policy? kubectl get authorizationpolicies.")
    if (denied["errors"] > 0).any():
        raise wrong("some of these requests failed besides", "Does details run? kubectl get pods.")
    first = denied.iloc[0]
    return f"{answer}: {first['denied']:.0%} of its requests to {first['destination']}, and none of them failed."


@register("06.7", "One rule, two callers")
def two_callers(graph: Graph) -> str:
    """The exercise: a fault for `details` meets the caller that has a proxy, and not the one that has none."""
    found = edges(graph)
    if found != {("client-v1", "details"), ("unknown", "details-v1")}:
        shown = ", ".join(f"{source} → {destination}" for source, destination in sorted(found)) or "nothing"
        raise wrong(f"the graph shows {shown}", "Two edges are wanted: one fails for every request, and then no pod of details is chosen.")
    errors = graph.set_index("source")["errors"]
    if errors["client-v1"] < 1 or errors["unknown"] > 0:
        raise wrong("it is not all of the client's requests that fail, and none of the other's", "See fault.abort in your VirtualService.")
    return "client-v1 → details fails at the client proxy; unknown → details-v1 has none, and meets no rule."
