"""The cache of built parts: by version, whole or absent, shared by every clone of one user."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from graphlib import TopologicalSorter
from pathlib import Path

from lab_helpers.core import paths
from lab_helpers.core.errors import BuildError, LabError
from lab_helpers.node import files
from lab_helpers.node.build import contained
from lab_helpers.node.build.contained import Say

PARTS = paths.CACHE / "parts"
UNFINISHED = paths.CACHE / "unfinished"
BUILD_LOGS = paths.CACHE / "log"
# Two cores: one compiler, one bootstrap and one download at a time overlap well; more only take turns.
WORKERS = 3
KEEP = "MESHLAB_KEEP_CACHES"  # in the environment: whoever changes what the lab is made of wants the inputs, and Go's caches, at hand
BUILD = "build "  # begins the name of the step that builds a part


@dataclass(frozen=True, eq=False)
class Part:
    """One thing that the lab is made of, built into a directory.

    Parameters
    ----------
    name : str
        What it is, for people.
    build : callable
        ``build(directory, say, log)`` fills the new `directory`, tells its progress to `say`, its output to the file `log`.
    inputs : tuple of str or Path
        Everything besides `needs` that its content depends on; files and folders count by content.
    needs : tuple of Part
        What goes into it, and so must be there before.
    tools : tuple of Part
        What must be there to build it, but leaves no mark on it.
    roots : bool
        Whether its files are root's, as a root file system's are; all others are made by the invoking user.
    """

    name: str
    build: Callable[[Path, Say, Path], None]
    inputs: tuple[str | Path, ...] = ()
    needs: tuple[Part, ...] = ()
    tools: tuple[Part, ...] = ()
    roots: bool = False

    @cached_property
    def key(self) -> str:
        digest = hashlib.sha256()
        for item in (self.name, *self.inputs, *(need.key for need in self.needs)):
            if isinstance(item, Path):
                for file in sorted(item.rglob("*")) if item.is_dir() else [item]:
                    if file.is_file() and "__pycache__" not in file.parts:
                        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
            else:
                digest.update(item.encode() + b"\0")
        return digest.hexdigest()[:12]

    @property
    def path(self) -> Path:
        """Where the finished part is."""
        return PARTS / f"{self.name}-{self.key}"

    @property
    def ready(self) -> bool:
        return self.path.is_dir()


def every(parts: Iterable[Part]) -> list[Part]:
    """`parts` and all that goes into them or builds them, in an order in which they could be built."""
    return _ordered(parts, lambda part: (*part.needs, *part.tools))


def missing(parts: Iterable[Part]) -> list[Part]:
    """What has to be built to have `parts`, in order. What only went into a finished part is not asked for again."""
    wanted = [part for part in parts if not part.ready]
    return _ordered(wanted, _awaited)


def _ordered(parts: Iterable[Part], below: Callable[[Part], Iterable[Part]]) -> list[Part]:
    """What is asked for first comes first, right after what goes into it."""
    ordered: dict[Part, None] = {}

    def add(part: Part) -> None:
        if part not in ordered:
            for each in below(part):
                add(each)
            ordered[part] = None

    for part in parts:
        add(part)
    return list(ordered)


def forget(parts: Iterable[Part], names: Iterable[str]) -> None:
    """Drop the finished parts called `names`, and those that they went into, so that all of them are built again.

    Raises
    ------
    BuildError
        When a name is not one of `parts`.
    """
    ordered = every(parts)
    known = {part.name for part in ordered}
    if unknown := set(names) - known:
        raise BuildError(f"There is no part called {', '.join(sorted(unknown))!r}.", f"The parts are: {', '.join(sorted(known))}.")
    dropped: set[Part] = set()
    for part in ordered:
        if part.name in names or dropped.intersection(part.needs):
            dropped.add(part)
            if part.ready:
                _discard(part.path)


def clean() -> None:
    """Remove what killed builds left unfinished. Call it under the lab's lock only."""
    shutil.rmtree(UNFINISHED, ignore_errors=True)


def announce(parts: Iterable[Part], report) -> list[Part]:
    """What has to be built to have `parts`, in order; `report` is told of it, and of what each waits for."""
    todo = missing(parts)
    report.plan({BUILD + part.name: [BUILD + each.name for each in _awaited(part)] for part in todo})
    return todo


def _awaited(part: Part) -> list[Part]:
    return [below for below in (*part.needs, *part.tools) if not below.ready]


def ensure(parts: Iterable[Part], report) -> None:
    """Build what is missing of `parts`, side by side where nothing else is waited for.

    Parameters
    ----------
    parts : iterable of Part
    report : Report
        Told of each part built; see `progress`.

    Raises
    ------
    LabError
        The first failure, once the builds under way have ended.
    """
    with files.as_user():
        for directory in (PARTS, UNFINISHED, BUILD_LOGS):
            paths.make_folder(directory)
    todo = announce(parts, report)
    sorter = TopologicalSorter({part: _awaited(part) for part in todo})
    sorter.prepare()
    rank = {part: index for index, part in enumerate(todo)}
    with ThreadPoolExecutor(WORKERS, thread_name_prefix="build") as pool:
        running, failure = {}, None
        while sorter.is_active() and (not failure or running):
            if not failure:
                for part in sorted(sorter.get_ready(), key=rank.get):
                    running[pool.submit(_build, part, report)] = part
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                part = running.pop(future)
                if error := future.exception():
                    failure = failure or error
                else:
                    sorter.done(part)
    if failure:
        raise failure


@contextmanager
def beside(parts: Iterable[Part], report) -> Iterator[Callable[[], None]]:
    """Build `parts` on the processor time that nobody else wants; yields a function that waits for them.

    When the block ends by an error, what is being built is given up, so that the error is seen at once.

    Raises
    ------
    LabError
        From the function: the first failure.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="beside", initializer=_step_back) as pool:
        built = pool.submit(ensure, parts, report)
        try:
            yield built.result
        except BaseException:
            contained.stop()
            raise


def _step_back() -> None:
    """Have this thread, and all threads and processes that it starts, run only where the processor has nothing else to do."""
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def _build(part: Part, report) -> None:
    unfinished = UNFINISHED / f"{part.name}.{os.getpid()}"
    log = BUILD_LOGS / f"{part.name}.log"
    with files.as_user():
        paths.make_folder(unfinished)
        log.unlink(missing_ok=True)
        log.write_text(time.strftime("# %Y-%m-%d %H:%M:%S\n"), encoding="utf-8")
    with report.step(BUILD + part.name) as say:
        try:
            with nullcontext() if part.roots else files.as_user():
                part.build(unfinished, say, log)
        except LabError as error:
            raise type(error)(f"{part.name} could not be built. {error.what}", error.do) from error
        # The rename is what makes it finished: a build that is killed before leaves nothing under that name. What is in it has to be on the
        # disk by then: after a power cut the name may be there and its files empty, for ever.
        os.sync()
        with files.as_user():
            os.rename(unfinished, part.path)


def collect(wanted: Iterable[Part]) -> None:
    """Delete all but `wanted`: parts of other versions, and Go's caches; nothing where `KEEP` is set.

    Call it under the lock of the caches only, and when no node runs on a part that is not wanted.
    """
    if os.environ.get(KEEP):
        return
    kept = {part.path.name for part in wanted}
    for path in [*(each for each in PARTS.iterdir() if each.name not in kept), paths.CACHE / "go"]:
        if path.exists():
            _discard(path)


def _discard(path: Path) -> None:
    gone = UNFINISHED / f"discarded-{path.name}.{os.getpid()}"
    paths.make_folder(UNFINISHED)
    os.rename(path, gone)
    shutil.rmtree(gone)
