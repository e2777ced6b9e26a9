"""All chapters in ten random orders, each from what the one before has left, by nbval: none counts on another."""

from __future__ import annotations

import random

import pytest

from lab_helpers.course import run as course
from lab_helpers.course import site
from tests.soak.test_nbval import nbval

pytestmark = [pytest.mark.lab, pytest.mark.timeout(3600)]


@pytest.mark.parametrize("number", range(1, 11))
def test_chapters_pass_in_a_random_order(number, capsys):
    """Seeds are drawn anew each time and printed: with a seed, an order can be had again."""
    seed = random.randrange(10**9)
    order = random.Random(seed).sample(site.chapters(), k=len(site.chapters()))
    with capsys.disabled():
        print(f"\n{number}: seed {seed}:", end=" ", flush=True)
        for stem in order:
            print(stem, end=" ", flush=True)
            done = nbval(course.find(stem))
            assert done.returncode == 0, f"{stem}, seed {seed}: {done.stdout[-6000:]}{done.stderr[-2000:]}"
