"""A stream of requests that goes on while keys change, and what became of each."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

import pandas as pd

from lab_helpers.chapters.c21_jwt.asking import repeat
from lab_helpers.core.errors import LabError, MeshError
from lab_helpers.core.wait import wait_until

BATCH = 10  # requests over one connection
MOST = 6_000  # requests altogether
LATE = 20.0  # seconds for a batch
PATH = "/health"  # of productpage: an answer that costs next to nothing


class Stream:
    """Requests to productpage with a token, batch after batch from another thread, for as long as the block lasts.

    Parameters
    ----------
    lab : Lab
    token : str
        What they carry at first; `use` gives them another one.
    by : str
        What that is called in the table.
    """

    def __init__(self, lab, token: str, by: str):
        self._lab, self._rows = lab, []
        self._wanted = self._under_way = ((token, by), f"tokens by {by}")
        self._error, self._ended = None, threading.Event()
        self._began = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="meshlab-stream", daemon=True)

    def __enter__(self) -> Stream:
        self._thread.start()
        self._some()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join(LATE)
        if self._error is not None and error is None:
            raise self._error

    @contextmanager
    def during(self, what: str) -> Iterator[None]:
        """Within the block, and until some requests have been sent after it, the requests are those of `what`."""
        self._begin(self._wanted[0], what)
        yield
        self._some()

    def use(self, token: str, by: str) -> None:
        """Have requests carry another token from now on."""
        self._begin((token, by), f"tokens by {by}")
        self._some()

    def _begin(self, carried: tuple[str, str], what: str) -> None:
        """Wait until what is sent is of `what`: the batch before it must not see what is going to be changed."""
        self._wanted = (carried, what)
        wait_until(lambda: self._under_way is self._wanted or not self._thread.is_alive(), "the requests before these to end", LATE, 0.02)

    def _some(self) -> None:
        """Wait for two batches: the first may have been under way already."""
        sent = len(self._rows)
        wait_until(lambda: len(self._rows) >= sent + 2 * BATCH or not self._thread.is_alive(), "requests to be sent", LATE, 0.02)
        if self._error is not None:
            raise self._error

    @property
    def seen(self) -> pd.DataFrame:
        """One row a request, in order: ``during`` (what was going on), ``by`` (whose token it carried), ``status``, ``second``."""
        return pd.DataFrame(self._rows, columns=["during", "by", "status", "second"])

    def _run(self) -> None:
        try:
            while not self._ended.is_set():
                if len(self._rows) >= MOST:
                    raise MeshError(f"{MOST:,} requests were sent, and the keys are not exchanged yet.", "Run the cell again.")
                self._under_way = self._wanted
                (token, by), phase = self._under_way
                batch = repeat(self._lab, token, BATCH, PATH)
                second = time.monotonic() - self._began
                self._rows += [(phase, by, status, second) for status in batch]
        except LabError as error:
            self._error = error
