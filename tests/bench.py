"""The lab's figures: ``make bench`` prints them. They are measured, never asserted: timings are noisy."""

from __future__ import annotations

import json
import statistics
import time

import httpx

from lab_helpers.embedded import paths
from tests.live import meshlab

ROUNDS = 3


def up_from_nothing() -> tuple[float, float]:
    """Seconds of `meshlab up` from no lab and warm caches to the first 200, and MiB in use then."""
    meshlab("down")
    began = time.monotonic()
    page = meshlab("up").stdout.split("The lab is up: ")[1].split()[0]
    assert httpx.get(page, trust_env=False).status_code == 200
    took = time.monotonic() - began
    return took, json.loads(meshlab("status", "--json").stdout)["memory_mib"]


def main() -> None:
    """Print every figure, with its range over the rounds."""
    rounds = [up_from_nothing() for _ in range(ROUNDS)]
    for name, unit, values in (
        ("up, caches warm, to the first 200", "s", [took for took, _ in rounds]),
        ("memory of everything, sidecars included (PSS)", "MiB", [mib for _, mib in rounds]),
    ):
        print(f"{name}: median {statistics.median(values):.1f} {unit} (min {min(values):.1f}, max {max(values):.1f}, n={len(values)})")
    began = time.monotonic()
    meshlab("up")
    print(f"up of a lab that is well: {time.monotonic() - began:.1f} s")
    caches = sum(file.stat().st_size for file in (paths.CACHE / "parts").rglob("*") if file.is_file() and not file.is_symlink())
    print(f"finished parts in the cache: {caches / 2**30:.1f} GiB")


if __name__ == "__main__":
    main()
