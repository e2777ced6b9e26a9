"""Where the boxes, arrows and words of a graph stand: callers on the left, no arrow through a box, no word on an arrow.

Between two columns of boxes there are two strips. In the first one arrows bend, in the second they run level, each at a height of its own,
up to the box that they point to: there stand their words. An arrow over several columns has a place in each of those between, as a
box has, and one that leads back goes underneath them all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

LETTER, LINE = 6.7, 13  # width of a letter, and size of the text, in pixels
BEND, TIP, APART, LANE = 40, 9, 16, 14  # the first strip; an arrow's head; between two boxes; between arrows that lead back
Pair = tuple[str, str]


@dataclass(frozen=True)
class Box:
    """Where a box stands: its upper left corner, and how large it is."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Arrow:
    """The path of an arrow as SVG has it, where its head ends, and where the level part before that begins."""

    path: str
    x: float
    y: float
    words: float


@dataclass(frozen=True)
class Layout:
    """A graph that has been laid out: its size, the boxes by name, an arrow for each edge in the order of the edges."""

    width: float
    height: float
    boxes: dict[str, Box]
    arrows: list[Arrow]


def laid_out(edges: Sequence[Pair], widths: Sequence[float], boxes: dict[str, tuple[float, float]], rows: int = 1) -> Layout:
    """Lay a graph out.

    Parameters
    ----------
    edges : sequence of (str, str)
        Source and destination; several may join the same two.
    widths : sequence of float
        Of each edge's words, in pixels.
    boxes : dict of str to (float, float)
        Width and height that each box needs.
    rows : int
        Of words at each arrow: one stands above it, a second one below.
    """
    depth = depths(edges)
    back = [depth[source] >= depth[destination] for source, destination in edges]
    columns, tracks = _columns(edges, depth, back)
    port = 17 * rows + 5
    into = {name: [at for at, edge in enumerate(edges) if edge[1] == name] for name in depth}
    height = {name: max(boxes[name][1], port * len(into[name]) + 4) for name in depth}
    middle = _heights(columns, tracks, height, port)
    lefts, starts, rights = _across(edges, widths, boxes, depth, into, columns)
    lowest = max(y + height.get(item, port) / 2 for item, y in middle.items())
    arrows: dict[int, Arrow] = {}
    lane = {at: number for number, at in enumerate(at for at in range(len(edges)) if back[at])}
    for name, arriving in into.items():
        order = sorted(arriving, key=lambda at: (back[at], middle[tracks[at][-2]], at))
        for place, at in enumerate(order):
            y = middle[name] + port * (place - (len(order) - 1) / 2) + (3 if rows == 1 else 0)
            begin, end, tip = rights[depth[edges[at][0]]], starts[depth[name]], lefts[depth[name]] - TIP
            if back[at]:
                under, beside = lowest + LANE * (1 + lane[at]), 8 + 4 * lane[at]
                path = f"M{begin:.1f},{middle[edges[at][0]]:.1f} H{begin + beside:.1f} V{under:.1f} H{end - beside:.1f} V{y:.1f} H{tip:.1f}"
            else:
                passed = [(starts[item[1]], rights[item[1]], middle[item]) for item in tracks[at][1:-1]]
                path = _curved(begin, middle[edges[at][0]], [*passed, (end, tip, y)])
            arrows[at] = Arrow(path, lefts[depth[name]], y, end)
    placed = {
        name: Box(lefts[depth[name]], middle[name] - height[name] / 2, rights[depth[name]] - lefts[depth[name]], height[name])
        for name in depth
    }
    right = max(rights) + (12 + 4 * len(lane) if lane else 2)
    return Layout(right, lowest + LANE * len(lane) + 4, placed, [arrows[at] for at in range(len(edges))])


def depths(edges: Sequence[Pair]) -> dict[str, int]:
    """How many columns each name stands from the left: as far right as its last caller allows; a circle is cut where it closes."""
    names = sorted({name for edge in edges for name in edge[:2]})
    called = {destination for source, destination in edges if source != destination}
    after: dict[str, list[str]] = {name: sorted({to for source, to in edges if source == name and to != name}) for name in names}
    kept: list[Pair] = []
    state: dict[str, int] = {}  # 1: being followed, 2: done

    def follow(name: str) -> None:
        state[name] = 1
        for to in after[name]:
            if state.get(to) != 1:
                kept.append((name, to))
            if to not in state:
                follow(to)
        state[name] = 2

    for name in sorted(names, key=lambda name: (name in called, name)):
        if name not in state:
            follow(name)
    depth = dict.fromkeys(names, 0)
    for _ in names:
        for source, destination in kept:
            depth[destination] = max(depth[destination], depth[source] + 1)
    return depth


def _columns(edges: Sequence[Pair], depth: dict[str, int], back: list[bool]) -> tuple[list[list], list[list]]:
    """The items of each column, from top to bottom, and those that each edge passes; an item is a name, or an edge that only passes."""
    columns: list[list] = [[name for name in depth if depth[name] == level] for level in range(max(depth.values()) + 1)]
    tracks = []
    for at, (source, destination) in enumerate(edges):
        passed = [] if back[at] else [(at, level) for level in range(depth[source] + 1, depth[destination])]
        for item in passed:
            columns[item[1]].append(item)
        tracks.append([source, *passed, destination])
    links = [pair for at, track in enumerate(tracks) if not back[at] for pair in zip(track, track[1:], strict=False)]
    place = {item: number for items in columns for number, item in enumerate(items)}

    def near(item, before: int, after: int) -> float:
        found = [place[link[before]] for link in links if link[after] == item]
        return sum(found) / len(found) if found else place[item]

    for _ in range(4):
        for items, before, after in [*((each, 0, 1) for each in columns[1:]), *((each, 1, 0) for each in columns[-2::-1])]:
            items.sort(key=lambda item: (near(item, before, after), str(item)))  # noqa: B023
            place.update({item: number for number, item in enumerate(items)})
    return columns, tracks


def _heights(columns: list[list], tracks: list[list], height: dict[str, float], port: float) -> dict:
    """The middle of each item, near those that it is joined to, and apart from its neighbours."""
    tall = {item: height.get(item, port) for items in columns for item in items}
    middle = dict.fromkeys(tall, 0.0)
    links = [pair for track in tracks for pair in zip(track, track[1:], strict=False)]
    for before, after, order in ((0, 1, columns), (1, 0, columns[::-1]), (0, 1, columns)):
        for items in order:
            wanted = [
                sum(found) / len(found) if (found := [middle[link[before]] for link in links if link[after] == item]) else middle[item]
                for item in items
            ]
            placed: list[float] = []
            for item, want in zip(items, wanted, strict=True):
                least = placed[-1] + (tall[items[len(placed) - 1]] + tall[item]) / 2 + APART if placed else want
                placed.append(max(want, least))
            off = sum(a - b for a, b in zip(placed, wanted, strict=True)) / len(items)
            middle.update({item: y - off for item, y in zip(items, placed, strict=True)})
    top = min(middle[item] - tall[item] / 2 for item in middle)
    return {item: y - top + 3 for item, y in middle.items()}


def _across(edges, widths, boxes, depth, into, columns) -> tuple[list[float], list[float], list[float]]:
    """Of each column: where its boxes begin, where the words before them begin, where its boxes end."""
    lefts, starts, rights = [], [], []
    x = 2.0
    for level in range(len(columns)):
        names = [name for name in depth if depth[name] == level]
        arriving = [widths[at] for name in names for at in into[name]]
        leads_back = 4 * len(edges) if level == 0 and arriving else 0
        starts.append(x + (BEND if level else leads_back))
        lefts.append(starts[-1] + (max(arriving) + TIP + 10 if arriving else 0))
        rights.append(lefts[-1] + max(boxes[name][0] for name in names))
        x = rights[-1]
    return lefts, starts, rights


def _curved(x: float, y: float, stops: list[tuple[float, float, float]]) -> str:
    """The path from a point on: to each stop a curve as far as the columns' boxes and words begin, and from there on level."""
    path = f"M{x:.1f},{y:.1f}"
    for enter, leave, to_y in stops:
        half = (x + enter) / 2
        path += f" C{half:.1f},{y:.1f} {half:.1f},{to_y:.1f} {enter:.1f},{to_y:.1f} H{leave:.1f}"
        x, y = leave, to_y
    return path
