"""Debian's packages: asked for only where they are needed, and never left half installed; apt-get is played by scripts."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lab_helpers.core import paths
from lab_helpers.core.errors import BuildError
from lab_helpers.node import host, lifecycle
from lab_helpers.node.build import binaries, debian, store, toolchain
from lab_helpers.node.build.versions import VERSIONS
from tests.unit.test_store import Quiet, writes


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine on which only what runs the lab is installed: a function that gives it a program, and its notes of apt-get's calls."""
    programs, notes = tmp_path / "programs", tmp_path / "notes"
    programs.mkdir()
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    for name, folder in (("PARTS", "parts"), ("UNFINISHED", "unfinished"), ("BUILD_LOGS", "log")):
        monkeypatch.setattr(store, name, tmp_path / folder)
    monkeypatch.setattr(toolchain, "BUILD_LOGS", tmp_path / "log")

    def program(name: str, script: str) -> Path:
        (programs / name).write_text(f"#!/bin/sh\n{script}\n")
        (programs / name).chmod(0o755)
        return notes

    program("dpkg-query", 'printf "%s installed\\n" iproute2 util-linux')
    program("apt-get", f'echo "$@" >>{notes}')
    return program


@pytest.fixture
def lab(machine, monkeypatch, tmp_path):
    """`up --only build` on such a machine, of a lab that is one part."""
    part = store.Part("small", writes("x"))
    monkeypatch.setattr(host, "WANTED", (part,))
    monkeypatch.setattr(host, "FIRST", (part,))
    monkeypatch.setattr(host, "LATER", ())
    monkeypatch.setattr(host, "require", lambda node, built: None)
    monkeypatch.setattr(host, "require_root", lambda *command: None)
    monkeypatch.setattr(lifecycle, "link_tools", lambda *tools: None)
    monkeypatch.setattr(lifecycle.lock, "LAB", tmp_path / "lab.lock")
    monkeypatch.setattr(lifecycle.lock, "CACHE", tmp_path / "cache.lock")
    monkeypatch.setattr(paths, "STATE", tmp_path / "state")
    return part


def test_with_every_part_built_no_package_is_asked_for(lab, tmp_path):
    """No compiler, no registry: the instructor's page promises a lab without a network."""
    store.ensure([lab], Quiet())
    lifecycle.up(Quiet(), "build")
    assert not (tmp_path / "notes").exists()


def test_where_a_part_is_missing_what_builds_it_is_installed_first(lab, tmp_path):
    lifecycle.up(Quiet(), "build")
    update, install = (tmp_path / "notes").read_text().splitlines()
    assert update.endswith(" update") and "buildah" in install and "iproute2" not in install
    store.forget([lab], [])
    (tmp_path / "notes").unlink()
    lifecycle.up(Quiet(), "build", ["small"])
    assert (tmp_path / "notes").exists(), "a part that is to be built again"


def test_whoever_holds_aptitudes_lock_is_waited_for(machine, tmp_path):
    toolchain.install_packages(Quiet(), ["gcc"])
    calls = (tmp_path / "notes").read_text().splitlines()
    assert [call.split()[:2] for call in calls] == [["-o", "DPkg::Lock::Timeout=300"]] * 2


def test_a_refusal_is_quoted(machine, tmp_path):
    machine("apt-get", "echo E: no such package gcc; exit 100")
    with pytest.raises(BuildError, match="(?s)exit code 100.*no such package gcc"):
        toolchain.install_packages(Quiet(), ["gcc"])


INSTALL = """
import sys
from pathlib import Path
from lab_helpers.node.build import store, toolchain
from tests.unit.test_store import Quiet
store.BUILD_LOGS = toolchain.BUILD_LOGS = Path(sys.argv[1])
try:
    toolchain.install_packages(Quiet(), ["gcc"])
except TypeError:
    toolchain.install_packages(Quiet())
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGHUP], ids=lambda how: how.name)
def test_dpkg_goes_on_when_the_terminal_is_closed(machine, tmp_path, how):
    """Killed in the middle of it, dpkg refuses everything else until somebody has it configure what is half there."""
    begun, go, done = (tmp_path / name for name in ("begun", "go", "done"))
    for fifo in (begun, go, done):
        os.mkfifo(fifo)
    machine("apt-get", f'exec 3<>{go}; echo "$@" >{begun}; read line <&3; echo "$line" >{done}')
    environment = {**os.environ, "PYTHONPATH": str(paths.ROOT)}
    # A session of its own, as a terminal's is, whose end all that is in it gets to hear of.
    with subprocess.Popen([sys.executable, "-c", INSTALL, tmp_path / "log"], env=environment, start_new_session=True) as up:
        assert "update" in begun.read_text()
        os.killpg(up.pid, how)
        up.wait(20)
    opened = os.open(go, os.O_WRONLY | os.O_NONBLOCK)  # fails when nobody is there to read
    os.write(opened, b"unharmed\n")
    os.close(opened)
    assert done.read_text() == "unharmed\n"


def test_a_mirrors_key_goes_with_it(machine):
    machine(
        "apt-get",
        """cat <<END
mirror bookworm main /usr/share/keyrings/ours.gpg
mirror bookworm-security main $(printf '%s' '$')(SIGNED_BY)
mirror bookworm contrib /usr/share/keyrings/ours.gpg
mirror trixie main /usr/share/keyrings/ours.gpg
mirror bookworm-updates main -----BEGIN PGP PUBLIC KEY BLOCK-----
 mQINBF
END""",
    )
    assert debian.sources("bookworm").splitlines() == [
        "deb [signed-by=/usr/share/keyrings/ours.gpg] mirror bookworm main",
        "deb mirror bookworm-security main",
        "deb mirror bookworm-updates main",
    ]


@pytest.mark.parametrize(("policy", "well"), [("Candidate: 1", True), ("Candidate: (none)", False)])
def test_a_package_that_no_source_has_is_told_beforehand(machine, policy, well):
    machine("apt-cache", f'printf "%s:\\n  Installed: (none)\\n  %s\\n" "$2" "{policy}"')
    check = host._packages(False)
    assert check.well == well and ("maven" in check.found) == (not well)
    assert host._packages(True).found == "all installed"


def test_a_jar_that_is_not_the_one_that_was_pinned_is_refused(machine, tmp_path):
    """Whatever Maven's repository served was run, if only under the right name."""
    notes = machine("mvn", f'echo "$@" >>{tmp_path}/notes; for last; do :; done; echo x >"${{last#-DoutputDirectory=}}/zipkin.jar"')
    with pytest.raises(BuildError, match="zipkin could not be built. io.zipkin:.* is not the file") as caught:
        store.ensure([binaries.ZIPKIN], Quiet())
    assert VERSIONS["sha256"][VERSIONS["zipkin"]["maven"]] in caught.value.what and not binaries.ZIPKIN.ready
    assert "--strict-checksums" in notes.read_text()
