"""Waiting until nobody lags: like `core.wait`, for many things at once, each named if it is late."""

from __future__ import annotations

from collections.abc import Callable

from lab_helpers.core.wait import wait_until


def until_none(late: Callable[[], list[str]], what: str, do: str, seconds: float, every: float = 0.02) -> None:
    """Wait until `late` names nobody.

    Parameters
    ----------
    late : callable
        Returns what is not yet as it should be, in a few words each.
    what, do : str
        For the error: what is waited for, as a noun, and what the reader can do about it.
    seconds, every : float
        The deadline, and the pause between two looks, in seconds.

    Raises
    ------
    MeshError
        At the deadline, naming all that `late` named last.
    """
    laggards: list[str] = []

    def nobody() -> bool:
        laggards[:] = late()
        return not laggards

    wait_until(nobody, what, seconds, every, late=lambda: "; ".join(laggards) + ".", do=do)
