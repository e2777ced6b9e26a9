"""The dial of this chapter: how long calls to ratings are held back, and when whose clock runs out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pandas as pd

from lab_helpers.chapters.c16_delay_injection.latency import clusters, plot_latency
from lab_helpers.core.manifests import FOLDER, load
from lab_helpers.istio import apply, configuration
from lab_helpers.show.living.knob import Step
from lab_helpers.show.svg import Drawing
from lab_helpers.traffic import observe

MANIFEST = "16_delay_injection/05-slow-services.yaml"
PATH = "/api/v1/products/0/reviews"  # of productpage: the reviews and nothing else, asked for as the page asks for them
N = 12
ROWS = {"reviews by v1": "v1", "reviews by v2": "v2", "reviews by v3": "v3", "no reviews": None}


def follow(lab, value: float, stopped: Callable[[], bool] = lambda: False) -> Iterator[Step]:
    """Hold every call to ratings back for `value` seconds, then ask productpage for the reviews, 12 times at once.

    Parameters
    ----------
    value : float
        Seconds, in whole milliseconds.
    stopped : callable
        Nothing is sent once it says yes.

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
    nothing = pd.DataFrame({"version": [], "latency_ms": []})
    yield Step(picture(value, nothing), f"{value:g} s for each call to ratings, {where}. Nothing sent yet.", done=0, of=N)
    if not stopped():
        seen = observe.observe(lab, "productpage", N, PATH, parallel=N)
        yield Step(picture(value, seen), told(seen), done=N, of=N)


def rule(value: float) -> dict:
    """The chapter's rule for slow ratings, with another delay."""
    document = next(each for each in load(MANIFEST, FOLDER) if each["metadata"]["name"] == "ratings")
    document["spec"]["http"][0]["fault"]["delay"]["fixedDelay"] = f"{value:g}s"
    return document


def rows(seen: pd.DataFrame) -> dict[str, list[float]]:
    """Latencies in milliseconds, by who wrote the reviews that came; or none came."""
    return {name: list(seen[seen["version"].isna() if of is None else seen["version"] == of]["latency_ms"]) for name, of in ROWS.items()}


def told(seen: pd.DataFrame) -> str:
    """What was seen, in a sentence."""
    parts = []
    for name, values in rows(seen).items():
        if values:
            parts.append(f"{name}: " + ", ".join(f"{count} after {median:.1f} s" for count, median in clusters(values)))
    return f"{len(seen)} of {N} requests sent. {'; '.join(parts)}."


def picture(value: float, seen: pd.DataFrame) -> Drawing:
    """How long the answers took, by whose reviews came."""
    return plot_latency(rows(seen), {"the delay": value}, upto=7)
