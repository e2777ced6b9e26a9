"""Tell how long work goes: each step with what it is doing and how long it took."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from lab_helpers.node.build.contained import Say


@dataclass
class Report:
    """The steps of one command: shown live on a terminal, as a line each at their start and end elsewhere.

    Attributes
    ----------
    took : dict of str to float
        Duration of each finished step, in seconds.
    """

    console: Console = field(default_factory=lambda: Console(stderr=True, highlight=False))
    took: dict[str, float] = field(default_factory=dict)

    def __post_init__(self):
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            TextColumn("[dim]{task.fields[line]}"),
        )
        self._progress = Progress(*columns, console=self.console, transient=True, disable=not sys.stderr.isatty())
        self._lock = threading.Lock()

    def __enter__(self) -> Report:
        self._progress.start()
        return self

    def __exit__(self, *error) -> None:
        self._progress.stop()

    def print(self, text: str) -> None:
        with self._lock:
            self.console.print(text)

    @contextmanager
    def step(self, name: str) -> Iterator[Say]:
        """One step; yields a function that takes what it is doing right now."""
        if self._progress.disable:
            self.print(f"  … {name}")
        task = self._progress.add_task(name, total=None, line="")
        began = time.monotonic()
        width = max(20, self.console.width - 60)
        try:
            yield lambda line: self._progress.update(task, line=line.replace("[", "(")[:width])
        except BaseException:
            self.print(f"  [red]✗[/] {name} failed after {time.monotonic() - began:.1f} s")
            raise
        finally:
            self._progress.remove_task(task)
        self.took[name] = time.monotonic() - began
        self.print(f"  [green]✓[/] {name} [dim]{self.took[name]:.1f} s[/]")
