"""Checks of chapter 12_traffic_shifting."""

from __future__ import annotations

import pandas as pd

from lab_helpers.chapters.c12_traffic_shifting.weights import current, rules
from lab_helpers.core.errors import LabError
from lab_helpers.core.statistics import goodness_of_fit, power, rate_at_most, required_n
from lab_helpers.kube import pods
from lab_helpers.kube.kinds import POD
from lab_helpers.show.checks import register, wrong
from lab_helpers.show.inputs import table
from lab_helpers.show.plots import count
from lab_helpers.traffic import observe

VERSIONS = {"v1", "v2", "v3"}
WEIGHTS = {"v1": 15, "v2": 25, "v3": 60}
RATIO = {"v1": 1, "v3": 3}
BLACK_STARS = {"v1": 80, "v2": 20}
# The fault that must not be missed, for each of the three, and how surely it is found.
FAULTS = {"12.3": {"v1": 20, "v2": 25, "v3": 55}, "12.4": {"v1": 2, "v3": 3}, "12.6": {"v1": 70, "v2": 30}}
POWER = 0.995
SEEN_ALL = 200  # of so many to one version, with 99 % confidence the others get less than 2.3 %

# What the checks look at.
Seen = table("version", numbers=["status"])
Stages = table(numbers=["weight", "failed"])


@register("12.1", "Names for three versions")
def subsets_defined(lab) -> str:
    """A DestinationRule for reviews defines a subset for each version, and each selects a pod that runs."""
    found = rules(lab, "DestinationRule", "reviews")
    if not found:
        raise wrong("there is no DestinationRule for reviews", "Apply 01-subsets.yaml; was it in this namespace?")
    subsets = {each["name"]: each.get("labels", {}) for rule in found for each in rule["spec"].get("subsets", [])}
    missing = sorted(VERSIONS - set(subsets))
    if missing:
        raise wrong(f"no subset is called {missing[0]}", "Look under spec.subsets.")
    running = [pod for pod in lab.client.list(POD, labels={"app": "reviews"}) if pods.ready(pod)]
    for name in sorted(VERSIONS):
        if not any(subsets[name].items() <= pods.labels(pod).items() for pod in running):
            text = ", ".join(f"{key}={value}" for key, value in subsets[name].items())
            raise wrong(f"subset {name} selects {text}, and no pod that runs has that", "Compare it with kubectl get pods --show-labels.")
    return "v1, v2 and v3 each select a pod that runs."


@register("12.2", "All to v1")
def all_to_v1(seen: Seen) -> str:
    """Nobody else has answered, and enough were asked to say so."""
    counts = _answered(seen)
    if set(counts) != {"v1"}:
        others = ", ".join(sorted(set(counts) - {"v1"})) or "nobody"
        raise wrong(
            f"{others} answered, too", "Is the VirtualService's only destination the subset v1? kubectl get virtualservice -o yaml."
        )
    if len(seen) < SEEN_ALL:
        raise wrong(f"{len(seen)} requests do not say much", f"Send {SEEN_ALL}.")
    most = 100 * rate_at_most(0, len(seen))
    return f"{counts['v1']} of {len(seen)}. With 99 % confidence, the others get less than {most:.1f} % of the requests."


@register("12.3", "15, 25 and 60 in 100")
def weights_kept(seen: Seen) -> tuple[str, str]:
    """The shares agree with the weights, judged on enough requests."""
    return _shares("12.3", seen, WEIGHTS)


@register("12.4", "A ratio is enough")
def ratio_kept(seen: Seen) -> tuple[str, str]:
    """One to three, from weights that add up to four."""
    return _shares("12.4", seen, RATIO)


@register("12.5", "The canary has flown")
def canary_done(lab, stages: Stages) -> str:
    """It was raised step by step, each step was clean, and now everything goes to v3."""
    weights = list(stages["weight"])
    if weights != sorted(weights) or len(weights) < 3 or weights[0] > 25 or weights[-1] != 100:
        raise wrong(
            f"the steps were {', '.join(map(str, weights)) or 'none'} percent",
            "Begin with 25 percent or less, take three steps or more, end with 100.",
        )
    failed = stages[stages["failed"] > 0]
    if len(failed):
        raise wrong(f"{failed['failed'].iloc[0]} requests failed at {failed['weight'].iloc[0]} percent", "A canary that fails goes back.")
    now = {name: weight for name, weight in current(lab, "reviews").items() if weight}
    if now != {"v3": 100}:
        raise wrong(f"the weights are now {now or 'not set'}", "Everything should go to v3.")
    return f"{len(weights)} steps, no failure, and v3 has it all."


@register("12.6", "Black stars for one in five")
def black_stars(lab) -> tuple[str, str]:
    """80 to v1, 20 to v2, by a VirtualService and by what answers."""
    if not rules(lab, "VirtualService", "reviews"):
        raise wrong("there is no VirtualService for reviews", "Write one: hosts, then http, route and two destinations.")
    n = required_n(BLACK_STARS, FAULTS["12.6"], wanted_power=POWER)
    return _shares("12.6", observe.observe(lab, "reviews", n=n, parallel=8), BLACK_STARS)


def _answered(seen: pd.DataFrame) -> dict[str, int]:
    failed = seen[seen["status"] != 200]
    if len(failed):
        status = failed["status"].iloc[0]
        hint = "503 often means a subset that no DestinationRule defines." if status == 503 else "See kubectl get pods."
        raise wrong(f"{len(failed)} of {len(seen)} requests failed, the first with status {status}", hint)
    return count(seen)


def _shares(number: str, seen: pd.DataFrame, wanted: dict[str, int]) -> tuple[str, str]:
    counts = _answered(seen)
    needed = required_n(wanted, FAULTS[number], wanted_power=POWER)
    fault = " : ".join(map(str, FAULTS[number].values()))
    if len(seen) < needed:
        raise wrong(f"{len(seen)} requests are too few to tell", f"Not to miss {fault} takes {needed:,}.")
    strangers = sorted(set(counts) - set(wanted))
    if strangers:
        raise wrong(f"{strangers[0]} answered {counts[strangers[0]]} of {len(seen)}, and should get none", "Look at the destinations.")
    try:
        fit = goodness_of_fit(counts, wanted)
    except LabError as error:
        raise wrong(error.what, error.do) from None
    if not fit.passed:
        furthest = max(wanted, key=lambda name: abs(counts.get(name, 0) / len(seen) - wanted[name] / sum(wanted.values())))
        share, due = 100 * counts.get(furthest, 0) / len(seen), 100 * wanted[furthest] / sum(wanted.values())
        raise wrong(
            f"{furthest} answered {share:.1f} %, not {due:.0f} % ({fit})",
            f"Look at the weight of subset {furthest}, and at the labels of that subset.",
        )
    found = power(len(seen), wanted, FAULTS[number])
    return f"{fit.words}.", f"{fit}. A mesh that does {fault} is found by so many requests in {_percent(found)} of all runs."


def _percent(share: float) -> str:
    """A share near 1, rounded down: 99.5 %, and never 100 %."""
    digits = next((digits for digits in range(1, 6) if share < 1 - 10.0 ** -(digits + 2)), 6)
    return f"{int(share * 10 ** (digits + 2)) / 10**digits:.{digits}f} %"
