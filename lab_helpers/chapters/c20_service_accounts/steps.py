"""The article's three rules one after the other: a picture of who may ask whom, and the slider that goes through them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pandas as pd

from lab_helpers.chapters.c20_service_accounts.asking import who_may
from lab_helpers.core.manifests import FOLDER
from lab_helpers.istio import apply
from lab_helpers.show.living.knob import Step
from lab_helpers.show.svg import BAD, GOOD, Drawing, group, text

STEM = "20_service_accounts"
RULES = ("02-details", "03-reviews", "04-ratings")
ACCOUNTS = {"client": "client", "productpage": "bookinfo-productpage", "reviews": "bookinfo-reviews", "ratings": "bookinfo-ratings"}
LEFT, TOP, WIDE, HIGH = 190, 34, 92, 34  # pixels: the names' column and row, and a cell
WORDS = ("none of the three rules", "the rule for details", "the rules for details and reviews", "all three rules")


def draw_permits(seen: pd.DataFrame) -> Drawing:
    """Draw who was answered by whom: a row for each caller, with its service account, and a column for each service.

    Parameters
    ----------
    seen : pandas.DataFrame
        As `who_may` returns it.
    """
    parts = [text(LEFT + WIDE * (at + 0.5), TOP - 14, name, weight=600) for at, name in enumerate(seen.columns)]
    for row, (caller, statuses) in enumerate(seen.iterrows()):
        y = TOP + HIGH * row
        parts += [text(LEFT - 12, y + HIGH / 2 - 7, caller, "end", weight=600), text(LEFT - 12, y + HIGH / 2 + 8, _identity(caller), "end")]
        parts += [_cell(LEFT + WIDE * at, y, int(status), caller, name) for at, (name, status) in enumerate(statuses.items())]
    told = [f"{caller} by {_answered(statuses)}" for caller, statuses in seen.iterrows()]
    return Drawing(LEFT + WIDE * len(seen.columns) + 8, TOP + HIGH * len(seen) + 8, parts, f"Who is answered: {'; '.join(told)}.")


def _identity(caller: str) -> str:
    return f"sa/{ACCOUNTS[caller]}" if caller in ACCOUNTS else ""


def _answered(statuses: pd.Series) -> str:
    return " and ".join(name for name, status in statuses.items() if status == 200) or "nobody"


def _cell(x: float, y: float, status: int, caller: str, service: str) -> str:
    colour = GOOD if status == 200 else BAD
    frame = f'<rect x="{x + 3:g}" y="{y + 3:g}" width="{WIDE - 6}" height="{HIGH - 6}" rx="5" fill="{colour}" '
    frame += f'fill-opacity="{0.25 if status == 200 else 0.08}" stroke="{colour}"/>'
    return group(
        [frame, text(x + WIDE / 2, y + HIGH / 2, f"{'✓' if status == 200 else '✗'} {status}")], f"{caller} asks {service}: {status}"
    )


def shown(rules: int, seen: pd.DataFrame) -> list[dict]:
    """What a slider shows where so many of the three `rules` are applied: the recording of one setting."""
    allowed = int((seen == 200).to_numpy().sum())
    sentence = f"With {WORDS[rules]}, {allowed} of {seen.size} pairs of caller and service are let through; the others get 403."
    return [{"value": rules, "picture": draw_permits(seen)._repr_html_(), "sentence": sentence, "done": 1, "of": 1}]


def follow(lab, value: float, stopped: Callable[[], bool] = lambda: False) -> Iterator[Step]:
    """Have the first `value` of the three rules applied and no other, then ask everybody from everywhere, and tell who was let through.

    Parameters
    ----------
    value : float
        0 to 3.
    stopped : callable
        Not asked: all of it takes two seconds.
    """
    wanted, others = ([f"{STEM}/{name}.yaml" for name in names] for names in (RULES[: int(value)], RULES[int(value) :]))
    documents = apply.load_for(lab, wanted, FOLDER)
    apply.erase(lab, apply.load_for(lab, others, FOLDER))
    apply.write(lab, documents, f"kubectl apply --server-side -f - <<< '{json.dumps(documents)}'")
    (state,) = shown(int(value), seen := who_may(lab))
    yield Step(draw_permits(seen), state["sentence"], done=1, of=1)
