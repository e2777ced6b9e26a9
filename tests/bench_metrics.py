"""What counting costs: latency with the standard metrics and without, in turns. ``python -m tests.bench_metrics`` prints it.

Two namespaces run the same; one of them counts. For that the mesh's own EnvoyFilter is taken away meanwhile, so nobody
else should look at metrics. (Switching one namespace on and off would not do: connections that were open before keep
counting, or not counting, until Envoy has drained them 45 s later.)
"""

from __future__ import annotations

import numpy as np
import yaml

from lab_helpers.core import statistics
from lab_helpers.embedded import addons
from lab_helpers.mesh import checkpoint, converge
from lab_helpers.mesh.connect import connect
from tests.live import kubectl

COUNTING, SILENT = "bench-counting", "bench-silent"
SERVICES = ("details", "reviews")  # one that answers at once, and one that has to think
ROUNDS, REQUESTS = 40, 200
WORKLOADS = (*checkpoint.CLIENT, *(f"04_bookinfo/{name}.yaml" for name in ("03-details", "04-reviews", "05-ratings")))


def counted(namespace: str, service: str) -> int:
    """How many requests of the client to `service` its proxy has counted."""
    command = ("exec", "--namespace", namespace, "deploy/client", "--container", "istio-proxy", "--")
    stats = kubectl(*command, "curl", "--silent", "localhost:15090/stats/prometheus").splitlines()
    ours = [line for line in stats if line.startswith("envoy_istio_requests_total{") and f'service_name="{service}"' in line]
    return sum(int(line.rsplit(" ", 1)[1]) for line in ours)


def prepare() -> dict:
    """Make the two namespaces, and have one of them count; return their labs."""
    counting = next(each for each in yaml.safe_load_all((addons.OVERLAY / "metrics.yaml").read_text()) if each["kind"] == "EnvoyFilter")
    kubectl("delete", "envoyfilter", counting["metadata"]["name"], "--namespace", addons.NAMESPACE)
    labs = {namespace: connect(namespace=namespace, quiet=True) for namespace in (COUNTING, SILENT)}
    for namespace, lab in labs.items():
        checkpoint.reach(lab, namespace, WORKLOADS)
    counting["metadata"]["namespace"] = COUNTING
    kubectl("apply", "--filename", "-", stdin=yaml.safe_dump(counting))
    labs[COUNTING].restart()  # proxies that have never known anything else
    for namespace, lab in labs.items():
        converge.settled(lab)
        for service in SERVICES:
            before = counted(namespace, service)
            lab.observe(service, n=20)
            assert counted(namespace, service) - before == (20 if namespace == COUNTING else 0), f"{namespace} counts wrongly"
    return labs


def main() -> None:
    """Print the ratio of the median latencies, with its interval over the rounds."""
    medians: dict[tuple[str, str], list[float]] = {(service, each): [] for service in SERVICES for each in (COUNTING, SILENT)}
    try:
        labs = prepare()
        for number in range(ROUNDS):
            for service in SERVICES:
                for namespace in (COUNTING, SILENT) if number % 2 else (SILENT, COUNTING):
                    medians[service, namespace].append(labs[namespace].observe(service, n=REQUESTS)["latency_ms"].median())
    finally:
        addons.configure()
        kubectl("delete", "namespace", COUNTING, SILENT, "--ignore-not-found", "--wait=false")
    for service in SERVICES:
        counting, silent = (np.array(medians[service, each]) for each in (COUNTING, SILENT))
        low, high = statistics.quantile_interval(counting / silent, 0.5)
        print(f"p50 of {service}, counted against not: ratio {np.median(counting / silent):.3f} (95 % interval {low:.3f} to {high:.3f}, "
              f"{ROUNDS} pairs of {REQUESTS} requests; {np.median(silent):.2f} ms without)")  # fmt: skip


if __name__ == "__main__":
    main()
