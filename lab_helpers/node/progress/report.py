"""Tell how work goes: each step with what it is doing, how long it takes and should take, and what waits for it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

from rich.console import Console, Group
from rich.control import Control
from rich.live import Live
from rich.segment import ControlType, Segment, SegmentLines
from rich.spinner import Spinner

from lab_helpers.node.build.contained import Say
from lab_helpers.node.progress.estimates import BRIEF, Estimate, Memory, about
from lab_helpers.node.progress.plan import Plan
from lab_helpers.node.progress.screen import Step, draw, unfinished

REDRAWN = 4  # times a second: enough for a watch, and little of a processor that is compiling


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
        self._memory = Memory()
        self._plan = Plan(self._memory.seconds)
        self._steps: list[Step] = []
        self._drawn: tuple[int, list[int]] = 0, []  # how wide the terminal was, and each line of what was drawn
        self._spinner = Spinner("dots")
        # Colours alone (FORCE_COLOR) make no terminal of a file.
        self._live = self.console.is_interactive and self.console.file.isatty()
        self._screen = Live(console=self.console, transient=True, refresh_per_second=REDRAWN, get_renderable=self._draw)

    def __enter__(self) -> Report:
        if self._live:
            self._screen.start()
        return self

    def __exit__(self, *error) -> None:
        self._screen.stop()

    def print(self, text: str) -> None:
        self.console.print(text, soft_wrap=not self._live)

    def plan(self, needs: Mapping[str, Sequence[str]]) -> None:
        """Tell which steps are to come: name → names of those that it waits for, which come first."""
        self._plan.add(needs)

    @contextmanager
    def step(self, name: str, waits: bool = False) -> Iterator[Say]:
        """One step; yields a function that takes what it is doing right now.

        Parameters
        ----------
        name : str
        waits : bool
            Whether it does nothing itself but wait for what is planned.
        """
        began = time.monotonic()
        step = Step(name, began, self._left(began) if waits else self._memory.estimate(name), waits)
        if not self._live:
            what = f": {unfinished(self._plan, 60)}" if waits and self._plan.unfinished else ""
            self.print(f"  … {name}{what}" + (f" (about {about(step.estimate.seconds)})" if step.estimate else ""))
        self._plan.began[name] = began
        self._steps.append(step)
        try:
            yield partial(setattr, step, "line")
        except BaseException:
            self._plan.fail(name)
            self.print(f"  [red]✗[/] {name} failed after {time.monotonic() - began:.1f} s")
            raise
        finally:
            self._steps.remove(step)
        self.took[name] = time.monotonic() - began
        self._plan.done.add(name)
        if not waits:
            self._memory.remember(name, self.took[name])
        self.print(f"  [green]✓[/] {name} [dim]{self.took[name]:.1f} s[/]")

    def _left(self, now: float) -> Estimate | None:
        left = self._plan.left(now)
        return Estimate(left) if left >= BRIEF else None

    def _draw(self) -> SegmentLines:
        """What is on the terminal now."""
        width, (before, cells) = self.console.width, self._drawn
        if width < before:
            # The terminal has broken the lines anew: the cursor is further below their start than Live knows.
            more = sum(-(-each // width) - 1 for each in cells if each)
            self.console.control(Control(*((ControlType.ERASE_IN_LINE, 2), (ControlType.CURSOR_UP, 1)) * more))
        spinner = self._spinner.render(self.console.get_time()).plain
        group = Group(*draw(list(self._steps), self._plan, time.monotonic(), width, spinner))
        lines = self.console.render_lines(group, pad=False)
        self._drawn = width, [Segment.get_line_length(line) for line in lines]
        return SegmentLines(lines, new_lines=True)
