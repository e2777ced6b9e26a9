"""Diagrams of what cannot be measured: how the pieces stand to each other. Drawn like `plots`, from nothing."""

from __future__ import annotations

import matplotlib
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyBboxPatch, Rectangle

from lab_helpers.show.plots import INK, SEEN, STYLE, WANTED, Picture

WIDE, HIGH, STRIP = 1.5, 0.5, 0.28  # inches: a service's box, and the strip of its proxy below it
# Middle of each box, in inches from the lower left corner.
PLACES = {"productpage": (0.9, 1.9), "details": (3.7, 0.6), "reviews": (3.7, 1.9), "ratings": (6.5, 1.9), "plain-client": (6.5, 0.4)}
CALLS = (("productpage", "details"), ("productpage", "reviews"), ("reviews", "ratings"))
STRIPE = "#2f6cb3"  # of a proxy: white words can be read on it
UNWANTED = "plain-client", "ratings"
SERVICES = "productpage calls details and reviews, reviews calls ratings"
CAPTIONS = {  # by whether there are proxies, and whether the three questions have been answered
    (False, False): f"Without a mesh: {SERVICES}; plain-client, which has no business here, would like to call ratings.",
    (False, True): f"Without a mesh: {SERVICES}, all in plain text; plain-client calls ratings as well and gets 200.",
    (True, False): f"With a mesh: {SERVICES}, each by way of the proxy beside it; istiod gives every proxy its certificate and its rules; "
    "plain-client has no proxy.",
    (True, True): f"With a mesh: {SERVICES}, from proxy to proxy, encrypted by mutual TLS and counted; istiod gives every proxy its "
    "certificate and its rules; plain-client, which speaks plain text, is denied by the proxy of ratings with 403.",
}


def draw_services(proxies: bool, answered: bool = False) -> Picture:
    """Draw Bookinfo's services and a pod that does not belong to them, each alone or with a proxy beside it.

    Parameters
    ----------
    proxies : bool
        False: services call each other. True: their proxies do, and istiod directs these.
    answered : bool
        Whether the picture tells what the chapter's three questions have shown, or asks.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(7.4, 3.85 if proxies else 2.2))
        axes = figure.subplots()
        axes.set(xlim=(0, 7.4), ylim=(-0.15, 3.7) if proxies else (0.1, 2.3), aspect="equal")
        axes.axis("off")
        for name, place in PLACES.items():
            _service(axes, name, place, proxies and name != UNWANTED[0])
        for source, destination in CALLS:
            start, end = _ends(source, destination, proxies)
            _arrow(axes, start, end, SEEN if proxies else INK)
            level = start[1] == end[1]
            middle = ((start[0] + end[0]) / 2, start[1]) if level else (start[0] + 0.4, (start[1] + end[1]) / 2 - 0.2)
            if answered and proxies:
                _lock(axes, middle)
            elif answered:
                axes.text(middle[0], middle[1] + 0.1, "plain text", ha="center" if level else "right", fontsize=8)
        _attempt(axes, proxies, ("403" if proxies else "200") if answered else "?")
        if proxies:
            _control_plane(axes)
    return Picture(figure, CAPTIONS[proxies, answered])


def _attempt(axes, proxies: bool, outcome: str) -> None:
    """The call that should not be, and what came of it."""
    (x, y), below = PLACES[UNWANTED[1]], PLACES[UNWANTED[0]][1] + HIGH / 2
    edge = y - HIGH / 2 - (STRIP if proxies else 0)
    _arrow(axes, (x, below + 0.05), (x, edge - 0.05), WANTED, dashed=True)
    axes.text(x + 0.1, (edge + below) / 2, outcome, color=WANTED, weight="bold", va="center")


def _service(axes, name: str, place: tuple[float, float], proxy: bool) -> None:
    x, y = place
    unwanted = name == UNWANTED[0]
    edge = WANTED if unwanted else INK
    if proxy:  # the pod around both
        axes.add_patch(
            FancyBboxPatch((x - WIDE / 2 - 0.07, y - HIGH / 2 - STRIP - 0.07), WIDE + 0.14, HIGH + STRIP + 0.14,
                           "round,pad=0.03", fc="none", ec=INK, lw=0.8, ls=":")
        )  # fmt: skip
        axes.add_patch(Rectangle((x - WIDE / 2, y - HIGH / 2 - STRIP), WIDE, STRIP, fc=STRIPE, ec=STRIPE))
        axes.text(x, y - HIGH / 2 - STRIP / 2, "proxy", color="white", ha="center", va="center", fontsize=8.5, weight="bold")
    axes.add_patch(Rectangle((x - WIDE / 2, y - HIGH / 2), WIDE, HIGH, fc="none", ec=edge, lw=1.4, ls="--" if unwanted else "-"))
    axes.text(x, y, name, ha="center", va="center", color=edge)


def _ends(source: str, destination: str, proxies: bool) -> tuple[tuple[float, float], tuple[float, float]]:
    (x, y), (to_x, to_y) = PLACES[source], PLACES[destination]
    down = -(HIGH + STRIP) / 2 if proxies else 0.0  # arrows run between the strips
    return (x + WIDE / 2 + 0.05, y + down), (to_x - WIDE / 2 - 0.05, to_y + down)


def _arrow(axes, start, end, color: str, dashed: bool = False) -> None:
    look = {"arrowstyle": "-|>", "color": color, "lw": 1.6, "ls": "--" if dashed else "-", "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", end, start, arrowprops=look)


def _lock(axes, middle: tuple[float, float]) -> None:
    x, y = middle
    axes.add_patch(Circle((x, y + 0.2), 0.055, fc="none", ec=SEEN, lw=1.6))
    axes.add_patch(Rectangle((x - 0.085, y + 0.06), 0.17, 0.13, fc=SEEN, ec=SEEN))


def _control_plane(axes) -> None:
    """Istiod on top, a rail below it, and a branch to each pod."""
    x, y, rail = 3.7, 3.4, 2.75
    axes.add_patch(Rectangle((x - WIDE / 2, y - HIGH / 2), WIDE, HIGH, fc="none", ec=SEEN, lw=1.6))
    axes.text(x, y, "istiod", ha="center", va="center", color=SEEN, weight="bold")
    axes.text(x + WIDE / 2 + 0.12, y, "rules and certificates\nfor every proxy", ha="left", va="center", fontsize=8.5, color=SEEN)
    look = {"color": SEEN, "lw": 1, "ls": ":"}
    axes.plot([PLACES["productpage"][0], PLACES["ratings"][0]], [rail, rail], **look)
    axes.plot([x, x], [y - HIGH / 2, rail], **look)
    aside = 1.9  # details is reached from the side
    axes.plot([aside, aside], [rail, PLACES["details"][1]], **look)
    branches = [
        ((PLACES[name][0], rail), (PLACES[name][0], PLACES[name][1] + HIGH / 2 + 0.12)) for name in ("productpage", "reviews", "ratings")
    ]
    branches += [((aside, PLACES["details"][1]), (PLACES["details"][0] - WIDE / 2 - 0.12, PLACES["details"][1]))]
    for start, end in branches:
        axes.annotate("", end, start, arrowprops={"arrowstyle": "->", "shrinkA": 0, "shrinkB": 0, **look})
