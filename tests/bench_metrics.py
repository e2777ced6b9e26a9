"""What counting costs: latency with the standard metrics and without, in turns. ``python -m tests.bench_metrics`` prints it.

It takes the metrics away from the whole mesh in every other turn, so nobody else should look at them meanwhile.
"""

from __future__ import annotations

import numpy as np

from lab_helpers.core import statistics
from lab_helpers.core.wait import wait_until
from lab_helpers.embedded import addons
from lab_helpers.mesh import checkpoint
from lab_helpers.mesh.connect import connect
from tests.live import kubectl, kubectl_json

NAMESPACE = "bench"
SERVICES = ("details", "reviews")  # one that answers at once, and one that has to think
ROUNDS, REQUESTS = 20, 200
FILTER = ("envoyfilter", "standard-metrics", "--namespace", addons.NAMESPACE)


def counted(service: str) -> int:
    """How many requests of the client to `service` its proxy has counted."""
    command = ("exec", "--namespace", NAMESPACE, "deploy/client", "--container", "istio-proxy", "--")
    stats = kubectl(*command, "curl", "--silent", "localhost:15090/stats/prometheus").splitlines()
    ours = [line for line in stats if line.startswith("envoy_istio_requests_total{") and f'service_name="{service}"' in line]
    return sum(int(line.rsplit(" ", 1)[1]) for line in ours)


def switch(lab, on: bool) -> None:
    """Have the mesh count, or not, and wait until both proxies of a call do as they are told."""
    addons.configure() if on else kubectl("delete", *FILTER, "--ignore-not-found")
    pods = [pod["metadata"]["name"] for pod in kubectl_json("get", "pods", "--namespace", NAMESPACE)["items"]]

    def done() -> bool:
        told = [kubectl("exec", "--namespace", NAMESPACE, pod, "--container", "istio-proxy", "--", "pilot-agent", "request", "GET",
                        "config_dump?resource=dynamic_listeners") for pod in pods]  # fmt: skip
        return all(("envoy.access_loggers.stats" in each) is on for each in told)

    wait_until(done, f"metrics {'on' if on else 'off'}", 60)
    for service in SERVICES:
        before = counted(service)
        lab.observe(service, n=20)  # opens connections that know no other configuration
        assert (counted(service) - before == 20) is on


def main() -> None:
    """Print the ratio of the median latencies, with its interval over the rounds."""
    lab = connect(namespace=NAMESPACE, quiet=True)
    checkpoint.reach(lab, NAMESPACE, (*checkpoint.CLIENT, *checkpoint.BOOKINFO))
    medians: dict[tuple[str, bool], list[float]] = {(service, on): [] for service in SERVICES for on in (True, False)}
    try:
        for number in range(ROUNDS):
            for on in (True, False) if number % 2 else (False, True):
                switch(lab, on)
                for service in SERVICES:
                    medians[service, on].append(lab.observe(service, n=REQUESTS)["latency_ms"].median())
    finally:
        addons.configure()
        kubectl("delete", "namespace", NAMESPACE, "--wait=false")
    for service in SERVICES:
        counting, silent = (np.array(medians[service, on]) for on in (True, False))
        low, high = statistics.quantile_interval(counting / silent, 0.5)
        print(f"p50 of {service}, counted against not: ratio {np.median(counting / silent):.3f} (interval {low:.3f} to {high:.3f}, "
              f"{ROUNDS} rounds of {REQUESTS}; {np.median(silent):.2f} ms without)")  # fmt: skip


if __name__ == "__main__":
    main()
