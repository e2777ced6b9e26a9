"""Waiting for a thing itself, with a deadline that names what is late."""

import time
from types import SimpleNamespace

import pytest

from lab_helpers.core import wait
from lab_helpers.core.errors import MeshError
from lab_helpers.core.wait import wait_until_none


def test_waiting_ends_as_soon_as_nobody_lags():
    answers = iter([["a"], ["a"], []])
    start = time.monotonic()
    wait_until_none(lambda: next(answers), "all", "do", seconds=5)
    assert time.monotonic() - start < 1


def test_waiting_too_long_names_who_lags():
    with pytest.raises(MeshError, match="(?s)After 0.05 s still waiting for all: a lacks b; c.*do this"):
        wait_until_none(lambda: ["a lacks b", "c"], "all", "do this", seconds=0.05)


@pytest.mark.parametrize(("takes", "looks"), [(0.01, 30), (0.04, 10), (0.06, 3), (0.2, 2), (2.0, 2)])
def test_whoever_needs_long_for_an_answer_is_asked_less_often(monkeypatch, takes, looks):
    """In half a second or, if that is more, until the second look: as often as it can, an istiod with much configuration was asked."""
    now, asked = 0.0, []

    def later(seconds):
        nonlocal now
        now += seconds

    def probe():
        later(takes)
        asked.append(now)
        return now > 0.5 and len(asked) > 1

    monkeypatch.setattr(wait, "time", SimpleNamespace(monotonic=lambda: now, sleep=later))
    wait.wait_until(probe, "all", 60, every=0.005)
    assert 0.8 * looks <= len(asked) <= looks
    assert now <= 0.5 + max(takes + wait.LONGEST, 0.1) + takes


@pytest.mark.parametrize(("ends", "most"), [(0.1, 12), (3.0, 80), (40.0, 165)])
def test_looks_grow_rarer_and_the_end_is_seen_at_most_a_twentieth_too_late(monkeypatch, ends, most):
    now, looks = 0.0, []

    def later(seconds):
        nonlocal now
        now += seconds

    monkeypatch.setattr(wait, "time", SimpleNamespace(monotonic=lambda: now, sleep=later))
    wait.wait_until(lambda: looks.append(now) or now >= ends, "all", 60, every=0.01)
    assert ends <= now <= ends * 1.05 + 0.01 and len(looks) <= most
