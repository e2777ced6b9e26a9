"""Wait for a thing itself, never for a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from lab_helpers.core.errors import LabError, MeshError

Result = TypeVar("Result")
# Looks grow rarer as a wait gets longer: its end is seen at most a twentieth too late, and the cluster is not busy with answers.
SHARE, LONGEST = 0.05, 0.5
# An answer that takes longer than this comes from somebody who has much to say, as in a big cluster, and is given so many times its rest.
QUICK, REST = 0.05, 5


def wait_until(
    probe: Callable[[], Result],
    what: str,
    seconds: float,
    every: float = 0.05,
    late: Callable[[], str] = lambda: "",
    error: type[LabError] = MeshError,
    do: str = "",
) -> Result:
    """Call `probe` until it returns something true, and return that.

    Parameters
    ----------
    probe : callable
    what : str
        What is waited for, as a noun: it names what is late.
    seconds, every : float
        The deadline, and the shortest pause between two looks, in seconds.
    late : callable, optional
        Called at the deadline: what was seen instead.
    error : type of LabError, optional
        What to raise at the deadline.
    do : str, optional
        What the reader can do about it.

    Raises
    ------
    LabError
        At the deadline, naming `what`.
    """
    began = time.monotonic()
    while True:
        asked = time.monotonic()
        if result := probe():
            return result
        passed, took = time.monotonic() - began, time.monotonic() - asked
        if passed > seconds:
            seen = late()
            raise error(f"After {seconds:g} s still waiting for {what}{': ' + seen if seen else '.'}", do)
        time.sleep(max(every, min(max(SHARE * passed, REST * took if took > QUICK else 0), LONGEST)))


def wait_until_none(
    late: Callable[[], list[str]], what: str, do: str, seconds: float, every: float = 0.02, error: type[LabError] = MeshError
) -> None:
    """Wait until `late` names nobody: `wait_until` for many things at once.

    Parameters
    ----------
    late : callable
        Returns what is not yet as it should be, in a few words each.
    what, do, seconds, every, error
        As for `wait_until`.

    Raises
    ------
    LabError
        At the deadline, naming all that `late` named last.
    """
    laggards: list[str] = []

    def nobody() -> bool:
        laggards[:] = late()
        return not laggards

    wait_until(nobody, what, seconds, every, lambda: "; ".join(laggards) + ".", error, do)
