"""What `lab.run` makes of a program's answer: exit codes that are expected, colours, files that lie among the manifests."""

from types import SimpleNamespace

import pytest

from lab_helpers.core.errors import CommandError
from lab_helpers.core.manifests import ROOT
from lab_helpers.kube import commands
from lab_helpers.kube.commands import Output


@pytest.fixture
def lab(tmp_path):
    """A lab whose kubectl is a shell script that a test writes."""
    kubectl = tmp_path / "kubectl"

    def does(script: str):
        kubectl.write_text(f"#!/bin/sh\n{script}\n")
        kubectl.chmod(0o755)
        return SimpleNamespace(bin=tmp_path, kubeconfig=tmp_path / "none", context="c", namespace="n")

    return does


def test_a_failure_that_is_to_be_shown_is_shown_with_its_reason(lab):
    told = commands.run(lab("echo some; echo reason >&2; exit 3"), "kubectl x", code=3)
    assert (told.code, str(told)) == (3, "$ kubectl x\nsome\nreason")


@pytest.mark.parametrize("code", [0, 4])
def test_another_exit_code_than_expected_raises_with_all_that_was_said(lab, code):
    with pytest.raises(CommandError, match="(?s)exit code 3.*some.*reason"):
        commands.run(lab("echo some; echo reason >&2; exit 3"), "kubectl x", code=code)


def test_a_failure_that_does_not_happen_raises(lab):
    with pytest.raises(CommandError, match="exit code 0, not 3"):
        commands.run(lab("true"), "kubectl x", code=3)


def test_what_a_program_reads_and_paints(lab):
    assert commands.run(lab(r"cat; printf '\033[32mgood\033[0m'"), "kubectl x", stdin="in ").stdout == "in good"


def test_a_note_on_stderr_shows_only_where_nothing_else_does():
    assert Output("kubectl x", "\n", "none found\n").shown == "\nnone found\n"
    assert Output("kubectl x", "pod\n", "a warning\n").shown == "pod\n"


def test_a_manifest_is_found_from_anywhere_and_a_file_at_hand_comes_first(lab, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    where = lab("pwd")
    assert commands.run(where, "kubectl apply -f shared/client.yaml").stdout.strip() == str(ROOT)
    assert commands.run(where, "kubectl apply -f shared/other.yaml").stdout.strip() == str(tmp_path)
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "client.yaml").touch()
    assert commands.run(where, "kubectl apply -f shared/client.yaml").stdout.strip() == str(tmp_path)
