"""How long a step is expected to take: as long as last time, else as long as ``versions.toml`` says."""

from __future__ import annotations

import json
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from lab_helpers.core import paths
from lab_helpers.core.errors import HostError
from lab_helpers.node import files
from lab_helpers.node.build import store
from lab_helpers.node.build.versions import VERSIONS

BRIEF = 5.0  # seconds: nobody waits for what takes less, so nothing is said of it


def clock(seconds: float) -> str:
    """As a watch shows it: 2:10, or 1:02:10."""
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def about(seconds: float) -> str:
    """As somebody would say it: 50 s, or 11 min."""
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


@dataclass(frozen=True)
class Estimate:
    """How long a step is expected to take, in seconds, and whether it is what it took last time."""

    seconds: float
    remembered: bool = False


@dataclass
class Memory:
    """How long each step took last, for the next command. A file that is absent, broken or not to be written is no error."""

    took: dict[str, float] = field(default_factory=lambda: _read(_file()))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def seconds(self, name: str) -> float | None:
        """What the step `name` took last, or what ``versions.toml`` says of it, or nothing."""
        return self.took.get(name, VERSIONS["seconds"]["build"].get(name.removeprefix(store.BUILD)))

    def estimate(self, name: str) -> Estimate | None:
        """What is known of the step `name`, if it is worth telling."""
        seconds = self.seconds(name)
        return None if seconds is None or seconds < BRIEF else Estimate(seconds, remembered=name in self.took)

    def remember(self, name: str, seconds: float) -> None:
        """Keep how long the step `name` took. Beside it stands whatever another command has kept meanwhile."""
        with self._lock, suppress(OSError, HostError):
            kept = _read(_file())
            if seconds >= BRIEF or name in kept:
                _write(_file(), kept | {name: round(seconds, 1)})


def _file() -> Path:
    return store.BUILD_LOGS / "seconds.json"


def _read(path: Path) -> dict[str, float]:
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return {name: float(seconds) for name, seconds in kept.items() if 0 <= float(seconds) < float("inf")}
    except (OSError, ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        return {}


def _write(path: Path, kept: dict[str, float]) -> None:
    """Whole or not at all: a command may be killed at any moment, and another read it."""
    with files.as_user():
        paths.make_folder(path.parent)
        files.write_private(path, json.dumps(kept, indent=1, sort_keys=True).encode())
