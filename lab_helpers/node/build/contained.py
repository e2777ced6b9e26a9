"""Run a build step so that it can be killed at any moment and leaves no process and no mount behind."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from lab_helpers.core import paths
from lab_helpers.core.errors import BuildError
from lab_helpers.node import files

Say = Callable[[str], None]
_running: set[subprocess.Popen] = set()


def wrap(command: Sequence[str], as_user: bool) -> list[str]:
    """`command` in mount and PID namespaces of its own that die with this process, as the invoking user if `as_user`."""
    # PDEATHSIG reaches the direct child only; the PID namespace takes everything below it along.
    held = ["setpriv", "--pdeathsig", "KILL", "--"] if sys.platform == "linux" else []  # elsewhere only two commands are built
    if os.geteuid() == 0:
        held += ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"]
        if as_user and paths.USER.pw_uid != 0:
            named = paths.USER.pw_name != str(paths.USER.pw_uid)  # who is only a number has no groups to look up
            groups = "--init-groups" if named else "--clear-groups"
            ids = [f"--reuid={paths.USER.pw_uid}", f"--regid={paths.USER.pw_gid}", groups]
            held += ["setpriv", *ids, "--"]
        # The namespace's init has to reap what is orphaned in it: a shell that waits for its command does, most commands do not.
        held += ["bash", "-c", '"$@"; exit $?', "init"]
    return [*held, *map(str, command)]


def call(
    command: Sequence[str],
    log: Path,
    say: Say = lambda line: None,
    *,
    cwd: Path | None = None,
    env: dict[str, str] | None = None,
    as_user: bool = True,
    stdin: str | None = None,
) -> None:
    """Run `command` to its end; its output goes to `log`, line by line to `say`.

    It runs as the invoking user: what comes out of a registry is root's to run only where that is said.

    Raises
    ------
    BuildError
        When it exits with an error: with its last lines, where the whole output is, and how to go on.
    """
    last: deque[str] = deque(maxlen=8)
    environment = {**os.environ, **(env or {})}
    if as_user:
        environment["HOME"] = str(paths.HOME)
    with files.as_user():
        out = log.open("a", encoding="utf-8")
    with out:
        out.write(f"$ {' '.join(map(str, command))}\n")
        process = subprocess.Popen(
            wrap(command, as_user),
            cwd=cwd,
            env=environment,
            encoding="utf-8",
            errors="replace",
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        _running.add(process)
        if stdin is not None:
            threading.Thread(target=_feed, args=(process.stdin, stdin), daemon=True).start()
        for line in process.stdout:
            out.write(line)
            out.flush()
            if line.strip():
                last.append(line.rstrip())
                say(line.strip())
    code = process.wait()
    _running.discard(process)
    if code != 0:
        raise BuildError(
            f"{Path(command[0]).name} failed with exit code {code}:\n" + "\n".join(f"    {text}" for text in last),
            f"If a registry was out of reach, run the command again when it is back: what is finished is kept. The whole output: {log}",
        )


def stop() -> None:
    """Kill every build step that runs now: whoever waits for one of them gets its `BuildError`."""
    for process in list(_running):
        process.kill()


def _feed(pipe, text: str) -> None:
    with pipe:
        pipe.write(text)
