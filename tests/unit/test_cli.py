"""The command line: wrong calls get one sentence and exit code 1 or 2, never a traceback."""

import errno
import io
import os
import re
import subprocess
from pathlib import Path

import click
import psutil
import pytest
import urllib3
from click.testing import CliRunner
from kubernetes.client.rest import ApiException

from lab_helpers import cli
from lab_helpers.cli import main
from lab_helpers.core import paths
from lab_helpers.core.errors import ClusterError
from lab_helpers.course import new_chapter, run
from lab_helpers.node import host, lifecycle, lock, machine, status
from lab_helpers.node.build import store
from lab_helpers.node.kubernetes import pki


@pytest.fixture(autouse=True)
def nothing_remembered(monkeypatch, tmp_path):
    """How long steps took that were none is not kept for real ones."""
    monkeypatch.setattr(store, "BUILD_LOGS", tmp_path / "log")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["up", "--context", "x", "--only", "kubernetes"], "--context names another cluster"),
        (["up", "--overlay", __file__], "--overlay goes with --context"),
        (["up", "--yes"], "--yes goes with --context"),
        (["up", "--take-over"], "--take-over goes with --context"),
        (["up", "--only", "everything"], "'everything' is not one of"),
        (["run", "99_nothing"], "There is no chapter '99_nothing'"),
        (["logs", "../pki/service-accounts"], "There is no log of"),
        (["logs", "nobody"], "There is no log of 'nobody'"),
        (["new-chapter", "nine"], "nine"),
        (["logs", "kubelet", "-n", "-1"], "-1 is not in the range x>=1"),
        (["run", "[/x]"], "There is no chapter '[/x]'"),  # which is markup of the library that paints the terminal
    ],
)
def test_a_wrong_call_gets_a_sentence(arguments, sentence):
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code in (1, 2) and sentence in done.output and "Traceback" not in done.output


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/a/file"), "/a/file: No space left on device."),
        (OSError("nothing is known of it"), "nothing is known of it."),
        (
            subprocess.CalledProcessError(2, ["mount", "-t", "x y"], stderr=b"unknown file system\n"),
            "mount -t 'x y' ended with exit code 2: u",
        ),
        (subprocess.CalledProcessError(-9, "apt-get"), "apt-get was ended by signal 9."),
        (subprocess.TimeoutExpired(["ip", "link"], 20), "ip link did not end within 20 s."),
        (psutil.NoSuchProcess(7), "could not be looked at"),
        (ApiException(500, "Internal error"), "meshlab: "),
        (urllib3.exceptions.ProtocolError("broken pipe"), "meshlab: the API server did not answer (broken pipe)"),
    ],
)
def test_what_goes_wrong_around_it_gets_a_sentence(monkeypatch, error, sentence):
    def fail():
        raise error

    monkeypatch.setattr(run, "build_site", fail)
    done = CliRunner().invoke(main, ["site"])
    assert done.exit_code == 1 and sentence in done.output and "→ " in done.output and isinstance(done.exception, SystemExit)


@pytest.mark.parametrize("error", [KeyError("x"), AttributeError("y"), ValueError("z")])
def test_a_mistake_of_ours_is_shown_as_one(monkeypatch, error):
    def fail():
        raise error

    monkeypatch.setattr(run, "build_site", fail)
    assert CliRunner().invoke(main, ["site"]).exception is error


def test_what_the_lab_says_of_itself_may_look_like_markup(monkeypatch):
    check = host.Check("[/x]", "[apis/]", "[/]", False, "[/y]")
    monkeypatch.setattr(status, "doctor", lambda: [check])
    assert "[/y]" in CliRunner().invoke(main, ["doctor"]).output
    empty = {"workloads": {}, "memory_mib": None, "url": "", "addons": {}, "well": False}
    state = {"components": {"[/a]": "[/b]"}, "problems": ["[/c]"], **empty}
    monkeypatch.setattr(status, "status", lambda: state)
    told = CliRunner().invoke(main, ["status"]).output
    assert all(each in told for each in ("[/a]", "[/b]", "[/c]"))


@pytest.mark.parametrize(("pid", "sentence"), [(None, "is not up"), (7, "with whoever brought it up")])
@pytest.mark.parametrize("command", [["kubeconfig"], ["addons", "kiali"]])
def test_no_kubeconfig_without_a_lab_or_with_somebody_elses(monkeypatch, tmp_path, command, pid, sentence):
    monkeypatch.setattr(paths, "KUBECONFIG", tmp_path / "none")
    monkeypatch.setattr(machine, "init_pid", lambda node: pid)
    monkeypatch.setattr(lifecycle, "connect", lambda **how: pytest.fail("a cluster was looked for"))
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 1 and "meshlab up" in done.output and "Traceback" not in done.output
    assert sentence in done.output or (command[0] == "addons" and pid is None and "is not running" in done.output)


@pytest.fixture
def plain(monkeypatch):
    """Somebody who is not root."""
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr("sys.argv", ["/a/folder/meshlab", "logs", "kubelet"])


@pytest.mark.parametrize(("command", "line"), [(["up", "--only", "build"], "up --only build"), (["down"], "down")])
def test_whoever_is_not_root_is_told_so_before_anything_is_touched(plain, monkeypatch, command, line):
    monkeypatch.setattr(lock, "exclusive", lambda path: pytest.fail("the lock was tried first"))
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 1 and f"sudo /a/folder/meshlab {line}\n" in done.output and "Traceback" not in done.output


def test_what_may_not_be_read_gets_a_line_that_may(plain, monkeypatch, tmp_path):
    def shut(path, *how, **more):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(paths, "LOGS", tmp_path)
    (tmp_path / "kubelet.log").write_text("last words\n")
    monkeypatch.setattr(Path, "glob", lambda folder, pattern: iter(()))  # a folder that may be passed and not listed
    assert CliRunner().invoke(main, ["logs", "kubelet"]).output == "last words\n"
    monkeypatch.setattr(Path, "open", shut)
    done = CliRunner().invoke(main, ["logs", "kubelet"])
    assert done.exit_code == 1 and f"{tmp_path / 'kubelet.log'} is not for" in done.output
    assert "sudo /a/folder/meshlab logs kubelet\n" in done.output


@pytest.mark.parametrize(("given", "context"), [([], None), (["--context", "kind"], "kind")])
def test_chapters_run_on_the_embedded_lab_unless_a_context_is_named(monkeypatch, given, context):
    asked = []
    monkeypatch.setenv("KUBECONFIG", "/somebody/else")
    monkeypatch.setattr(run, "run_chapter", lambda stem, context: asked.append((stem, context)) or (paths.ROOT / "a.ipynb", 1.0))
    monkeypatch.setattr(run, "run_course", lambda report, context: asked.append(context) or report.took.update({SITE: 1}) or {})
    for arguments in (["run", "04_bookinfo"], ["course"]):
        done = CliRunner().invoke(main, [*arguments, *given], catch_exceptions=False)
        assert done.exit_code == 0, done.output
    assert asked == [("04_bookinfo", context), context]


SITE = "the site from that run"


def test_the_files_of_a_new_chapter_are_named_as_seen_from_the_clone(monkeypatch):
    monkeypatch.setattr(new_chapter, "make", lambda stem: [paths.ROOT / "notebooks" / f"{stem}.ipynb", paths.ROOT / "_toc.yml"])
    done = CliRunner().invoke(main, ["new-chapter", "09_more"], catch_exceptions=False)
    assert done.output.splitlines() == [str(Path("notebooks", "09_more.ipynb")), "_toc.yml"]


class Terminal(io.StringIO):
    """Somebody who types."""

    def isatty(self) -> bool:
        return True


def test_only_somebody_at_a_terminal_agrees_to_a_plan(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    with pytest.raises(ClusterError, match="(?s)Istio is installed.*nothing was changed") as caught:
        cli.agree("Istio is installed.")
    assert "--yes" in caught.value.do
    cli.agree("")  # nothing to agree to
    monkeypatch.setattr("sys.stdin", Terminal("n\n"))
    with pytest.raises(click.Abort):
        cli.agree("Istio is installed.")
    monkeypatch.setattr("sys.stdin", Terminal("y\n"))
    cli.agree("Istio is installed.")
    assert "Istio is installed." in capsys.readouterr().out


@pytest.fixture
def restrictive():
    """The umask of a hardened machine."""
    before = os.umask(0o077)
    yield
    os.umask(before)


def test_what_is_built_is_for_everybody_and_keys_are_not_whatever_the_umask(restrictive, monkeypatch, tmp_path):
    def build(directory, say, log):
        (directory / "module.py").touch()
        subprocess.run(["sh", "-c", "mkdir bin; echo >bin/program; chmod +x bin/program"], cwd=directory, check=True)

    def up(report, only, rebuild, force):
        store.ensure([part], report)
        pki.write_private(tmp_path / "key", b"secret")

    part = store.Part("small", build)
    for name in ("PARTS", "UNFINISHED", "BUILD_LOGS"):
        monkeypatch.setattr(store, name, tmp_path / name)
    monkeypatch.setattr(lifecycle, "up", up)
    done = CliRunner().invoke(main, ["up"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    found = {each.name: each.stat().st_mode & 0o777 for each in (part.path, *part.path.rglob("*"), tmp_path / "key")}
    assert found == {part.path.name: 0o755, "module.py": 0o644, "bin": 0o755, "program": 0o755, "key": 0o600}


def test_every_command_that_the_pages_and_the_makefile_name_is_there():
    root = Path(__file__).parents[2]
    pages = [root / "README.md", root / "CONTRIBUTING.md", *(root / "book").glob("*.md")]
    named = {name for page in pages for name in re.findall(r"\bmeshlab ([a-z][a-z-]+)\b", page.read_text(encoding="utf-8"))}
    named |= set(re.findall(r"\$\(MESHLAB\) ([a-z-]+)", (root / "Makefile").read_text(encoding="utf-8")))
    assert {"up", "down", "status", "run", "course"} <= named
    assert named <= set(main.commands)
