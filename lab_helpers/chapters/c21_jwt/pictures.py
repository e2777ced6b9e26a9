"""Pictures of this chapter: who answers what, how long an ended token lives on, and requests while keys are exchanged."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pandas as pd
from joserfc.jwk import RSAKey

from lab_helpers.chapters.c21_jwt.asking import ask_each
from lab_helpers.chapters.c21_jwt.minting import SKEW, mint
from lab_helpers.show.living.knob import Step
from lab_helpers.show.plots import SEEN, WANTED
from lab_helpers.show.svg import BAD, GOOD, HUES, Drawing, group, text

TOKENS = 5  # for each place of the slider
FROM, TO, LEFT, WIDE = -60, 120, 30, 450  # seconds after the end of a token; pixels


def way_in() -> Drawing:
    """What a request meets in the proxy of productpage, and who answers what."""
    stations = [
        ("RequestAuthentication", "is there a token,", "and is it a good one?", "401", "a bad token"),
        ("AuthorizationPolicy", "may this request,", "with these claims, go on?", "403", "not allowed"),
        ("productpage", "the application", "", "200", ""),
    ]
    parts = ['<path d="M8,48 H40 M212,48 H250 M422,48 H460" stroke="currentColor" fill="none" marker-end="url(#jwt-way)"/>']
    head = '<path d="M0,0 L8,4 L0,8 z" fill="currentColor"/>'
    parts.append(f'<defs><marker id="jwt-way" markerWidth="8" markerHeight="8" refX="7" refY="4" orient="auto">{head}</marker></defs>')
    for place, (name, first, second, status, why) in enumerate(stations):
        x, colour = 42 + 210 * place, GOOD if status == "200" else BAD
        parts.append(f'<rect x="{x}" y="16" width="168" height="64" rx="6" fill="{SEEN}" fill-opacity=".12" stroke="{SEEN}"/>')
        parts += [text(x + 84, 32, name, weight=600), text(x + 84, 50, first), text(x + 84, 66, second)]
        parts.append(f'<path d="M{x + 84},80 V100" stroke="{colour}" fill="none"/>')
        parts.append(text(x + 84, 112, f"{status} {why}".strip(), colour=colour, weight=600))
    parts.append(text(8, 132, "No token at all: nothing to check, so the first lets it pass.", "start"))
    caption = "A request meets the RequestAuthentication, which answers a bad token 401, then the AuthorizationPolicy, which answers 403."
    return Drawing(640, 144, parts, caption)


def grace(key: RSAKey) -> Callable[..., Iterator[Step]]:
    """What a slider does that sets how long ago a token ended: five are signed by `key`, and sent at once."""

    def follow(lab, value: float, stopped: Callable[[], bool] = lambda: False) -> Iterator[Step]:
        yield Step(ended(value, {}), f"A token that {_ago(value)}. Nothing sent yet.", done=0, of=TOKENS)
        if stopped():
            return
        seen = ask_each(lab, {str(number): mint(key, lives=-value) for number in range(TOKENS)})
        counts = {int(status): int(count) for status, count in seen["status"].value_counts().items()}
        told = ", ".join(f"{count} times {status}" for status, count in counts.items())
        said = next((each for each in seen["said"] if each), "")
        yield Step(ended(value, counts), f"A token that {_ago(value)}: {told}{f' ({said})' if said else ''}.", done=TOKENS, of=TOKENS)

    return follow


def ended(value: float, counts: dict[int, int]) -> Drawing:
    """The life of a token on a line of time, and what became of it `value` seconds after its end."""

    def at(second: float) -> float:
        return LEFT + WIDE * (second - FROM) / (TO - FROM)

    status = max(counts, key=lambda each: counts[each]) if counts else None
    colour = "currentColor" if status is None else GOOD if status == 200 else BAD
    parts = [f'<rect x="{at(FROM):.1f}" y="40" width="{at(0) - at(FROM):.1f}" height="16" fill="{SEEN}"/>']
    parts += [f'<rect x="{at(0):.1f}" y="40" width="{at(SKEW) - at(0):.1f}" height="16" fill="{SEEN}" fill-opacity=".3"/>']
    parts += [
        text((at(FROM) + at(0)) / 2, 30, "by its claims"),
        text(at(SKEW / 2), 30, "by Envoy's grace"),
        text(at(0), 70, "exp"),
    ]
    parts += [f'<path d="M{at(second):.1f},56 V62" stroke="currentColor"/>' for second in range(FROM, TO + 1, 30)]
    parts += [text(at(second), 70, f"{second:+d} s") for second in range(FROM, TO + 1, 30) if second]
    parts += [f'<path d="M{at(FROM):.1f},56 H{at(TO):.1f}" stroke="currentColor"/>']
    parts += [f'<path d="M{at(value):.1f},18 V56" stroke="{WANTED if status is None else colour}" stroke-width="3"/>']
    parts += [text(at(value), 9, "now" if status is None else f"now: {status}", colour=colour, weight=600)]
    caption = f"A token that {_ago(value)}" + (f" is answered {status}." if status is not None else ".")
    return Drawing(LEFT + WIDE + 40, 80, parts, caption)


def plot_stream(seen: pd.DataFrame) -> Drawing:
    """Each request of a stream as a stroke, in order, in the row of its key; red where it failed; and what was going on meanwhile."""
    names = list(dict.fromkeys(seen["by"]))
    phases = list(dict.fromkeys(seen["during"]))
    left, wide, row, top = 90, 520, 26, 12
    step = wide / max(len(seen), 1)
    parts, below = [], top + row * len(names) + 12
    for place, name in enumerate(names):
        parts.append(text(left - 8, top + row * place + row / 2, f"key {name}", "end", colour=HUES[place % len(HUES)], weight=600))
    for at, request in enumerate(seen.itertuples(index=False)):
        place = names.index(request.by)
        colour = HUES[place % len(HUES)] if request.status == 200 else BAD
        x, y = left + step * (at + 0.5), top + row * place
        parts.append(f'<path d="M{x:.1f},{y + 3} V{y + row - 3}" stroke="{colour}" stroke-width="{max(step * 0.7, 0.6):.2f}"/>')
    for number, phase in enumerate(phases, 1):
        own = seen.index[seen["during"] == phase]
        start, y = left + step * own[0], below + 16 * (number - 1)
        failed = int((seen.loc[own, "status"] != 200).sum())
        what = f"{number} {phase}: {len(own)} requests, {failed or 'none'} failed"
        parts.append(group([f'<path d="M{start:.1f},{top} V{below - 8}" stroke="currentColor" stroke-opacity=".4"/>'], what))
        parts += [
            text(start + 3, top - 6, str(number), "start"),
            text(left, y + 4, what, "start", colour=BAD if failed else "currentColor"),
        ]
    told = "; ".join(f"{phase}: {int((seen.loc[seen['during'] == phase, 'status'] != 200).sum())} failed" for phase in phases)
    return Drawing(left + wide + 10, below + 16 * len(phases) + 4, parts, f"{len(seen)} requests. {told}.")


def _ago(value: float) -> str:
    return f"ends in {-value:g} s" if value < 0 else f"ended {value:g} s ago" if value else "ends now"
