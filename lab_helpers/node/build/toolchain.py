"""The tools that building needs: Debian's packages and a Go toolchain."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections import deque
from pathlib import Path
from typing import TextIO

import psutil

from lab_helpers.core import paths
from lab_helpers.core.errors import BuildError
from lab_helpers.node import files
from lab_helpers.node.build import contained
from lab_helpers.node.build.store import BUILD_LOGS, Part
from lab_helpers.node.build.versions import VERSIONS


def missing_packages(packages: list[str]) -> list[str]:
    """Those of Debian's `packages` that are not installed here."""
    query = ["dpkg-query", "--show", "--showformat", "${Package} ${db:Status-Status}\n", *packages]
    listed = subprocess.run(query, capture_output=True, encoding="utf-8").stdout.split("\n")
    installed = {line.split()[0] for line in listed if line.endswith(" installed")}
    return [package for package in packages if package not in installed]


def packages(built: bool) -> list[str]:
    """Debian's packages that the lab needs: fewer where every part of it is `built`."""
    return [*VERSIONS["host"]["running"], *([] if built else VERSIONS["host"]["building"])]


def available(package: str) -> bool:
    """Whether apt-get knows where to get `package`; so it is with all of them before its first update."""
    listed = subprocess.run(["apt-cache", "policy", package], capture_output=True, encoding="utf-8", env={**os.environ, "LC_ALL": "C"})
    return "Candidate: (none)" not in listed.stdout and (
        bool(listed.stdout.strip()) or not any(Path("/var/lib/apt/lists").glob("*_Packages*"))
    )


def install_packages(report, packages: list[str]) -> None:
    """Install what is missing of Debian's `packages`.

    Raises
    ------
    BuildError
        When apt-get refuses or cannot reach its mirror.
    """
    missing = missing_packages(packages)
    if not missing:
        return
    log = BUILD_LOGS / "debian.log"
    with files.as_user():
        paths.make_folder(BUILD_LOGS)
        log.unlink(missing_ok=True)
        out = log.open("a+", encoding="utf-8")
    with report.step(f"install {len(missing)} Debian packages"), out:
        for command in (["update"], ["install", "--yes", "--no-install-recommends", *missing]):
            _apt_get(command, out)


def _apt_get(arguments: list[str], out: TextIO) -> None:
    """Run apt-get to its end, whatever becomes of this process or its terminal: dpkg, once killed, refuses all later work."""
    # A machine that has just come up may be installing updates: they are waited for.
    command = ["apt-get", "-o", "DPkg::Lock::Timeout=300", *arguments]
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    # Not by `run`, which kills it when it is interrupted itself.
    started = subprocess.Popen(command, env=quiet, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)
    if code := started.wait():
        out.seek(0)
        last = "".join(f"\n    {line.rstrip()}" for line in deque(out, maxlen=8))
        raise BuildError(f"apt-get failed with exit code {code}:{last}", f"Correct what it names. The whole output: {out.name}")


def _go_on_path() -> str | None:
    found = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    if not found:
        return None
    version = subprocess.run([found, "env", "GOVERSION"], capture_output=True, encoding="utf-8").stdout
    number = re.match(r"go(\d+)\.(\d+)", version)
    minimum = tuple(map(int, VERSIONS["go"]["minimum"].split(".")))
    return found if number and tuple(map(int, number.groups())) >= minimum else None


def pip_install(requirement: str, target: Path, say: contained.Say, log: Path) -> None:
    """Unpack a wheel from PyPI, without its dependencies, into `target`, if it is one of those whose hashes are known."""
    target.mkdir(exist_ok=True)
    pinned = target / "requirements.txt"
    pinned.write_text(" ".join([requirement, *(f"--hash=sha256:{each}" for each in VERSIONS["wheels"][requirement])]), encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile", "--require-hashes", "--only-binary", ":all:"]
    contained.call([*pip, "--target", target, "--requirement", pinned], log, say)
    pinned.unlink()


# Maven, which by itself only warns of a file that is not what its registry says.
MVN = ("mvn", "--batch-mode", "--no-transfer-progress", "--strict-checksums")


def check_hash(file: Path, artifact: str) -> None:
    """Refuse what Maven has fetched as `artifact` unless it is what was pinned.

    Raises
    ------
    BuildError
        With both hashes.
    """
    with file.open("rb") as opened:
        found = hashlib.file_digest(opened, "sha256").hexdigest()
    if found != (wanted := VERSIONS["sha256"][artifact]):
        what = f"{artifact} is not the file that the lab was made with: its sha256 is {found}, and not {wanted}."
        raise BuildError(what, "Ask whoever runs the Maven repository that you use what happened to it. Nothing of it has been run.")


def _fetch_go(directory: Path, say: contained.Say, log: Path) -> None:
    pip_install(VERSIONS["go"]["pypi"], directory, say, log)
    for tool in (*directory.glob("go/bin/*"), *directory.glob("go/pkg/tool/*/*")):
        tool.chmod(0o755)


GO = Part("go", _fetch_go, (VERSIONS["go"]["pypi"],))
GO_ON_PATH = _go_on_path()
GO_TOOLS = () if GO_ON_PATH else (GO,)


def compilers() -> int:
    """How many compilers Go may run side by side: one for each processor, if there are two GiB of memory for it."""
    return max(1, min(os.cpu_count() or 1, int(psutil.virtual_memory().available / (2 * 2**30))))


def go_environment() -> dict[str, str]:
    """The environment of every Go command here: static binaries, caches of the lab's own, no toolchain of Go's own choosing."""
    go = paths.CACHE / "go"
    return {
        "CGO_ENABLED": "0",
        # The linker throws debug information away (-s -w); not to make it saves a tenth of the compiler's time.
        "GOFLAGS": f"-trimpath -modcacherw -gcflags=all=-dwarf=false -p={compilers()}",
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


def go_module(module: str, requirer: Path, say: contained.Say, log: Path) -> Path:
    """Download a Go module as the module of ours in the folder `requirer` pins it; return its folder (read only: it is Go's own cache)."""
    go_run(["mod", "download", module], log, say, cwd=requirer)
    query = [go_binary(), "list", "-m", "-json", module]
    environment = {**os.environ, **go_environment(), "HOME": str(paths.HOME)}
    out = subprocess.run(contained.wrap(query, as_user=True), capture_output=True, encoding="utf-8", env=environment, cwd=requirer)
    return Path(json.loads(out.stdout)["Dir"])
