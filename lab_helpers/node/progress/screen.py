"""Steps and plan as they are drawn on a terminal: never a line that is wider than it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from lab_helpers.node.build import store
from lab_helpers.node.progress.estimates import Estimate, clock
from lab_helpers.node.progress.plan import Plan

NARROW = 60  # columns: below, everything is said in fewer words
BAR = 40  # columns of the bar at most
NAME, WORDS = 30, 8  # columns that a name may always have, and that are worth to begin a sentence in


@dataclass(eq=False)
class Step:
    """A step under way: since when, in seconds of a monotonic clock; whether it only waits for the plan; the line that it has said last."""

    name: str
    began: float
    estimate: Estimate | None = None
    waits: bool = False
    line: str = ""

    def time(self, now: float, narrow: bool) -> str:
        """How long it takes already, beside how long it should."""
        took, expected = clock(now - self.began), self.estimate
        if expected is None:
            return took
        whole = clock(expected.seconds)
        if now - self.began <= expected.seconds:
            return f"{took} of about {whole}"
        if expected.remembered:
            return f"{took}, last time {whole}" if narrow else f"{took}, longer than last time's {whole}"
        return f"{took}, expected {whole}" if narrow else f"{took}, longer than the {whole} expected"


def draw(steps: Sequence[Step], plan: Plan, now: float, width: int, spinner: str = "·") -> Iterator[Text | Table]:
    """Lines of at most `width` columns: each step under way; what waits for which of them; how far the plan has come."""
    narrow = width < NARROW
    times = [step.time(now, narrow) for step in steps]
    longest = max(map(len, times), default=0)
    names = min(max((len(step.name) for step in steps), default=0), width - longest - 3, max(width // 2, NAME))
    for step, time in zip(steps, times, strict=True):
        name = Text(step.name)
        name.truncate(names, overflow="ellipsis", pad=True)
        row = Text.assemble((spinner, "green"), " ", name, " ", f"{time:{longest}}", " ")
        if width - row.cell_len >= WORDS:
            row.append(unfinished(plan, width - row.cell_len) if step.waits else _printable(step.line), "dim")
        yield _cut(row, width)
    if not plan.unfinished:
        return
    if waiting := list(plan.waiting()):
        yield _cut(Text(f"  waiting: {_listed(waiting, _by_reason, width - 11)}", style="dim"), width)
    left = f"about {clock(plan.left(now))} left"
    done = f"{len(plan.needs) - len(plan.unfinished)} of {len(plan.needs)} parts"
    row = Table.grid(padding=(0, 1, 0, 0))
    text = left if narrow else f"{done}, {left}"
    row.add_row(" ", ProgressBar(1, plan.share(now), width=min(BAR, width - len(text) - 4)), Text(text, no_wrap=True))
    yield row


def unfinished(plan: Plan, width: int) -> str:
    """What is still to be built, in `width` columns or little more."""
    return _listed(plan.unfinished, _names, width)


def _listed(items: Sequence, text: Callable[[Sequence], str], width: int) -> str:
    """The `text` of as many of `items` as `width` columns hold, but of one at least, and how many more there are."""
    fewer = [text(items[:n]) + f" and {len(items) - n} more" for n in range(len(items) - 1, 0, -1)]
    texts = [text(items), *fewer, text(items[:1]) + (f" +{len(items) - 1}" if fewer else "")]
    return next((each for each in texts if len(each) <= width), texts[-1])


def _names(names: Sequence[str]) -> str:
    return ", ".join(map(_short, names))


def _by_reason(waiting: Sequence[tuple[str, Sequence[str]]]) -> str:
    """What waits, and what for: once, if it is the same for several."""
    reasons: dict[str, list[str]] = {}
    for name, behind in waiting:
        reasons.setdefault(_names(behind) or "a turn", []).append(name)
    return "; ".join(f"{_names(names)} (for {reason})" for reason, names in reasons.items())


def _short(name: str) -> str:
    return name.removeprefix(store.BUILD)


def _printable(line: str) -> str:
    """What a compiler says may hold anything: colours, tabs, a line that it has written over."""
    return "".join(filter(str.isprintable, Text.from_ansi(line.expandtabs(2)).plain))


def _cut(text: Text, width: int) -> Text:
    text.rstrip()
    text.no_wrap = True
    text.truncate(width, overflow="ellipsis")
    return text
