"""The picture of the mesh graph, as Kiali draws it: who called whom, with rate, failures, latency and the lock of mutual TLS."""

from __future__ import annotations

import math

import pandas as pd

from lab_helpers.core.errors import LabError
from lab_helpers.show.graphs.drawn import Graph, box, line, words
from lab_helpers.show.graphs.layout import LETTER, Arrow, Box, laid_out
from lab_helpers.show.svg import BAD, GOOD, HUES, WARN, group, number

# Kiali's own limits for HTTP: from 0.1 % of failures on it is degraded, from 10 % on it fails.
DEGRADED, FAILING = 0.001, 0.1
# Who was denied has met a rule, and that is neither healthy nor broken. An edge of TCP is blue, as Kiali's is.
DENIED, TCP = HUES[2], HUES[0]
DASHES = {"tcp": ' stroke-dasharray="6 4"', "copy": ' stroke-dasharray="2 3"'}
SAID = {
    "healthy": (GOOD, "answered"),
    "degraded": (WARN, "some failed"),
    "failing": (BAD, "from 10 % on failed"),
    "denied": (DENIED, "denied (401, 403)"),
    "tcp": (TCP, "TCP: connections"),
}
OUTSIDE = {"service entry": "ServiceEntry", "passthrough": "host unknown", "black hole": "not let out"}
LOCK, FORK, LONGEST = 15, 18, 30  # width of a lock and of a fork, in pixels; letters of a name
STYLE = "<style>.mesh-edge:hover path { stroke-width: 4 } .mesh-node:hover rect { stroke-width: 3 }</style>"


def plot_graph(graph: pd.DataFrame) -> Graph:
    """Draw a mesh graph, callers on the left; all numbers of an edge come up when the pointer rests on it.

    Parameters
    ----------
    graph : pandas.DataFrame
        As ``lab.graph()`` returns it.

    Raises
    ------
    LabError
        Nobody has called anybody.
    """
    edges = list(graph.itertuples(index=False))
    if not edges:
        raise LabError(
            "There is nothing to draw: no request was counted in that time.", "A graph shows traffic: send some within lab.window()."
        )
    names = dict.fromkeys(name for each in edges for name in (each.source, each.destination))
    lines = {name: _lines(name, graph) for name in names}
    forked = {name for name in names if name in graph.attrs.get("routed", ())}
    sizes = {
        name: (max(map(len, told)) * LETTER + 18 + (FORK if name in forked else 0), 18 + 16 * len(told)) for name, told in lines.items()
    }
    widths = [_width(each) for each in edges]
    plan = laid_out([(each.source, each.destination) for each in edges], widths, sizes, rows=2)
    parts = [_edge(each, arrow) for each, arrow in zip(edges, plan.arrows, strict=True)]
    parts += [_node(name, place, lines[name], name in forked, graph) for name, place in plan.boxes.items()]
    legend = _legend([_health(each) for each in edges], any(map(_copies, edges)), bool(forked))
    return Graph(plan.width, plan.height, [STYLE, *parts], f"Mesh graph: {'; '.join(map(_told, edges))}.", legend)


def _told(edge) -> str:
    what = " connections" if _tcp(edge) else " copies" if _copies(edge) else ""
    return f"{edge.source} → {edge.destination} ({number(edge.rate)}{what}/s{_badly(edge, 1, ', ')})"


def _tcp(edge) -> bool:
    return getattr(edge, "protocol", "http") == "tcp"  # a graph without TCP has no such column


def _copies(edge) -> bool:
    return bool(getattr(edge, "mirrored", False))  # nor has one without a mirror that


def _badly(edge, digits: int, before: str) -> str:
    shares = {"failed": edge.errors, "denied": getattr(edge, "denied", 0.0)}
    return "".join(f"{before}{share:.{digits}%} {what}" for what, share in shares.items() if share)


def _health(edge) -> str:
    if edge.errors >= DEGRADED:
        return "failing" if edge.errors >= FAILING else "degraded"
    return "denied" if getattr(edge, "denied", 0.0) else "tcp" if _tcp(edge) else "healthy"


def _words(edge) -> tuple[str, str]:
    """What stands above an edge, and below it."""
    above = f"{number(edge.rate)}{' conn' if _tcp(edge) else ' copies' if _copies(edge) else ''}/s"
    badly = ", ".join(_badly(edge, 0, "|").split("|")[1:])
    return above, badly or (f"{number(edge.p95_ms, 2)} ms" if edge.p95_ms == edge.p95_ms else "")


def _width(edge) -> float:
    above, below = _words(edge)
    return max(len(above) * LETTER + (LOCK if edge.mtls == 1 else 0), len(below) * LETTER)


def _edge(edge, arrow: Arrow) -> str:
    health, (above, below) = _health(edge), _words(edge)
    dashes = DASHES["copy"] if _copies(edge) else DASHES["tcp"] if _tcp(edge) else ""
    lock = _lock(arrow.x - 20 - LETTER * len(above), arrow.y - 9) if edge.mtls == 1 else ""
    name = f"mesh-edge {health}{' mirrored' if _copies(edge) else ''}"
    return group([line(arrow, SAID[health][0], dashes), words(arrow, above, below), lock], _full(edge), name)


def _full(edge) -> str:
    """All that is known of an edge."""
    what = "connections" if _tcp(edge) else "requests"
    safety = f"{edge.mtls:.0%} of {what}"
    if math.isnan(edge.mtls):
        safety = "not known (no proxy at the destination" + (" tells of them)" if _tcp(edge) else ")")
    ends = f"{edge.source} → {edge.destination}"
    if _tcp(edge):
        return (
            f"{ends}\n{edge.connections:,} connections of TCP, {number(edge.rate)} a second\n"
            f"{edge.errors:.1%} reached nobody\nmutual TLS: {safety}"
        )
    copies = "\ncopies that a mirror sent: nobody waited for their answers" if _copies(edge) else ""
    denied = f", {edge.denied:.1%} denied" if getattr(edge, "denied", 0.0) else ""
    return (
        f"{ends}\n{edge.requests:,} requests, {number(edge.rate)} a second\n{edge.errors:.1%} failed{denied}\n"
        f"95 % within {number(edge.p95_ms)} ms, estimated\nmutual TLS: {safety}{copies}"
    )


def _lines(name: str, graph: pd.DataFrame) -> list[str]:
    short = name if len(name) <= LONGEST else f"{name[: LONGEST // 2]}…{name[-LONGEST // 2 :]}"
    kind = OUTSIDE.get(graph.attrs.get("outside", {}).get(name, ""))
    return [short, kind] if kind else [short]


def _node(name: str, place: Box, told: list[str], forked: bool, graph: pd.DataFrame) -> str:
    into, out = graph[graph["destination"] == name], graph[graph["source"] == name]
    weights = into["requests"] + into.get("connections", 0)

    def share(column: str) -> float:
        return (into[column] * weights).sum() / weights.sum() if len(into) and column in into else 0.0

    failed, denied = share("errors"), share("denied")
    colour = BAD if failed >= FAILING else WARN if failed >= DEGRADED else DENIED if denied else "currentColor"
    said = (
        f"{name}\nin: {_flow(into)} a second, {failed:.1%} failed{f', {denied:.1%} denied' if denied else ''}\nout: {_flow(out)} a second"
    )
    parts = [box(place, colour, told, dashed=len(told) > 1, free=FORK if forked else 0)]
    if forked:
        parts.append(_fork(place.x + place.width - 14, place.y + 11))
        said += "\na VirtualService names it"
    return group(parts, said, "mesh-node")


def _flow(edges: pd.DataFrame) -> str:
    tcp = edges.get("protocol", pd.Series("http", edges.index)) == "tcp"
    requests = number(edges.loc[~tcp, "rate"].sum())
    return f"{requests} requests and {number(edges.loc[tcp, 'rate'].sum())} connections" if tcp.any() else requests


def _legend(healths: list[str], copies: bool, forked: bool) -> str:
    """What the lines of this graph mean, those of them that it has."""

    def sample(colour: str, dashes: str, said: str) -> str:
        drawn = f'<svg width="26" height="8" aria-hidden="true"><path d="M0,4 H26" stroke="{colour}" stroke-width="2"{dashes}/></svg>'
        return f'<span style="white-space: nowrap; margin-right: 1.2em">{drawn} {said}</span>'

    shown = [sample(colour, DASHES.get(name, ""), said) for name, (colour, said) in SAID.items() if name in healths]
    shown += [sample(GOOD, DASHES["copy"], "copies of a mirror")] if copies else []
    if forked:
        icon = f'<svg width="14" height="14" aria-hidden="true" style="vertical-align: -2px">{_fork(7, 7)}</svg>'
        shown.append(f'<span style="white-space: nowrap">{icon} a VirtualService</span>')
    return " ".join(shown)


def _lock(x: float, y: float) -> str:
    arc = f'<path d="M{x - 2.5:.1f},{y - 1:.1f} v-2 a2.5,2.5 0 0 1 5,0 v2" fill="none" stroke="currentColor" stroke-width="1.3"/>'
    return arc + f'<rect x="{x - 4:.1f}" y="{y - 1:.1f}" width="8" height="6" rx="1" fill="currentColor"/>'


def _fork(x: float, y: float) -> str:
    """A way that divides: the sign of a VirtualService."""
    ways = f"M{x - 5:.1f},{y:.1f} h3 l5,-4 h2 M{x - 2:.1f},{y:.1f} l5,4 h2"
    return f'<path class="virtual-service" d="{ways}" fill="none" stroke="currentColor" stroke-width="1.5"/>'
