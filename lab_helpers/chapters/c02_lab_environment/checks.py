"""Checks of chapter 02_lab_environment."""

from __future__ import annotations

import json

from lab_helpers.chapters.c02_lab_environment import autoscaler, cluster
from lab_helpers.kube.kinds import AUTOSCALER
from lab_helpers.show.checks import register, wrong
from lab_helpers.show.inputs import table

OLDEST = (1, 32)  # the oldest Kubernetes that Istio 1.31 supports

SIDECAR = 0.1  # CPUs that a sidecar requests by Istio's defaults

# What the checks look at.
Seen = table(numbers=["wanted", "pods"], measured=["utilization"])


@register("02.1", "Is it new enough, and is there room?")
def room(lab, answer: float) -> str:
    """The learner's number of sidecars is what the nodes can take, and all of them run a Kubernetes that Istio supports."""
    table = cluster.nodes(lab)
    fit = sum(int(cpus / SIDECAR + 1e-6) for cpus in table["cpus"])
    if answer != fit:
        raise wrong(f"there is not room for {answer:g} of them", "For each node: its cpus, divided by what one requests, rounded down.")
    for node in table.itertuples():
        version = tuple(int(part) for part in node.kubelet.lstrip("v").split(".")[:2])
        if version < OLDEST:
            raise wrong(f"{node.node} runs {node.kubelet}", f"Istio 1.31 supports Kubernetes {OLDEST[0]}.{OLDEST[1]} and newer.")
    room = f"{table['cpus'].sum():g} CPUs and {table['memory'].sum():g} GiB for pods"
    return f"{_nodes(len(table))} with {room}, so with up to {fit} sidecars; all on {table['kubelet'].min()} or newer."


@register("02.2", "Who sets up a pod's network")
def who_sets_it_up(lab, answer: str) -> str:
    """The learner names the first plugin of the chain."""
    plugins = cluster.network(lab)
    if answer != plugins[0]:
        hint = "The first one makes the connection, those after it only add to it." if answer in plugins else "Read the list again."
        raise wrong(f"{answer!r} does not", hint)
    return f"{' then '.join(plugins)}."


@register("02.3", "The metrics API")
def metrics_api(lab) -> str:
    """metrics-server is registered, and has measured every node."""
    service = json.loads(lab.run("kubectl get apiservice -o json").stdout)["items"]
    found = next((each for each in service if each["metadata"]["name"].endswith(".metrics.k8s.io")), None)
    if found is None:
        raise wrong("nobody serves metrics.k8s.io", "metrics-server does; it is a Deployment of its own.")
    available = next((each for each in found["status"].get("conditions", []) if each["type"] == "Available"), {"status": "Unknown"})
    if available["status"] != "True":
        raise wrong(f"metrics.k8s.io is not available: {available.get('message', 'nobody says why')}", "See the log of metrics-server.")
    measured = json.loads(lab.run("kubectl get --raw /apis/metrics.k8s.io/v1beta1/nodes").stdout)["items"]
    missing = sorted(set(cluster.nodes(lab)["node"]) - {each["metadata"]["name"] for each in measured})
    if missing:
        raise wrong(f"node {missing[0]} has not been measured", "Does metrics-server trust the certificate of its kubelet?")
    return f"available, with {_nodes(len(measured))} measured over the last {float(measured[0]['window'].rstrip('s')):.0f} s or so."


@register("02.4", "Up, and down again")
def up_and_down(seen: Seen, target: float) -> str:
    """The autoscaler acted on what it measured: up while use was above the target, down when it was below."""
    if seen.empty:
        raise wrong("nothing was seen", 'Follow it while the load runs: follow(lab, "web", 3).')
    most = seen["pods"].max()
    if most <= seen["pods"].iloc[0]:
        raise wrong("the number of pods has not grown", "Does the load run? kubectl top pods")
    if seen["pods"].iloc[-1] >= most:
        raise wrong(f"there are {most} pods still", 'Was the load taken away? Then follow it down: follow(lab, "web", 1).')
    grown = seen[(seen["wanted"].diff() > 0) & (seen["wanted"] > seen["pods"].iloc[0])]
    if (grown["utilization"] <= target).any():
        raise wrong("it grew while use was no higher than the target", f"Was the target {target:g} %?")
    if not seen["utilization"].iloc[-1] < target:
        raise wrong("it shrank while use was above the target", f"Was the target {target:g} %?")
    first, last = grown.iloc[0], seen.iloc[-1]
    return f"at {first['utilization']:.0f} % it went up, to {most} pods; at {last['utilization']:.0f} % it was down to {last['pods']}."


@register("02.5", "By container")
def by_container(lab) -> str:
    """The autoscaler of web measures one container, keeps two pods, and is able to act."""
    found = lab.client.get(AUTOSCALER, "web")
    if found is None:
        raise wrong("there is no HorizontalPodAutoscaler web", "Change the one that was there, or make another.")
    metrics = found["spec"].get("metrics") or []
    kinds = {each["type"] for each in metrics}
    if kinds != {"ContainerResource"}:
        raise wrong(f"it looks at {', '.join(sorted(kinds)) or 'nothing'}", "kubectl explain hpa.spec.metrics.type lists what there is.")
    containers = {each["containerResource"]["container"] for each in metrics}
    if containers != {"web"}:
        raise wrong(f"it looks at the container {min(containers)}", "The application's container is called web.")
    least = found["spec"].get("minReplicas", 1)
    if least != 2:
        raise wrong(f"it may go down to {least}", "Two pods at least: spec.minReplicas.")
    active = autoscaler.condition(found)
    if active.get("status") != "True":
        raise wrong(f"it cannot act: {active.get('message', 'it has not looked yet')}", 'Wait for it: follow(lab, "web", 2).')
    if not any("containerResource" in each for each in found["status"].get("currentMetrics") or []):
        raise wrong("it has not measured anything since it was changed", 'Wait for it: follow(lab, "web", 2).')
    return f"it measures the container web alone, at {autoscaler.use(found):.0f} %, and keeps two pods at least."


def _nodes(count: int) -> str:
    return "1 node" if count == 1 else f"{count} nodes"
