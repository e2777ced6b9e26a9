"""All chapters in ten random orders, each from what others have left, by nbval: none counts on another.

Two at a time, except for those whose record says that they have to be alone.
"""

from __future__ import annotations

import random
from concurrent.futures import Future, ThreadPoolExecutor, wait
from queue import SimpleQueue

import pytest

from lab_helpers.course import run as course
from lab_helpers.course import site
from lab_helpers.lab import chapters
from tests.soak.test_nbval import nbval

pytestmark = [pytest.mark.lab, pytest.mark.timeout(3600)]
NAMESPACES = ("default", "beside1")


@pytest.mark.parametrize("number", range(1, 11))
def test_chapters_pass_in_a_random_order(number, capsys):
    """Seeds are drawn anew each time and printed: with a seed, an order can be had again."""
    seed = random.randrange(10**9)
    order = random.Random(seed).sample(site.chapters(), k=len(site.chapters()))
    with capsys.disabled():
        print(f"\n{number}: seed {seed}: {' '.join(order)}", flush=True)
    free: SimpleQueue[str] = SimpleQueue()
    for namespace in NAMESPACES:
        free.put(namespace)
    with ThreadPoolExecutor(len(NAMESPACES)) as pool:
        running: list[Future] = []
        for stem in order:
            alone = chapters.load(stem).alone
            if alone:
                wait(running)
            running.append(pool.submit(_run, stem, free))
            if alone:
                wait(running)
    wrong = [told for each in running if (told := each.result())]
    assert not wrong, f"seed {seed}: " + "\n\n".join(wrong)


def _run(stem: str, free: SimpleQueue[str]) -> str:
    """What is wrong with a chapter's run in a namespace that is free; nothing, if it gave its record."""
    namespace = free.get()
    try:
        done = nbval(course.find(stem), namespace)
    finally:
        free.put(namespace)
    return "" if done.returncode == 0 else f"{stem} in {namespace}: {done.stdout[-6000:]}{done.stderr[-2000:]}"
