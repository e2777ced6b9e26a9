"""The steps that are known to come: what each waits for, and how much is left of them all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from lab_helpers.node.build import store

LITTLE = 1.0  # seconds that a step counts of which nothing is known: almost nothing, but it has to be done


@dataclass
class Plan:
    """Steps that are to come, and which of them are under way and done.

    Parameters
    ----------
    seconds : callable
        Name of a step → seconds that it is expected to take, or None.
    """

    seconds: Callable[[str], float | None]
    stages: list[dict[str, Sequence[str]]] = field(default_factory=list)
    began: dict[str, float] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)

    def add(self, needs: Mapping[str, Sequence[str]]) -> None:
        """Add steps that come after all those that were added before: name → names of those that it waits for, which come first."""
        if new := {name: tuple(waits) for name, waits in needs.items() if name not in self.needs}:
            self.stages.append(new)

    def fail(self, name: str) -> None:
        """The step `name` has failed. If it is one of these, no other will begin any more: nothing is expected then."""
        if name in self.needs:
            self.stages.clear()

    @property
    def needs(self) -> dict[str, Sequence[str]]:
        return {name: waits for stage in self.stages for name, waits in stage.items()}

    @property
    def unfinished(self) -> list[str]:
        """What is not done yet, by stage; what takes longest first."""
        return [name for stage in self.stages for name in sorted(stage, key=self._weight, reverse=True) if name not in self.done]

    def waiting(self) -> Iterator[tuple[str, list[str]]]:
        """What has not begun, and which of the steps under way it waits for: none when only its turn has not come."""
        for name in self.unfinished:
            if name not in self.began:
                yield name, sorted(self._behind(name), key=self._weight, reverse=True)

    def _behind(self, name: str) -> set[str]:
        waits = [each for each in self.needs.get(name, ()) if each not in self.done]
        return {each for each in waits if each in self.began}.union(*(self._behind(each) for each in waits if each not in self.began))

    def _weight(self, name: str) -> float:
        return self.seconds(name) or LITTLE

    def _left(self, name: str, now: float) -> float:
        if name in self.done:
            return 0
        elapsed = now - self.began.get(name, now)
        # Nobody knows how much is left of what takes longer than expected: a tenth of what it has taken already, say.
        return max(self._weight(name) - elapsed, elapsed / 10)

    def left(self, now: float) -> float:
        """Seconds until all is done: by stage the longest chain, or what all of the workers have to do if that is more."""
        total = 0.0
        for stage in self.stages:
            ends: dict[str, float] = {}
            for name, waits in stage.items():
                ends[name] = max((ends.get(each, 0) for each in waits), default=0) + self._left(name, now)
            total += max(max(ends.values()), sum(self._left(name, now) for name in stage) / store.WORKERS)
        return total

    def share(self, now: float) -> float:
        """How much of the work is done, from 0 to 1; it never gets less, however long a step takes."""
        weights = {name: self._weight(name) for name in self.needs}
        behind = sum(
            weight if name in self.done else min(now - self.began.get(name, now), 0.9 * weight) for name, weight in weights.items()
        )
        return behind / sum(weights.values()) if weights else 1
