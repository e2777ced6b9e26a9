"""Debian root file systems: one that every image is based on, one that the node runs in."""

from __future__ import annotations

import subprocess
from pathlib import Path

from lab_helpers.node.build.contained import Say, call
from lab_helpers.node.build.store import Part
from lab_helpers.node.build.versions import VERSIONS


def sources(suite: str) -> str:
    """This machine's own apt sources for Debian `suite`, as lines of a ``sources.list``, each with its key; empty when it has none."""
    wanted = {suite, f"{suite}-updates", f"{suite}-security"}
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT) $(SIGNED_BY)", "Created-By: Packages"]
    listed = subprocess.run(command, capture_output=True, encoding="utf-8").stdout.splitlines()
    targets = dict.fromkeys(tuple(line.split(maxsplit=3)) for line in listed if line.count(" ") >= 3)
    chosen = [each for each in targets if each[1] in wanted and each[2] == "main"]
    # What is not set stands there as it was asked for. A key need not be a file's name.
    keys = {key: f"[signed-by={key}] " if key.startswith("/") else "" for *_, key in chosen}
    return "".join(f"deb {keys[key]}{uri} {release} {part}\n" for uri, release, part, key in chosen)


def bootstrap(name: str, target: Path, say: Say, log: Path) -> None:
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
    call(command, log, say, stdin=lines or None, as_user=False)


BASE = Part("base", lambda directory, say, log: bootstrap("base", directory / "base.tar", say, log), (repr(VERSIONS["base"]),), roots=True)
NODE_ROOT = Part(
    "node-root", lambda directory, say, log: bootstrap("node", directory / "root", say, log), (repr(VERSIONS["node"]),), roots=True
)
