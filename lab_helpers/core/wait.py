"""Wait for a thing itself, never for a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from .errors import LabError, MeshError

Result = TypeVar("Result")


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
        The deadline, and the pause between two looks, in seconds.
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
    end = time.monotonic() + seconds
    while not (result := probe()):
        if time.monotonic() > end:
            seen = late()
            raise error(f"After {seconds:g} s still waiting for {what}{': ' + seen if seen else '.'}", do)
        time.sleep(every)
    return result
