"""Waiting for a thing itself, with a deadline that names what is late."""

import time

import pytest

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
