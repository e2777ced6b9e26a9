"""The dial of this chapter: how many of 100 calls to ratings are aborted, and what comes of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

from lab_helpers.chapters.c15_fault_injection.readers import outcomes
from lab_helpers.core.manifests import FOLDER, load
from lab_helpers.core.statistics import rate_interval
from lab_helpers.istio import apply, configuration
from lab_helpers.show.living.knob import Step
from lab_helpers.show.plots import SEEN, WANTED
from lab_helpers.show.svg import Drawing, text
from lab_helpers.traffic import observe

MANIFEST = "15_fault_injection/01-forbidden.yaml"
N, BATCH = 400, 100
CONFIDENCE = 0.99
LEFT, WIDE, HIGH = 40, 420, 96  # pixels: where the scale begins, its length, the height of the picture


def follow(lab, value: float, stopped: Callable[[], bool] = lambda: False) -> Iterator[Step]:
    """Have `value` of 100 calls to ratings aborted with 403, then send 400 from a pod in the mesh, and tell how many were.

    Parameters
    ----------
    value : float
        Percent.
    stopped : callable
        Asked before each batch; nothing more is sent once it says yes.

    Raises
    ------
    MeshError
        Another VirtualService speaks for ratings.
    ManifestError
        What Istio's validation says to the value.
    """
    configuration.require_sole(lab, "ratings", "ratings")
    effect = apply.write(lab, [rule(value)], f"kubectl apply --server-side -f - <<< '{json.dumps(rule(value))}'")
    where = f"in effect on all {effect.proxies} proxies" if effect.proxies else "in effect already"
    aborted = sent = 0
    yield Step(picture(value, 0, 0), f"{value:g} % asked for, {where}. Nothing sent yet.", done=0, of=N)
    while sent < N and not stopped():
        seen = observe.observe(lab, "ratings", BATCH, parallel=8)
        aborted, sent = aborted + outcomes(seen)["aborted"], sent + len(seen)
        yield Step(picture(value, aborted, sent), told(value, aborted, sent), done=sent, of=N)


def rule(value: float) -> dict:
    """The chapter's first manifest with another percentage."""
    (document,) = load(MANIFEST, FOLDER)
    document["spec"]["http"][0]["fault"]["abort"]["percentage"] = {"value": value}
    return document


def told(value: float, aborted: int, sent: int) -> str:
    """What was seen so far, in a sentence."""
    low, high = rate_interval(aborted, sent, CONFIDENCE)
    interval = f"{CONFIDENCE:.0%} interval {100 * low:.0f} to {100 * high:.0f} %"
    return f"{sent} of {N} requests sent. {aborted / sent:.0%} were aborted ({interval}); asked for {value:g} %."


def picture(value: float, aborted: int, sent: int) -> Drawing:
    """The share of aborted requests, with its interval, beside what was asked for."""

    def at(percent: float) -> float:
        return LEFT + WIDE * percent / 100

    low, high = (100 * each for each in rate_interval(aborted, sent, CONFIDENCE)) if sent else (0.0, 0.0)
    share = 100 * aborted / sent if sent else 0.0
    scale = "".join(f"M{at(mark):.0f},24 V66 " for mark in range(0, 101, 20))
    parts = [f'<path d="{scale}" stroke="currentColor" stroke-opacity=".18" fill="none"/>']
    parts += [text(at(mark), 78, f"{mark} %" if mark == 100 else str(mark)) for mark in range(0, 101, 20)]
    parts += [f'<rect x="{LEFT}" y="32" width="{at(share) - LEFT:.1f}" height="26" fill="{SEEN}"/>']
    if sent:
        whisker = f"M{at(low):.1f},45 H{at(high):.1f} M{at(low):.1f},39 V51 M{at(high):.1f},39 V51"
        parts += [f'<path d="{whisker}" stroke="currentColor" stroke-width="1.4" fill="none"/>']
    parts += [f'<path d="M{at(value):.1f},26 V64" stroke="{WANTED}" stroke-width="3"/>']
    parts += [text(LEFT, 12, f"403: {aborted} of {sent} requests (blue), asked for {value:g} % (orange)", "start")]
    return Drawing(LEFT + WIDE + 50, HIGH, parts, told(value, aborted, sent) if sent else f"Nothing sent yet; asked for {value:g} %.")
