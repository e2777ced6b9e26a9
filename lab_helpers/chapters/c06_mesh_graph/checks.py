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
Graph = table(text=["source", "destination"], numbers=["requests", "rate", "errors"], measured=["mtls"])
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
    return f"{len(found)} edges, each of them locked." if (graph["mtls"] == 1).all() else f"{len(found)} edges."


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


@register("06.4", "The caller without a lock")
def no_lock(graph: Graph, answer: str) -> str:
    """One caller came without mutual TLS, and another with it."""
    open_ = set(graph.loc[graph["mtls"] < 1, "source"])
    locked = set(graph.loc[graph["mtls"] == 1, "source"])
    if not open_:
        raise wrong("every edge of this graph has its lock", "Send requests from plain-client as well: via='plain'.")
    if not locked:
        raise wrong("no edge of this graph has a lock", "Send requests from client as well: via='mesh'.")
    if answer not in open_:
        raise wrong(f"what {answer} sent came in under mutual TLS, or not at all", "Look at the column mtls.")
    return f"{answer}: nobody vouches for it, so Istio does not know its name."


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
    return f"{' and '.join(sorted(callers))} → ratings, and nothing else is red."


@register("06.6", "Two edges into details, one of them locked")
def two_edges(graph: Graph) -> str:
    """The exercise: `details` called with and without mutual TLS, and nothing else."""
    found = edges(graph)
    if found != {("client-v1", "details-v1"), ("unknown", "details-v1")}:
        shown = ", ".join(f"{source} → {destination}" for source, destination in sorted(found)) or "nothing"
        raise wrong(f"the graph shows {shown}", "Two edges are wanted, both into details: one from each of our two clients.")
    return "client-v1 with a lock, unknown without one."
