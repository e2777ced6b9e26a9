"""The node proxy's own tests, compiled as the lab compiles, by who owns its caches, and run as root: they make network namespaces."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from lab_helpers.core import paths
from lab_helpers.node.build import contained
from lab_helpers.node.build.binaries import NODE_PROXY_SOURCES
from lab_helpers.node.build.toolchain import go_binary, go_environment
from lab_helpers.node.build.versions import VERSIONS


def go(log: Path, *arguments, **environment: str) -> str:
    """Run a ``go`` command in the node proxy's folder, as the invoking user; return what it said, or fail with its last lines."""
    log.touch()
    os.chown(log.parent, paths.USER.pw_uid, paths.USER.pw_gid)  # what is compiled goes there
    began = log.stat().st_size
    contained.call([go_binary(), *arguments], log, cwd=NODE_PROXY_SOURCES, env=go_environment() | environment, as_user=True)
    return log.read_text(encoding="utf-8")[began:]


def run(folder: Path, *arguments: str, timeout: float = 120, **environment: str) -> dict[str, str]:
    """Compile nothing, run every test binary of `folder` in its package's folder; fail with what the first says that fails."""
    istio = VERSIONS["istio"]
    module = Path(go_environment()["GOMODCACHE"]) / f"{istio['module']}@{istio['revision']}"
    environment = {**os.environ, "ISTIO_MODULE": str(module), **environment}
    ran = {}
    for binary in sorted(folder.glob("*.test")):
        [package] = [path for path in NODE_PROXY_SOURCES.rglob(binary.stem) if path.is_dir()] or [NODE_PROXY_SOURCES]
        command = [binary, "-test.timeout", f"{timeout:g}s", "-test.v", *arguments]
        done = subprocess.run(command, cwd=package, env=environment, capture_output=True, text=True)
        if done.returncode:
            pytest.fail(f"{binary.stem}:\n{done.stdout[-6000:]}{done.stderr[-2000:]}")
        ran[binary.stem] = done.stdout
    return ran
