"""What waiting costs the cluster: ``make bench PART=waits`` prints the processor time of the API server, etcd and istiod.

While changes wait to be in effect, between them, and both once more on a store of 2,000 pods and 500 objects of Istio's. No scheduler
takes these pods: it is their number that the API server and istiod have to live with, not their load.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import psutil

from lab_helpers.chapters.c12_traffic_shifting import shift
from lab_helpers.lab import connect
from tests.live import kubectl

SHIFTING, CROWD = "12_traffic_shifting", "bench-crowd"
PROGRAMS = {"kube-apiserver": "API server", "etcd": "etcd", "pilot-discovery": "istiod"}
PODS, OBJECTS, CHANGES, QUIET = 2000, 500, 50, 20.0


def used() -> dict[str, float]:
    """CPU-seconds that each program has used since it began."""
    found = dict.fromkeys(PROGRAMS.values(), 0.0)
    for process in psutil.process_iter(["cmdline", "cpu_times"]):
        name = os.path.basename((process.info["cmdline"] or [""])[0])
        if name in PROGRAMS:
            found[PROGRAMS[name]] += sum(process.info["cpu_times"][:2])
    return found


def shares(what: str, during: Callable[[], None]) -> None:
    """Print what each program used of a core while `during` ran."""
    before, began = used(), time.monotonic()
    during()
    took = time.monotonic() - began
    print(
        f"{what} ({took:.0f} s): " + ", ".join(f"{name} {(now - before[name]) / took:.2f}" for name, now in used().items()) + " of a core"
    )


@contextmanager
def crowd(lab):
    """2,000 pods that nobody schedules and 500 VirtualServices, in a namespace of their own."""
    meta = lambda name: {"name": name, "namespace": CROWD}  # noqa: E731
    pod = {"schedulerName": "nobody", "containers": [{"name": "none", "image": "none"}]}
    made = [{"apiVersion": "v1", "kind": "Pod", "metadata": meta(f"pod-{number}"), "spec": pod} for number in range(PODS)]
    made += [
        {
            "apiVersion": "networking.istio.io/v1",
            "kind": "VirtualService",
            "metadata": meta(f"route-{number}"),
            "spec": {"hosts": [f"host-{number}.example"], "http": [{"route": [{"destination": {"host": "kubernetes.default"}}]}]},
        }
        for number in range(OBJECTS)
    ]
    kubectl("create", "namespace", CROWD)
    try:
        began = time.monotonic()
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lab.client.create, made))
        print(f"{PODS:,} pods and {OBJECTS} VirtualServices made in {time.monotonic() - began:.0f} s", flush=True)
        yield
    finally:
        kubectl("delete", "namespace", CROWD, "--wait=true", timeout=300)


def changes(lab) -> None:
    """Fifty changes of weights one after the other, each waited for until it is in effect."""
    seconds: list[float] = []

    def shifts() -> None:
        seconds.extend(shift(lab, "reviews", {"v1": 100 - each, "v3": each}).seconds for each in range(1, CHANGES + 1))

    shares(f"{CHANGES} changes, waited for", shifts)
    print(f"  in effect after: p50 {1000 * np.quantile(seconds, 0.5):.0f} ms, p99 {1000 * np.quantile(seconds, 0.99):.0f} ms")
    shares("nothing between changes", lambda: time.sleep(QUIET))


def main() -> None:
    """Print the shares of a core, on the lab as it is and with a crowd in its store."""
    lab = connect(quiet=True)
    lab.checkpoint(SHIFTING)
    lab.apply(f"{SHIFTING}/01-subsets.yaml")
    changes(lab)
    with crowd(lab):
        changes(lab)
    lab.checkpoint(SHIFTING)


if __name__ == "__main__":
    main()
