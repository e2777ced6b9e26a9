"""Checks of chapter 11_destination_rule."""

from __future__ import annotations

import pandas as pd

from lab_helpers.chapters.c11_destination_rule.readers import READERS, by_reader
from lab_helpers.core.errors import LabError
from lab_helpers.core.statistics import goodness_of_fit, in_turn, rate_at_most, required_n
from lab_helpers.istio import configuration
from lab_helpers.kube import channels
from lab_helpers.show.checks import register, wrong
from lab_helpers.show.inputs import Pair, table
from lab_helpers.show.plots import count

VERSIONS = ("v1", "v2", "v3")
THIRDS = dict.fromkeys(VERSIONS, 1)
HALVES = {"v1": 1, "v2": 1}
MODES = ("ROUND_ROBIN", "RANDOM", "LEAST_REQUEST")
# The faults that must not be missed, and how surely each is found.
ONE_FAVOURED, UNEVEN = {"v1": 3, "v2": 1, "v3": 1}, {"v1": 3, "v2": 1}
POWER = 0.995
TURNS = 1e-9  # a round repeats itself as chance does less often than this
SLOW, SURE = "v3", 0.999
LEAST_READERS, LEAST_VISITS = 16, 3
ANSWER = "reader"  # the parameter by which the exercise tells readers apart

# What the checks look at.
Known = table("connect_timeout", text=["subset", "policy", "pods", "rule"], numbers=["port"])
Told = table(text=["response_code", "response_flags"], numbers=["requests"])
Seen = table("version", numbers=["status"])
Busy = table("version", text=["mode"], numbers=["status", "latency_ms"])
Visits = table("version", text=["reader"], numbers=["status"])
Secured = table(text=["connection_security_policy"], numbers=["requests"])


@register("11.1", "A name for each version")
def a_name_for_each(known: Known) -> str:
    """The client's proxy has a cluster for each version, and just the pods of that version in it."""
    subsets = known[known["subset"] != ""].set_index("subset")["pods"]
    if subsets.empty:
        raise wrong("the proxy of the client knows no subset of reviews", "Was 01-subsets.yaml applied before the table was made?")
    for name in VERSIONS:
        if name not in subsets:
            raise wrong(f"no subset is called {name}", "Look under spec.subsets.")
        if not subsets[name]:
            raise wrong(f"subset {name} has no pod", "Compare its labels with kubectl get pods --show-labels.")
        if subsets[name] != f"reviews-{name}":
            raise wrong(f"subset {name} leads to {subsets[name]}", "Which labels does it name?")
    return "v1, v2 and v3, and in each the pods of that version."


@register("11.2", "Two ways to a 503")
def two_ways(undefined: Told, empty: Told, answer: Pair) -> str:
    """Both states failed every request with 503, by different flags; the learner says which flag is whose."""
    flags = [
        _flag(each, what) for each, what in ((undefined, "to a subset that nobody defines"), (empty, "to a subset that no pod belongs to"))
    ]
    if flags[0] == flags[1]:
        raise wrong(f"both tables have the flag {flags[0]}", "Is each of the state that it is called by?")
    if tuple(answer) != tuple(flags):
        raise wrong("it is another flag", "Look at response_flags in each of the two tables, in the order of the question.")
    return f"{flags[0]}: no such cluster; {flags[1]}: nobody in it."


def _flag(told: pd.DataFrame, what: str) -> str:
    failed = told[(told["response_code"] == "503") & (told["requests"] > 0)]
    if failed.empty:
        raise wrong(f"no request {what} was answered 503", "Was it sent within the window of that table?")
    if (told["requests"].where(told["response_code"] != "503", 0) > 0).any():
        raise wrong(f"not every request {what} failed", "Is anything else sent to reviews within that window?")
    found = sorted(set(failed["response_flags"]))
    if len(found) > 1:
        raise wrong(f"the 503s have several flags: {', '.join(found)}", "Make the table anew, of one state only.")
    return found[0]


@register("11.3", "In turn, and by chance")
def turn_and_chance(turn: Seen, chance: Seen) -> tuple[str, str]:
    """Under ROUND_ROBIN versions had their turns; under RANDOM they were drawn, a third each."""
    _answered(turn, "under ROUND_ROBIN")
    _answered(chance, "under RANDOM")
    for seen, mode in ((turn, "ROUND_ROBIN"), (chance, "RANDOM")):
        _enough(seen, THIRDS, ONE_FAVOURED, f"requests under {mode} are")
    faithful, drawn = in_turn(list(turn["version"]), 3), in_turn(list(chance["version"]), 3)
    if faithful >= TURNS:
        raise wrong(
            "under ROUND_ROBIN the versions did not have their turns", "Was 05-round-robin.yaml in effect, and one request sent at a time?"
        )
    if drawn < TURNS:
        raise wrong("under RANDOM the versions had their turns", "Was 06-random.yaml in effect?")
    fit = _fit(chance, THIRDS)
    if not fit.passed:
        raise wrong(f"under RANDOM the versions did not get a third each ({fit})", "Is a VirtualService for reviews left over?")
    more = f"RANDOM: {fit}. To repeat itself as often as it did under ROUND_ROBIN, chance alone has a probability of {faithful:.1g}."
    return "ROUND_ROBIN goes round, RANDOM draws.", more


@register("11.4", "A slow pod")
def a_slow_pod(busy: Busy, answer: str) -> tuple[str, str]:
    """The slow pod got a third under two modes, and much less under the third; the learner says which one spares it."""
    missing = [mode for mode in MODES if mode not in set(busy["mode"])]
    if missing:
        raise wrong(f"nothing was sent under {missing[0]}", "The table wants all three, in a column mode.")
    parts = {mode: busy[busy["mode"] == mode] for mode in MODES}
    for mode, seen in parts.items():
        _answered(seen, f"under {mode}")
        _enough(seen, THIRDS, ONE_FAVOURED, f"requests under {mode} are")
        if seen.loc[seen["version"] == SLOW, "latency_ms"].median() < 150:
            raise wrong(f"{SLOW} was not slow under {mode}", "Is 08-v3-is-slow.yaml in effect?")
    fits = {mode: _fit(parts[mode], THIRDS) for mode in ("ROUND_ROBIN", "RANDOM")}
    for mode, fit in fits.items():
        if not fit.passed:
            raise wrong(f"under {mode} the versions did not get a third each ({fit})", "Which rule was in effect then?")
    spared = parts["LEAST_REQUEST"]
    slow = int((spared["version"] == SLOW).sum())
    most = rate_at_most(slow, len(spared), SURE)
    if most >= 1 / 3:
        raise wrong("under LEAST_REQUEST the slow pod got its third", "Were several requests under way at a time?")
    if answer != "LEAST_REQUEST":
        raise wrong(f"{answer} did not spare it", f"Under which mode did {SLOW} get the smallest share?")
    more = "; ".join(f"{mode}: {fit}" for mode, fit in fits.items())
    more += f". LEAST_REQUEST: with {SURE:.1%} confidence, {SLOW} gets less than {most:.1%}."
    return f"{slow / len(spared):.0%} of the requests went to the slow pod, and a third under the other two.", more


@register("11.5", "A reader keeps his pod")
def keeps_his_pod(visits: Visits) -> str:
    """Each reader met one version, and not all of them the same."""
    return _kept(visits)


def _kept(visits: pd.DataFrame) -> str:
    _answered(visits, "of the readers")
    asked, versions = visits.groupby("reader").size(), visits.groupby("reader")["version"].nunique()
    if len(asked) < LEAST_READERS or asked.min() < LEAST_VISITS:
        raise wrong(
            f"{len(asked)} readers, each with {asked.min() if len(asked) else 0} requests or more, do not say much",
            f"Take {LEAST_READERS} readers or more, and {LEAST_VISITS} requests of each.",
        )
    moved = sorted(versions.index[versions > 1])
    if moved:
        raise wrong(f"{moved[0]} met {versions[moved[0]]} versions", "By what does the rule tell readers apart, and do they send it?")
    if visits["version"].nunique() == 1:
        raise wrong(f"all of them met {visits['version'].iloc[0]}", "Do they send different values, and has reviews more than one pod?")
    return f"{len(asked)} readers, {visits['version'].nunique()} versions, and each reader met one of them only."


@register("11.6", "Drawn first, hashed then")
def drawn_first(visits: Visits) -> tuple[str, str]:
    """With weights above the hash, readers met both versions, and each version got its half."""
    _answered(visits, "of the readers")
    _enough(visits, HALVES, UNEVEN, "requests are")
    strangers = sorted(set(visits["version"]) - set(HALVES))
    if strangers:
        raise wrong(f"{strangers[0]} answered, too", "Is 11-halves.yaml in effect?")
    both = (visits.groupby("reader")["version"].nunique() == 2).sum()
    if not both:
        raise wrong("no reader met both versions", "How often did each of them ask?")
    fit = _fit(visits, HALVES)
    if not fit.passed:
        raise wrong(f"the versions did not get half each ({fit})", "Look at the weights.")
    return f"{both} of {visits['reader'].nunique()} readers met both versions, which got half of the requests each.", f"{fit}."


@register("11.7", "Host, port, subset")
def levels(known: Known, answer: int) -> str:
    """Each of the six clusters has the policy that its level gives it; the learner says at which port the host's timeout is lost."""
    wanted = {
        (9080, ""): ("RANDOM", "3s"), (9080, "plain"): ("RANDOM", "3s"), (9080, "turns"): ("ROUND_ROBIN", "3s"),
        (9081, ""): ("RING_HASH", "10s"), (9081, "plain"): ("RING_HASH", "10s"), (9081, "turns"): ("ROUND_ROBIN", "10s"),
    }  # fmt: skip
    found = {(int(each.port), each.subset): (each.policy, each.connect_timeout) for each in known.itertuples()}
    for (port, subset), (policy, _) in wanted.items():
        if (port, subset) not in found:
            where = f"subset {subset} at port {port}" if subset else f"port {port}"
            raise wrong(f"the proxy of the client has no cluster for {where} of shelf", "Is it the table of clusters(lab, 'shelf')?")
        if found[port, subset][0] != policy:
            where = f"subset {subset} at port {port}" if subset else f"port {port}"
            raise wrong(f"{where} has the policy {found[port, subset][0]}", "Apply 12-levels.yaml as it is in the course.")
    lost = {port for (port, _), (_, timeout) in found.items() if timeout != "3s"}
    if len(lost) != 1:
        raise wrong("the timeout of the host holds at every port, or at none", "Apply 12-levels.yaml as it is in the course.")
    if answer not in lost:
        raise wrong(f"at port {answer} it holds", "Look at the column connect_timeout.")
    return f"Six clusters from one rule; at port {answer} the host's timeout is gone, since that port has settings of its own."


@register("11.8", "The caller's rule")
def the_callers_rule(elsewhere: Known, here: Known, secured: Secured) -> str:
    """A rule of a third namespace reached nobody, the same one beside the caller did; and the caller gave up TLS by a rule of its own."""
    if elsewhere.empty or here.empty:
        raise wrong("one of the tables of clusters is empty", "Make it by clusters(lab, 'reviews').")
    if (elsewhere["rule"] != "").any():
        raise wrong(
            f"{next(filter(None, elsewhere['rule']))} is in force there already",
            "Is a DestinationRule left over? kubectl get destinationrules.",
        )
    if not here["rule"].str.startswith("everything.").all():
        raise wrong("the rule everything is not in force beside the caller either", "Was 14-everything.yaml applied by lab.apply?")
    policies = set(secured.loc[secured["requests"] > 0, "connection_security_policy"])
    if not policies:
        raise wrong("no server proxy has counted a request", "Was anything sent to reviews within the window?")
    if policies != {"none"}:
        raise wrong("mutual TLS was still spoken", "Was 16-without-tls.yaml in effect before the window began?")
    return "Without effect from a third namespace, in force beside the caller; and without TLS where the caller says so."


@register("11.9", "By a name in the address")
def by_a_name_in_the_address(lab) -> str:
    """The exercise: whoever says who he is by ``?reader=`` keeps his pod, by a DestinationRule for reviews."""
    rules = [each for kind in configuration.kinds(lab) if kind.kind == "DestinationRule" for each in lab.client.list(kind)]
    if not rules:
        raise wrong("there is no DestinationRule in the namespace", "Write one for the host reviews, and apply it.")
    readers = {name: {"path": f"/reviews/0?{ANSWER}={name}"} for name in READERS}
    try:
        with channels.kept():
            visits = by_reader(lab, readers, n=LEAST_VISITS)
    except LabError as error:
        raise wrong(error.what, error.do) from None
    return _kept(visits)


def _answered(seen: pd.DataFrame, which: str) -> None:
    failed = seen[(seen["status"] != 200) | seen["version"].isna()]
    if len(failed):
        status = failed["status"].iloc[0]
        hint = "503 often means a subset that nobody defines." if status == 503 else "See kubectl get pods."
        raise wrong(f"{len(failed)} of {len(seen)} requests {which} got no review, the first with status {status}", hint)


def _enough(seen: pd.DataFrame, expected: dict, fault: dict, what: str) -> None:
    needed = required_n(expected, fault, wanted_power=POWER)
    if len(seen) < needed:
        raise wrong(f"{len(seen)} {what} too few to tell", f"Not to miss {' : '.join(map(str, fault.values()))} takes {needed:,}.")


def _fit(seen: pd.DataFrame, expected: dict):
    try:
        return goodness_of_fit(count(seen), expected)
    except LabError as error:
        raise wrong(error.what, error.do) from None
