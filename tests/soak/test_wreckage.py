"""From twenty random wreckages to the start of a random chapter."""

from __future__ import annotations

import random
import statistics
import time

import pytest

from lab_helpers.core.manifests import chapters
from lab_helpers.course import run as course
from lab_helpers.course import site
from lab_helpers.lab import connect
from tests import wreckage

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1800)]
ROUNDS = 20


def test_twenty_random_wreckages_are_recovered_from(capsys):
    """Seeds are drawn anew each time and printed: with a seed, a wreck can be had again."""
    lab, seconds = connect(quiet=True), []
    for number in range(1, ROUNDS + 1):
        seed = random.randrange(10**9)
        chance = random.Random(seed)
        done, chapter = wreckage.wreck(lab, chance, whole_mesh=True), chance.choice(chapters())
        with capsys.disabled():
            print(f"\n{number}: seed {seed}: {', '.join(done)} -> {chapter}", end=" ", flush=True)
        began = time.monotonic()
        lab.checkpoint(chapter)
        seconds.append(time.monotonic() - began)
        with capsys.disabled():
            print(f"{seconds[-1]:.1f} s", end="", flush=True)
        assert lab.checkpoint(chapter).changes == [], f"seed {seed}: the start was not reached at once"
        lab.checkpoint("12_traffic_shifting")
        assert lab.page().reviews_version and set(lab.observe("reviews", n=60)["status"]) == {200}, f"seed {seed}"
    with capsys.disabled():
        print(f"\n{ROUNDS} of {ROUNDS} wreckages recovered; median {statistics.median(seconds):.1f} s, slowest {max(seconds):.1f} s")


@pytest.mark.parametrize("stem", site.chapters())
def test_every_chapter_runs_from_a_random_wreckage(stem, tmp_path, capsys):
    lab, seed = connect(quiet=True), random.randrange(10**9)
    done = wreckage.wreck(lab, random.Random(seed), whole_mesh=True)
    with capsys.disabled():
        print(f"\n{stem} after seed {seed}: {', '.join(done)}", flush=True)
    course.execute(course.find(stem), tmp_path / f"{stem}.ipynb")
