"""What `lab.run` makes of a program's answer: exit codes that are expected, colours, files that lie among the manifests."""

import socket
import time
from types import SimpleNamespace

import pytest

from lab_helpers.core import paths
from lab_helpers.core.errors import CommandError
from lab_helpers.core.manifests import FOLDER
from lab_helpers.kube import commands
from lab_helpers.kube.commands import Output


class Marked:
    """Notes whether the course's mark was asked for."""

    asked = False

    def __call__(self) -> None:
        self.asked = True


def client(tools="") -> SimpleNamespace:
    return SimpleNamespace(tools=tools, context=SimpleNamespace(name="c", variable="none"), namespace="n", require_mark=Marked())


@pytest.fixture
def lab(tmp_path):
    """A client whose kubectl is a shell script that a test writes."""
    kubectl = tmp_path / "kubectl"

    def does(script: str):
        kubectl.write_text(f"#!/bin/sh\n{script}\n")
        kubectl.chmod(0o755)
        return client(tmp_path)

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


def test_what_a_pod_prints_need_not_be_text(lab):
    assert commands.run(lab(r"printf 'a\377b'"), "kubectl exec a -- cat b").stdout == "a\ufffdb"


def test_a_note_on_stderr_shows_only_where_nothing_else_does():
    assert Output("kubectl x", "\n", "none found\n").shown == "\nnone found\n"
    assert Output("kubectl x", "pod\n", "a warning\n").shown == "pod\n"


def test_a_manifest_is_found_from_anywhere_and_a_file_at_hand_comes_first(lab, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    where = lab("pwd")
    assert commands.run(where, "kubectl apply -f shared/client.yaml").stdout.strip() == str(FOLDER)
    assert commands.run(where, "kubectl apply -f shared/other.yaml").stdout.strip() == str(tmp_path)
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "client.yaml").touch()
    assert commands.run(where, "kubectl apply -f shared/client.yaml").stdout.strip() == str(tmp_path)


def test_files_of_the_course_and_of_a_learner_are_found_in_one_line_from_any_folder(lab, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text("mine")
    told = commands.run(lab('cat "$7" "$9"'), "kubectl apply -f mine.yaml -f shared/plain-client.yaml").stdout
    assert told == "mine" + (FOLDER / "shared" / "plain-client.yaml").read_text()


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("", "does not begin with kubectl, istioctl, curl"),
        ("rm -rf /", "does not begin with"),
        ("kubectl get pods | grep x", r"uses '\|'.*\.stdout is a str"),
        ("kubectl get pods > x", "uses '>'"),
        ("curl x && curl y", "uses '&&'"),
        ('kubectl get "pods', "cannot be read as a command"),
    ],
)
def test_a_line_that_cannot_be_run_says_why(line, sentence):
    with pytest.raises(CommandError, match=f"(?s){sentence}"):
        commands.run(client(), line)


def test_a_command_that_fails_passes_its_error_on():
    with pytest.raises(CommandError, match="(?s)exit code 2.*--no-such-option"):
        commands.run(client(), "curl --no-such-option")


def test_a_command_that_hangs_is_ended_at_its_deadline():
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, and never answers
        start = time.monotonic()
        with pytest.raises(CommandError, match="did not end within 0.2 s"):
            commands.run(client(), f"curl http://127.0.0.1:{silent.getsockname()[1]}", deadline=0.2)
    assert time.monotonic() - start < 5


def test_a_program_that_is_not_there_says_where_it_comes_from(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(CommandError, match="(?s)istioctl is not installed.*meshlab up"):
        commands.find("istioctl")


def test_the_labs_own_program_comes_before_the_one_on_path(tmp_path):
    own = tmp_path / "kubectl"
    own.write_text("#!/bin/sh\n")
    own.chmod(0o755)
    assert commands.find("kubectl", tmp_path) == str(own)


@pytest.mark.parametrize(
    ("line", "changes"),
    [
        ("kubectl get pods", False),
        ("kubectl logs deploy/client", False),
        ("istioctl proxy-config routes deploy/client", False),
        ("curl http://127.0.0.1:1", False),
        ("kubectl delete pods --all", True),
        ("kubectl exec deploy/client -- rm -rf /", True),
        ("kubectl -n default get pods", True),  # where the verb is not plain to see, it counts as one that changes
        ("istioctl uninstall --purge -y", True),
        ("istioctl install -y", True),
    ],
)
def test_what_may_change_something_asks_for_the_courses_mark(tmp_path, line, changes):
    for name in ("kubectl", "istioctl", "curl"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    asked = client(tmp_path)
    commands.run(asked, line)
    assert asked.require_mark.asked is changes


def test_a_users_own_settings_do_not_make_another_line_of_it(tmp_path, monkeypatch):
    """A kuberc may have kubectl ask before it deletes, or print something else; so may the others' own files and variables."""
    for name in commands.KNOWN:
        (tmp_path / name).write_text('#!/bin/sh\necho "$@"\nenv | grep -E "^(KUBE|ISTIO)" | sort\n')
        (tmp_path / name).chmod(0o755)
    for name in ("KUBECTL_EXTERNAL_DIFF", "KUBECTL_COMMAND_HEADERS", "KUBERC", "ISTIOCTL_ISTIONAMESPACE", "KUBECONFIG"):
        monkeypatch.setenv(name, "own")
    for name in ("KUBERNETES_PORT", "ISTIOCONFIG", "KUBECACHEDIR"):
        monkeypatch.delenv(name, raising=False)
    ran = {name: commands.run(client(tmp_path), f"{name} get x").stdout.splitlines() for name in commands.KNOWN}
    at = "--context c --namespace n"
    options = {"kubectl": f"{at} get x", "istioctl": f"{at} --istioNamespace istio-system get x", "curl": "--disable get x"}
    assert ran == {name: [line, "KUBECONFIG=none", "KUBERC=off"] for name, line in options.items()}


def test_in_a_desk_its_copies_come_first_and_files_beside_the_courses_manifests_are_found_too(lab, tmp_path, monkeypatch):
    copy = tmp_path / "manifests" / "shared"
    copy.mkdir(parents=True)
    (copy / "client.yaml").write_text("mine")
    monkeypatch.chdir(tmp_path)
    told = commands.run(lab('cat "$7"'), "kubectl apply -f shared/client.yaml")
    assert told.stdout == told.manifests[0].text == "mine"
    assert commands.run(lab("pwd"), "kubectl apply -f shared/plain-client.yaml").stdout.strip() == str(FOLDER)
    installed = commands.run(lab('cat "$7"'), "kubectl apply -f ../lab_helpers/node/install/overlay/istio.yaml")
    assert installed.stdout == paths.OVERLAY.read_text() and installed.manifests == []
