"""What counting costs: latency with the standard metrics and without, in turns. ``make bench PART=metrics`` prints it.

Two namespaces run the same; one of them counts, and after half of the time the other one does, so that what else differs
between their pods cancels out. For that the mesh's own EnvoyFilter is taken away meanwhile: nobody else should look at
metrics. (Switching one namespace on and off would not do: connections that were open before keep counting, or not
counting, until Envoy has drained them 45 s later.)
"""

from __future__ import annotations

import numpy as np
import yaml

from lab_helpers.core import statistics
from lab_helpers.lab import chapters, checkpoint, connect
from lab_helpers.node.install import addon_manifests as addons
from tests.live import kubectl

NAMESPACES = ("bench-one", "bench-two")
SERVICES = ("details", "reviews")  # one that answers at once, and one that has to think
ROUNDS, REQUESTS = 25, 200
WORKLOADS = (*chapters.CLIENTS[:1], *(f"04_bookinfo/{name}.yaml" for name in ("03-details", "04-reviews", "05-ratings")))


def counted(namespace: str, service: str) -> int:
    """How many requests of the client to `service` its proxy has counted."""
    command = ("exec", "--namespace", namespace, "deploy/client", "--container", "istio-proxy", "--")
    stats = kubectl(*command, "curl", "--silent", "localhost:15090/stats/prometheus").splitlines()
    ours = [line for line in stats if line.startswith("envoy_istio_requests_total{") and f'\\"name\\":\\"{service}\\"' in line]
    return sum(int(line.rsplit(" ", 1)[1]) for line in ours)


def count_in(labs: dict, counting: str) -> None:
    """Have one of the namespaces count and the other one not, both with proxies that have never known anything else."""
    mesh_wide = next(each for each in yaml.safe_load_all((addons.OVERLAY / "metrics.yaml").read_text()) if each["kind"] == "EnvoyFilter")
    name = mesh_wide["metadata"]["name"]
    for namespace in (addons.NAMESPACE, *labs):
        kubectl("delete", "envoyfilter", name, "--namespace", namespace, "--ignore-not-found")
    kubectl("apply", "--filename", "-", stdin=yaml.safe_dump({**mesh_wide, "metadata": {"name": name, "namespace": counting}}))
    for namespace, lab in labs.items():
        lab.restart()
        for service in SERVICES:
            before = counted(namespace, service)
            lab.observe(service, n=200)  # as many as it takes for a JVM to be warm
            assert counted(namespace, service) - before == (200 if namespace == counting else 0), f"{namespace} counts wrongly"


def ratios(labs: dict, counting: str) -> dict[str, list[float]]:
    """Median latency where it is counted, divided by that where it is not: for each service, one value a round."""
    found: dict[str, list[float]] = {service: [] for service in SERVICES}
    for number in range(ROUNDS):
        for service in SERVICES:
            order = sorted(labs, reverse=bool(number % 2))
            medians = {namespace: labs[namespace].observe(service, n=REQUESTS)["latency_ms"].median() for namespace in order}
            silent = next(value for namespace, value in medians.items() if namespace != counting)
            found[service].append(medians[counting] / silent)
    return found


def main() -> None:
    """Print the ratio of the median latencies, with its interval over the rounds."""
    halves = []
    try:
        labs = {namespace: connect(namespace=namespace, quiet=True) for namespace in NAMESPACES}
        for namespace, lab in labs.items():
            checkpoint.reach(lab, namespace, WORKLOADS)
        for counting in NAMESPACES:
            count_in(labs, counting)
            halves.append(ratios(labs, counting))
    finally:
        addons.configure(connect(quiet=True).client)
        kubectl("delete", "namespace", *NAMESPACES, "--ignore-not-found", "--wait=false")
    for service in SERVICES:
        first, second = (np.array(half[service]) for half in halves)
        both = np.sqrt(first * second)  # the namespaces' own difference is in one as a factor, in the other as a divisor
        low, high = statistics.quantile_interval(both, 0.5)
        print(f"p50 of {service}, counted against not: ratio {np.median(both):.3f} (95 % interval {low:.3f} to {high:.3f}, {ROUNDS} rounds "
              f"of {REQUESTS} requests each way; by halves {np.median(first):.3f} and {np.median(second):.3f})")  # fmt: skip


if __name__ == "__main__":
    main()
