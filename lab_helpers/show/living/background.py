"""Work in the background of which only the newest request counts, such as following a slider that is dragged."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

from lab_helpers.core.errors import LabError


class Background:
    """Do one piece of work at a time, in a thread that lives only as long as there is any.

    A request that comes while another is worked on ends that one at its next step and takes its place; of several that come,
    only the last is worked on.

    Parameters
    ----------
    work : callable
        ``work(request, stopped)`` returns an iterable of steps; ``stopped()`` tells it to end early.
    show : callable
        ``show(request, step)`` is told of each step.
    fail : callable
        ``fail(request, error)`` is told of an error, which ends the work on that request; of a mistake of the course's own, too, since
        nobody sees the traceback of a thread.
    """

    def __init__(
        self,
        work: Callable[[Any, Callable[[], bool]], Iterable],
        show: Callable[[Any, Any], None],
        fail: Callable[[Any, LabError], None],
    ):
        self._work, self._show, self._fail = work, show, fail
        self._lock = threading.Lock()
        self._next: list = []
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def request(self, wanted) -> None:
        """Have `wanted` worked on instead of whatever is."""
        with self._lock:
            self._next = [wanted]
            self._stop.set()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="meshlab-background", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """End the work at its next step; what was shown stays."""
        with self._lock:
            self._next = []
            self._stop.set()

    def close(self, deadline: float = 60.0) -> None:
        """Stop, and wait until the thread has ended.

        Raises
        ------
        LabError
            It has not by the `deadline`, in seconds.
        """
        self.stop()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(deadline)
            if thread.is_alive():
                raise LabError("The work in the background has not ended.", "Restart the kernel: Kernel > Restart.")

    @property
    def busy(self) -> bool:
        """Whether there is a thread at work."""
        return self._thread is not None

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._next:
                    self._thread = None
                    return
                wanted = self._next.pop()
                self._stop.clear()
            try:
                for step in self._work(wanted, self._stop.is_set):
                    self._show(wanted, step)
                    if self._stop.is_set():
                        break
            except LabError as error:
                self._fail(wanted, error)
            except Exception as error:
                what = f"The course itself has made a mistake here: {type(error).__name__}: {error}"
                told = LabError(what, "Try it once more; if it stays, restart the kernel: Kernel > Restart.")
                self._fail(wanted, told.with_traceback(error.__traceback__))
