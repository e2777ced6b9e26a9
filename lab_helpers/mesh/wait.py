"""Waiting for a thing itself: ask, and ask again, until it is so or a deadline has passed. The only place that ever sleeps."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from lab_helpers.core.errors import MeshError


def until(late: Callable[[], Iterable[str]], what: str, do: str, deadline: float, every: float = 0.02, error: type = MeshError) -> float:
    """Wait until `late` names nobody.

    Parameters
    ----------
    late : callable
        Returns what is not yet as it should be, one sentence each; nothing when all is well.
    what, do : str
        The two sentences of the error, should it come to that; what is late is put between them.
    deadline : float
        Seconds from now.
    every : float
        Seconds between two questions.
    error : type
        The `LabError` to raise.

    Returns
    -------
    float
        Seconds waited.
    """
    start = time.monotonic()
    while laggards := list(late()):
        if time.monotonic() - start > deadline:
            raise error(f"{what} after {deadline:g} s: {'; '.join(laggards)}.", do)
        time.sleep(every)
    return time.monotonic() - start
