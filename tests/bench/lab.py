"""The lab's figures: ``make bench PART=lab`` prints them. They are measured, never asserted: timings are noisy."""

from __future__ import annotations

import json
import random
import statistics
import time

import numpy as np

from lab_helpers.chapters.c12_traffic_shifting import shift
from lab_helpers.core import paths
from lab_helpers.core.statistics import quantile_interval
from lab_helpers.course import run as course
from lab_helpers.course import site
from lab_helpers.istio import gateway
from lab_helpers.lab import connect
from tests import wreckage
from tests.live import kubectl, meshlab

ROUNDS = 3
SHIFTING = "12_traffic_shifting"
FORTIO = "docker.io/fortio/fortio:1.68.2"


def summary(name: str, values: list[float], unit: str) -> None:
    print(
        f"{name}: median {statistics.median(values):.2f} {unit} (min {min(values):.2f}, max {max(values):.2f}, n={len(values)})", flush=True
    )


def up_from_nothing() -> tuple[float, float]:
    """Seconds of `meshlab up` from no lab and warm caches to a page through the gateway and all add-ons, and MiB in use then."""
    meshlab("down")
    began = time.monotonic()
    page = meshlab("up").stdout.split("The lab is up: ")[1].split()[0]
    assert gateway.fetch(page).status == 200
    took = time.monotonic() - began
    return took, json.loads(meshlab("status", "--json").stdout)["memory_mib"]


def the_lab() -> None:
    rounds = [up_from_nothing() for _ in range(ROUNDS)]
    summary("up, caches warm, add-ons included", [took for took, _ in rounds], "s")
    summary("memory of everything, sidecars included (PSS)", [mib for _, mib in rounds], "MiB")
    began = time.monotonic()
    meshlab("up")
    print(f"up of a lab that is well: {time.monotonic() - began:.1f} s")
    caches = sum(file.stat().st_size for file in (paths.CACHE / "parts").rglob("*") if file.is_file() and not file.is_symlink())
    print(f"finished parts in the cache: {caches / 2**30:.1f} GiB", flush=True)


def time_to_effect(lab) -> None:
    """From the API server's answer until the last proxy runs the new weights."""
    seconds = [shift(lab, "reviews", {"v1": 100 - each, "v3": each}).seconds for each in range(1, 51)]
    for quantile in (0.5, 0.99):
        print(f"weights in effect on all proxies, 50 changes: p{100 * quantile:g} {1000 * np.quantile(seconds, quantile):.0f} ms")
    low, high = quantile_interval(seconds, 0.5)
    print(f"  95 % interval of the median: {1000 * low:.0f} to {1000 * high:.0f} ms", flush=True)


def observer(lab) -> None:
    """A thousand requests by `lab.observe` and by fortio, in turns, from pods with a sidecar to the same Service."""
    kubectl("run", "fortio", "--image", FORTIO, "--image-pull-policy=IfNotPresent", "--labels=app=fortio", "--", "server")
    try:
        kubectl("wait", "--for=condition=Ready", "pod/fortio", "--timeout=60s")
        url = "http://reviews:9080/reviews/0"
        load = [
            "exec",
            "fortio",
            "--container",
            "fortio",
            "--",
            "fortio",
            "load",
            "-quiet",
            "-qps",
            "0",
            "-c",
            "8",
            "-n",
            "1000",
            "-json",
            "-",
            url,
        ]
        ours, fortios = [], []
        for _ in range(ROUNDS):
            began = time.monotonic()
            assert set(lab.observe("reviews", n=1000, parallel=8)["status"]) == {200}
            ours.append(time.monotonic() - began)
            told = json.loads(kubectl(*load))
            assert told["RetCodes"] == {"200": 1000}
            fortios.append(told["ActualDuration"] / 1e9)
        summary("1,000 observed requests of reviews, 8 at a time", ours, "s")
        summary("1,000 requests by fortio over 8 connections", fortios, "s")
        summary("the observer's rate as a part of fortio's", [theirs / own for own, theirs in zip(ours, fortios, strict=True)], "")
    finally:
        kubectl("delete", "pod", "fortio", "--now")


def chapters(lab) -> None:
    """Seconds of each chapter's checkpoint from a wreck, the same one every time, and of the chapter itself."""
    whole = 0.0
    for stem in site.chapters():
        wreckage.wreck(lab, random.Random(stem), whole_mesh=True)
        began = time.monotonic()
        lab.checkpoint(stem)
        reached, took = time.monotonic() - began, course.run_chapter(stem)[1]
        whole += took
        print(f"chapter {stem}: checkpoint from a wreck {reached:.1f} s, itself {took:.1f} s", flush=True)
    print(f"all chapters, checkpoints apart: {whole:.0f} s")


def main() -> None:
    """Print every figure, with its range over the rounds."""
    the_lab()
    lab = connect(quiet=True)
    lab.checkpoint(SHIFTING)
    lab.apply(f"{SHIFTING}/01-subsets.yaml")
    time_to_effect(lab)
    lab.checkpoint(SHIFTING)
    observer(lab)
    chapters(lab)


if __name__ == "__main__":
    main()
