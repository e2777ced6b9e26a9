"""Three learners at the same time on one lab, each in a namespace of their own, as in a workshop."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import nbformat
import pytest

from lab_helpers.course import run as course
from lab_helpers.lab import chapters, connect
from lab_helpers.show import checks
from tests.chapters.conftest import passed
from tests.live import kubectl

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]
STEMS = ("04_bookinfo", "05_injection", "07_tracing")


def test_three_learners_on_three_chapters_at_once_pass_all_of_their_checks(tmp_path):
    def learn(stem: str) -> list[str]:
        namespace, target = f"learner-{stem[:2]}", tmp_path / f"{stem}.ipynb"
        connect(namespace=namespace, quiet=True).checkpoint(stem)
        course.execute(course.find(stem), target, namespace=namespace)
        return passed(nbformat.read(target, as_version=4))

    for stem in STEMS:
        chapters.load(stem)
    try:
        with ThreadPoolExecutor(len(STEMS)) as pool:
            assert list(pool.map(learn, STEMS)) == [checks.numbers(stem[:2]) for stem in STEMS]
    finally:
        kubectl("delete", "namespace", "--ignore-not-found", *(f"learner-{stem[:2]}" for stem in STEMS), timeout=180)
