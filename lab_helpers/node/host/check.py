"""One thing of this machine looked at, and what came of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Check:
    """One thing looked at: what was found, what is needed, whether that will do, and what to do if not."""

    check: str
    found: str
    needed: str
    well: bool
    do: str = ""

    as_dict = asdict


def existing(path: Path) -> Path:
    """`path`, or the nearest folder above it that there is."""
    return next(parent for parent in (path, *path.parents) if parent.exists())
