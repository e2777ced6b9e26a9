"""Several learners at the same time on one lab, each in a namespace of their own, as in a workshop. Their chapters run here only."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from lab_helpers.course import run as course
from lab_helpers.course import site
from lab_helpers.lab import chapters, connect
from lab_helpers.show import checks
from tests import wreckage
from tests.live import kubectl

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]
# The first of each is in namespace default: 13 shows the gateway's host, which is another one elsewhere. And beside 12, which sends
# thousands, nobody reads traces: Zipkin keeps 8,000 spans.
GROUPS = (
    ("04_bookinfo", "05_injection", "07_tracing"),
    ("06_mesh_graph", "12_traffic_shifting", "20_service_accounts"),
    ("10_gateway", "15_fault_injection"),
    ("11_destination_rule", "14_mirroring"),
    ("13_ab_testing", "09_virtual_service", "19_access_control"),
)
STEMS = [stem for group in GROUPS for stem in group]


def test_whatever_need_not_be_alone_runs_beside_others():
    assert sorted(STEMS) == [stem for stem in site.chapters() if not chapters.load(stem).alone]


@pytest.mark.parametrize("stems", [pytest.param(stems, id="+".join(stems)) for stems in GROUPS])
def test_learners_on_several_chapters_at_once_see_what_the_records_say(stems, lab, run_chapter, differences):
    """Each from a namespace in ruins, with wrong answers on the way: what `test_every_chapter` asks of the others."""
    namespaces = ["default", *(f"beside{number}" for number in range(1, len(stems)))]

    def learn(stem: str, namespace: str):
        done = wreckage.wreck(connect(namespace=namespace, quiet=True), random.Random(stem))
        print(f"{stem} in {namespace} from: {', '.join(done)}")
        return run_chapter(stem, namespace=namespace)

    for namespace in namespaces[1:]:
        kubectl("create", "namespace", namespace)
    try:
        with ThreadPoolExecutor(len(stems)) as pool:
            runs = [pool.submit(learn, *each) for each in zip(stems, namespaces, strict=True)]
        wrong = [each.exception() for each in runs if each.exception()]
        if wrong:
            raise ExceptionGroup("not every chapter went through", wrong)
        for stem, (executed, passed) in zip(stems, (each.result() for each in runs), strict=True):
            assert passed == checks.numbers(stem[:2])
            assert differences(executed, course.find(stem)) == [], stem
    finally:
        kubectl("delete", "namespace", *namespaces[1:], "--ignore-not-found", timeout=180)
