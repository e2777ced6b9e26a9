"""The picture of the mesh graph, as Kiali draws it: who called whom, with rate, failures, latency and the lock of mutual TLS."""

from __future__ import annotations

import math

import pandas as pd

from lab_helpers.core.errors import LabError
from lab_helpers.show.plots import layers
from lab_helpers.show.svg import BAD, GOOD, HUES, WARN, Drawing, group, number, text

BOX, ROW, GAP = (124, 34), 66, 138  # a node's size, the height of a row, the space between two columns; in pixels
# Kiali's own limits for HTTP: from 0.1 % of failures on it is degraded, from 10 % on it fails.
DEGRADED, FAILING = 0.001, 0.1
# An edge of TCP is blue, as Kiali's is, and dashed; beside one of HTTP between the same two it runs so much lower.
TCP, LOWER = HUES[0], 10
STYLE = "<style>.mesh-edge:hover path { stroke-width: 4 } .mesh-node:hover rect { stroke-width: 3 }</style>"


def plot_graph(graph: pd.DataFrame) -> Drawing:
    """Draw a mesh graph, callers on the left; all numbers of an edge come up when the pointer rests on it. TCP is dashed.

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
    levels = _ordered(layers([(each.source, each.destination, each.requests) for each in edges]), edges)
    tallest = max(len(names) for names in levels)
    width, height = len(levels) * BOX[0] + (len(levels) - 1) * GAP + 4, tallest * ROW
    places = {
        name: (2 + level * (BOX[0] + GAP), ROW * (row + (tallest - len(names)) / 2) + ROW / 2)
        for level, names in enumerate(levels)
        for row, name in enumerate(names)
    }
    parts = [STYLE, *(_edge(each, places, graph) for each in edges), *(_node(name, place, graph) for name, place in places.items())]
    return Drawing(width, height, parts, f"Mesh graph: {'; '.join(map(_told, edges))}.")


def _told(edge) -> str:
    failed = f", {edge.errors:.1%} failed" if edge.errors else ""
    return f"{edge.source} → {edge.destination} ({number(edge.rate)}{' connections' if _tcp(edge) else ''}/s{failed})"


def _tcp(edge) -> bool:
    return getattr(edge, "protocol", "http") == "tcp"  # a graph without TCP has no such column


def _ordered(layers: list[list[str]], edges: list) -> list[list[str]]:
    """Nodes of a column in the order of their callers, so that few lines cross."""
    rank: dict[str, float] = {}
    for names in layers:
        for name in names:
            callers = [rank[each.source] for each in edges if each.destination == name and each.source in rank]
            rank[name] = sum(callers) / len(callers) if callers else 0.0
        names.sort(key=lambda name: (rank[name], name))
        rank.update({name: place - (len(names) - 1) / 2 for place, name in enumerate(names)})
    return layers


def _colour(errors: float) -> str:
    return BAD if errors >= FAILING else WARN if errors >= DEGRADED else GOOD


def _edge(edge, places: dict, graph: pd.DataFrame) -> str:
    (x, y), (to_x, to_y) = places[edge.source], places[edge.destination]
    x, to_x = x + BOX[0], to_x - 5
    bend = max(abs(to_x - x) / 2, 40)
    tcp, twice = _tcp(edge), ((graph["source"] == edge.source) & (graph["destination"] == edge.destination)).sum() > 1
    y, to_y = (y + LOWER, to_y + LOWER) if tcp and twice else (y, to_y)
    colour = TCP if tcp and edge.errors < DEGRADED else _colour(edge.errors)
    curve = f"M{x:.0f},{y:.0f} C{x + bend:.0f},{y:.0f} {to_x - bend:.0f},{to_y:.0f} {to_x:.0f},{to_y:.0f}"
    tip = f"M{to_x + 5:.0f},{to_y:.0f} l-9,-4.5 v9 z"
    # The words stand at the end where fewer lines meet, on the side that the line keeps free.
    crowded = (graph["source"] == edge.source).sum() > (graph["destination"] == edge.destination).sum()
    told = f"{edge.errors:.0%} failed" if edge.errors >= DEGRADED else f"{number(edge.p95_ms, 2)} ms" if edge.p95_ms == edge.p95_ms else ""
    label = " · ".join([f"{number(edge.rate)}{' conn' if tcp else ''}/s", *([told] if told else [])])
    ink = colour if edge.errors >= DEGRADED else "currentColor"
    above = not tcp if twice else to_y <= y if crowded else to_y >= y
    at_y = (to_y if crowded else y) + (-11 if above else 12)
    locked = edge.mtls == 1
    if crowded:
        words = [text(to_x - 3, at_y, label, "end", 11, ink)] + ([_lock(to_x - 9 - 5.8 * len(label), at_y)] if locked else [])
    else:
        words = [text(x + (17 if locked else 5), at_y, label, "start", 11, ink)] + ([_lock(x + 9, at_y)] if locked else [])
    dashed = ' stroke-dasharray="6 4"' if tcp else ""
    line = f'<path d="{curve}" fill="none" stroke="{colour}" stroke-width="2"{dashed}/><path d="{tip}" fill="{colour}"/>'
    return group([line, *words], _full(edge), "mesh-edge")


def _full(edge) -> str:
    if _tcp(edge):
        safety = "not known (no proxy at the destination tells of them)" if math.isnan(edge.mtls) else f"{edge.mtls:.0%} of connections"
        return (
            f"{edge.source} → {edge.destination}\n{edge.connections:,} connections of TCP, {number(edge.rate)} a second\n"
            f"{edge.errors:.1%} reached nobody\nmutual TLS: {safety}"
        )
    safety = "not known (no proxy at the destination)" if math.isnan(edge.mtls) else f"{edge.mtls:.0%} of requests"
    return (
        f"{edge.source} → {edge.destination}\n{edge.requests:,} requests, {number(edge.rate)} a second\n{edge.errors:.1%} failed\n"
        f"95 % within {number(edge.p95_ms)} ms\nmutual TLS: {safety}"
    )


def _node(name: str, place: tuple, graph: pd.DataFrame) -> str:
    x, y = place
    into, out = graph[graph["destination"] == name], graph[graph["source"] == name]
    weights = into["requests"] + into.get("connections", 0)
    failed = (into["errors"] * weights).sum() / weights.sum() if len(into) else 0.0
    colour = _colour(failed) if failed >= DEGRADED else "currentColor"
    box = f'<rect x="{x}" y="{y - BOX[1] / 2:g}" width="{BOX[0]}" height="{BOX[1]}" rx="6" fill="{colour}" fill-opacity=".08" '
    box += f'stroke="{colour}" stroke-width="1.4"/>'
    told = f"{name}\nin: {_flow(into)} a second, {failed:.1%} failed\nout: {_flow(out)} a second"
    return group([box, text(x + BOX[0] / 2, y, name, size=12 if len(name) < 18 else 10)], told, "mesh-node")


def _flow(edges: pd.DataFrame) -> str:
    tcp = edges.get("protocol", pd.Series("http", edges.index)) == "tcp"
    requests = number(edges.loc[~tcp, "rate"].sum())
    return f"{requests} requests and {number(edges.loc[tcp, 'rate'].sum())} connections" if tcp.any() else requests


def _lock(x: float, y: float) -> str:
    arc = f'<path d="M{x - 2.5:.1f},{y - 1:.1f} v-2 a2.5,2.5 0 0 1 5,0 v2" fill="none" stroke="currentColor" stroke-width="1.3"/>'
    return arc + f'<rect x="{x - 4:.1f}" y="{y - 1:.1f}" width="8" height="6" rx="1" fill="currentColor"/>'
