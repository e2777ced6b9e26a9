"""Work in the background: of many requests the newest counts."""

import threading

import pytest

from lab_helpers.core.errors import LabError
from lab_helpers.core.wait import wait_until
from lab_helpers.show.living.background import Background


def ended(background):
    wait_until(lambda: not background.busy, "the work to end", 10)


def test_of_many_requests_only_the_newest_is_worked_on_after_the_one_at_hand():
    begun, shown, go = [], [], threading.Event()

    def work(wanted, stopped):
        begun.append(wanted)
        go.wait(10)
        yield from range(3)

    background = Background(work, lambda wanted, step: shown.append((wanted, step)), lambda *error: None)
    background.request(0)
    wait_until(lambda: begun == [0], "the first to begin", 10)
    for wanted in range(1, 51):
        background.request(wanted)
    go.set()
    ended(background)
    assert begun == [0, 50] and shown == [(0, 0), (50, 0), (50, 1), (50, 2)]


def test_stop_ends_the_work_and_nothing_waits():
    steps, first = [], threading.Event()

    def work(wanted, stopped):
        while not stopped():
            steps.append(wanted)
            first.set()
            yield

    background = Background(work, lambda *step: None, lambda *error: None)
    background.request("on")
    assert first.wait(10)
    background.close()
    assert not background.busy and set(steps) == {"on"}


def test_an_error_is_told_and_the_next_request_works():
    told, shown = [], []

    def work(wanted, stopped):
        if wanted == "bad":
            raise LabError("This is wrong.", "Do that.")
        yield "step"

    background = Background(work, lambda wanted, step: shown.append(step), lambda wanted, error: told.append((wanted, error.what)))
    background.request("bad")
    ended(background)
    background.request("good")
    ended(background)
    assert told == [("bad", "This is wrong.")] and shown == ["step"]


def test_a_mistake_of_ours_is_told_too_and_the_next_request_works():
    """The thread used to die of it, and the sliders said "applying" for ever."""
    told, shown = [], []

    def work(wanted, stopped):
        yield {"good": "step"}[wanted]

    background = Background(work, lambda wanted, step: shown.append(step), lambda wanted, error: told.append(str(error)))
    background.request("bad")
    wait_until(lambda: told, "the mistake to be told", 10)
    background.request("good")
    ended(background)
    assert len(told) == 1 and "KeyError: 'bad'" in told[0] and "Try it once more" in told[0] and shown == ["step"]


def test_work_that_does_not_end_is_told_of():
    go, begun = threading.Event(), threading.Event()

    def work(wanted, stopped):
        begun.set()
        go.wait(10)
        yield

    background = Background(work, lambda *step: None, lambda *error: None)
    background.request(1)
    assert begun.wait(10)
    with pytest.raises(LabError, match="has not ended"):
        background.close(deadline=0.05)
    go.set()
    ended(background)
