"""The way of a pod's traffic through its sidecar, as a picture of the rules that were read."""

from __future__ import annotations

from lab_helpers.chapters.c05_injection.injection import ports
from lab_helpers.kube.commands import Output
from lab_helpers.show import svg

OUT, IN = svg.HUES[1], svg.HUES[0]
WIDE, HIGH = 335, 208
POD = (58, 28, 222, 170)  # left, top, width, height
BOX = (86, 44)  # width and height of what runs in it
APP, ENVOY = (68, 92), (186, 92)  # left, top


def draw_way(rules: Output) -> svg.Drawing:
    """Draw how a connection leaves a pod and how one comes in, by the ports and the user of its rules.

    Parameters
    ----------
    rules : Output
        Of `redirection`.
    """
    found = ports(rules)
    out, into, user = found["outbound"], found["inbound"], found["exempt"]
    left, top, width, height = POD
    right = left + width
    parts = [
        f"<defs>{_head('out', OUT)}{_head('in', IN)}</defs>",
        f'<rect x="{left}" y="{top}" width="{width}" height="{height}" rx="8" fill="none" stroke="currentColor" stroke-dasharray="4 3"/>',
        svg.text(left + 8, top - 10, "a pod, with a network of its own", "start"),
        *_box(APP, ["application"]),
        *_box(ENVOY, ["Envoy", f"user {user}"]),
    ]
    x, far = APP[0] + BOX[0] / 2, ENVOY[0] + BOX[0] / 2
    up, down = APP[1] - 24, APP[1] + BOX[1] + 30
    parts += [
        _arrow(f"M {x} {APP[1]} V {up} H {far} V {ENVOY[1] - 3}", "out"),
        svg.text((x + far) / 2, up - 12, f"OUTPUT: to {out}"),
        _arrow(f"M {ENVOY[0] + BOX[0]} {ENVOY[1] + 13} H {WIDE - 4}", "out"),
        svg.text(right + 4, ENVOY[1], "leaves", "start"),
        _arrow(f"M {WIDE - 4} {ENVOY[1] + 31} H {ENVOY[0] + BOX[0] + 3}", "in"),
        svg.text(right + 4, ENVOY[1] + 44, "comes", "start"),
        _arrow(f"M {far} {ENVOY[1] + BOX[1]} V {down} H {x} V {APP[1] + BOX[1] + 3}", "in"),
        svg.text((x + far) / 2, down + 12, f"PREROUTING: to {into} first"),
    ]
    caption = (
        f"What the application sends goes to Envoy at port {out} first, and from there, sent by user {user}, out of the pod. "
        f"What comes to the pod goes to Envoy at port {into} first, and from there to the application."
    )
    return svg.Drawing(WIDE, HIGH, parts, caption)


def _head(name: str, colour: str) -> str:
    shape = f'<path d="M0 0L8 4L0 8z" fill="{colour}"/>'
    return f'<marker id="way-{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">{shape}</marker>'


def _box(place: tuple[float, float], words: list[str]) -> list[str]:
    (x, y), (width, height) = place, BOX
    return [
        f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="4" fill="none" stroke="currentColor" stroke-width="1.5"/>',
        *(svg.text(x + width / 2, y + height * (at + 1) / (len(words) + 1), line) for at, line in enumerate(words)),
    ]


def _arrow(path: str, name: str) -> str:
    colour = OUT if name == "out" else IN
    return f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="2" marker-end="url(#way-{name})"/>'
