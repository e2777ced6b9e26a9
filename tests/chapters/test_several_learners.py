"""Three learners at the same time on one lab, each in a namespace of their own, as in a workshop. Their chapters run here only."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from lab_helpers.course import run as course
from lab_helpers.lab import connect
from lab_helpers.show import checks
from tests import wreckage
from tests.live import kubectl

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]
STEMS = ("04_bookinfo", "05_injection", "07_tracing")
NAMESPACES = ("default", "beside1", "beside2")


@pytest.mark.parametrize("stems", [pytest.param(STEMS, id="+".join(STEMS))])
def test_three_learners_on_three_chapters_at_once_see_what_the_records_say(stems, lab, run_chapter, differences):
    """Each from a namespace in ruins, with wrong answers on the way: what `test_every_chapter` asks of the others."""

    def learn(stem: str, namespace: str):
        done = wreckage.wreck(connect(namespace=namespace, quiet=True), random.Random(stem))
        print(f"{stem} in {namespace} from: {', '.join(done)}")
        return run_chapter(stem, namespace=namespace)

    for namespace in NAMESPACES[1:]:
        kubectl("create", "namespace", namespace)
    try:
        with ThreadPoolExecutor(len(stems)) as pool:
            runs = list(pool.map(learn, stems, NAMESPACES))
        assert [passed for _, passed in runs] == [checks.numbers(stem[:2]) for stem in stems]
        assert [differences(executed, course.find(stem)) for (executed, _), stem in zip(runs, stems, strict=True)] == [[], [], []]
    finally:
        kubectl("delete", "namespace", *NAMESPACES[1:], "--ignore-not-found", timeout=180)
