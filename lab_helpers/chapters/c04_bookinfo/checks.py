"""Checks of chapter 04_bookinfo."""

from __future__ import annotations

from lab_helpers.core.statistics import ALPHA, goodness_of_fit, in_turn, required_n
from lab_helpers.istio import configuration, proxies
from lab_helpers.istio.gateway import Page
from lab_helpers.kube import pods
from lab_helpers.kube.kinds import POD, SERVICE, Kind
from lab_helpers.show.checks import given, register, wrong
from lab_helpers.show.inputs import Words, several, table
from lab_helpers.show.plots import count
from lab_helpers.traffic import observe

DESTINATION_RULE = Kind("networking.istio.io/v1", "DestinationRule")

VERSIONS = {"details": {"v1"}, "productpage": {"v1"}, "ratings": {"v1"}, "reviews": {"v1", "v2", "v3"}}
STARS = {"v1": "none", "v2": "black", "v3": "red"}
THIRDS = {"v1": 1, "v2": 1, "v3": 1}
# A mesh that gives one version half of all requests is found out 999 times in 1,000.
FAULT = {"v1": 2, "v2": 1, "v3": 1}
POWER = 0.999
CALLS = {
    ("productpage-v1", "details-v1"), ("productpage-v1", "reviews-v1"), ("productpage-v1", "reviews-v2"),
    ("productpage-v1", "reviews-v3"), ("reviews-v2", "ratings-v1"), ("reviews-v3", "ratings-v1"),
}  # fmt: skip

# What the checks look at.
Pages = several(Page, "pages, as lab.page() gives them")
Calls = table(text=["source", "destination"])
Seen = table("version", numbers=["status"])


@register("04.1", "Bookinfo runs")
def bookinfo_runs(lab) -> str:
    """Every Service selects ready pods of all its versions, each with a sidecar."""
    services = {each["metadata"]["name"]: each for each in lab.client.list(SERVICE)}
    there = [each for each in lab.client.list(POD) if not pods.leaving(each)]
    for name, versions in VERSIONS.items():
        if name not in services:
            raise wrong(f"there is no Service {name}", "Was its manifest applied? Look at kubectl get services.")
        selector = services[name]["spec"].get("selector") or {}
        selected = [pod for pod in there if selector.items() <= pods.labels(pod).items()]
        if not selected:
            text = ", ".join(f"{key}={value}" for key, value in selector.items())
            raise wrong(
                f"Service {name} selects pods labelled {text}, and there is none",
                "Compare it with kubectl get pods --show-labels.",
            )
        plain = [pod["metadata"]["name"] for pod in selected if not proxies.has_proxy(pod)]
        if plain:
            raise wrong(
                f"{', '.join(plain)} has no sidecar",
                "Is the namespace labelled for injection? Pods made before that keep as they were.",
            )
        waiting = [pod["metadata"]["name"] for pod in selected if not pods.ready(pod)]
        if waiting:
            raise wrong(f"{', '.join(waiting)} is not ready", "kubectl describe pod says what it waits for.")
        missing = versions - {pods.labels(pod).get("version") for pod in selected}
        if missing:
            raise wrong(f"Service {name} has no pod with label version={min(missing)}", "Look at kubectl get deployments.")
    return f"{len(VERSIONS)} Services, {sum(map(len, VERSIONS.values()))} workloads, all ready and each with its sidecar."


@register("04.2", "The page in its three faces")
def three_faces(pages: Pages) -> str:
    """Each version of reviews was met, and showed its own stars."""
    seen = {page.reviews_version: page.stars for page in pages if page.status == 200}
    missing = sorted(set(STARS) - set(seen))
    if missing:
        raise wrong(f"no page shows the reviews of {', '.join(missing)}", "Ask for more pages, or see whether its pod runs.")
    for version, stars in STARS.items():
        if seen[version] != stars:
            raise wrong(
                f"reviews {version} should show {stars} stars, and shows {seen[version]}",
                "Does it reach ratings? Which image does its pod run?",
            )
    return "v1 has no stars, v2 black ones, v3 red ones."


@register("04.3", "Who calls ratings")
def who_calls_ratings(calls: Calls, answer: Words) -> str:
    """The learner's answer agrees with what the proxies have counted, and the graph is Bookinfo's."""
    edges = {(each.source, each.destination) for each in calls.itertuples()}
    missing = sorted(CALLS - edges)
    if missing:
        raise wrong(
            f"no proxy has counted a call {' → '.join(missing[0])}",
            "Ask for some more pages first; each version must have had its turn.",
        )
    callers = {source for source, destination in edges if destination == "ratings-v1"}
    named = given(answer)
    if named - callers:
        raise wrong(f"{min(named - callers)} has not called ratings", "Which pages had no stars at all?")
    if callers - named:
        raise wrong("somebody else calls ratings too", "Count the arrows that end there.")
    return f"{' and '.join(sorted(callers))}, and nobody else."


@register("04.4", "Equal thirds")
def equal_thirds(seen: Seen) -> tuple[str, str]:
    """The shares agree with thirds, judged on enough requests."""
    needed = required_n(THIRDS, FAULT, ALPHA, POWER)
    failed = seen[seen["status"] != 200]
    if len(failed):
        raise wrong(
            f"{len(failed)} of {len(seen)} requests failed, the first with status {failed['status'].iloc[0]}",
            "See kubectl get pods.",
        )
    if len(seen) < needed:
        raise wrong(f"{len(seen)} requests are too few to tell", f"Finding a version that gets half of them takes {needed}.")
    fit = goodness_of_fit(count(seen), THIRDS)
    if not fit.passed:
        raise wrong(
            str(fit),
            "Were the requests sent one at a time? Does a DestinationRule or VirtualService for reviews exist?",
        )
    return f"{fit.words}.", f"{fit}."


@register("04.5", "Round robin, really")
def round_robin(lab) -> str:
    """A DestinationRule asks for it, and the order is too regular to be chance."""
    rules = lab.client.list(DESTINATION_RULE)
    if not rules:
        raise wrong("there is no DestinationRule in the namespace", "Apply one; kubectl explain destinationrule.spec helps.")
    names = configuration.hosts(lab, "reviews")
    rule = next((each for each in rules if each["spec"]["host"] in names), None)
    if rule is None:
        raise wrong(
            f"no DestinationRule is for the host reviews, only for {rules[0]['spec']['host']}",
            "host names the Service that is called.",
        )
    simple = rule["spec"].get("trafficPolicy", {}).get("loadBalancer", {}).get("simple", "nothing")
    if simple != "ROUND_ROBIN":
        raise wrong(
            f"DestinationRule {rule['metadata']['name']} asks for {simple}",
            "Look under trafficPolicy.loadBalancer.simple.",
        )
    seen = observe.observe(lab, "reviews", n=300)
    chance = in_turn(list(seen["version"]), len(THIRDS))
    if chance > ALPHA or not goodness_of_fit(count(seen), THIRDS).passed:
        raise wrong(
            f"the versions do not take turns: chance alone makes such an order with probability {chance:.2g}",
            "Has the rule reached the client's proxy? lab.apply waits for that.",
        )
    counts = ", ".join(f"{version} {number}" for version, number in sorted(count(seen).items()))
    return f"{counts}. Dealt out in turn: chance alone makes such an order less than once in {1 / ALPHA:,.0f} times."
