"""Which cluster `connect` chooses, and what it says when there is none: kubeconfigs on disk, no cluster."""

import socket

import pytest
import yaml

from lab_helpers.core.errors import ClusterError
from lab_helpers.core import paths
from lab_helpers.lab.connection import connect


def kubeconfig(path, *contexts, server="https://127.0.0.1:1", current=True):
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": server, "insecure-skip-tls-verify": True}} for name in contexts],
        "users": [{"name": name, "user": {"token": "t"}} for name in contexts],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}} for name in contexts],
    }
    if current and contexts:
        document["current-context"] = contexts[0]
    path.write_text(yaml.safe_dump(document))
    return path


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(paths, "KUBECONFIG", tmp_path / ".kube" / "meshlab")
    return tmp_path


def refused(**how) -> str:
    with pytest.raises(ClusterError) as caught:
        connect(**how)
    return str(caught.value)


def test_no_cluster_at_all_names_the_command():
    assert "no kubeconfig was found" in refused() and "meshlab up" in refused()


def test_the_variable_wins_over_the_embedded_lab_which_wins_over_the_users_own(home, monkeypatch):
    kubeconfig(home / ".kube" / "config", "own")
    assert "context own at" in refused()
    kubeconfig(home / ".kube" / "meshlab", "embedded")
    assert "context embedded at" in refused()
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(home / "elsewhere", "chosen")))
    assert "context chosen at" in refused()


def test_a_context_is_found_in_whichever_file_has_it(home, monkeypatch):
    kubeconfig(home / ".kube" / "meshlab", "embedded")
    kubeconfig(home / ".kube" / "config", "own", "cloud")
    assert "context cloud at" in refused(context="cloud")
    first, second = kubeconfig(home / "a", "x"), kubeconfig(home / "b", "y")
    monkeypatch.setenv("KUBECONFIG", f"{first}:{second}")
    assert "context y at" in refused(context="y")


def test_an_unknown_context_lists_the_known(home):
    kubeconfig(home / ".kube" / "meshlab", "embedded")
    kubeconfig(home / ".kube" / "config", "own", "cloud")
    assert "no kubeconfig has a context 'clod'" in refused(context="clod").lower()
    assert "cloud, embedded, own" in refused(context="clod")


def test_no_current_context_asks_for_one(home):
    kubeconfig(home / ".kube" / "config", "a", "b", current=False)
    assert "no current context" in refused() and "Known: a, b" in refused()


def test_a_variable_that_names_nothing_says_so(home, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", str(home / "gone"))
    assert "gone, which does not exist" in refused()


@pytest.mark.parametrize("text", ["{", "just text", "apiVersion: v1\nkind: Config\n", "clusters: 3\ncontexts: []\n"])
def test_a_file_that_is_no_kubeconfig_says_so(home, text):
    (home / ".kube").mkdir()
    (home / ".kube" / "config").write_text(text)
    assert "is not a kubeconfig" in refused()


def test_a_context_whose_cluster_is_missing_says_so(home):
    path = kubeconfig(home / ".kube" / "config", "own")
    path.write_text(path.read_text().replace("cluster: own", "cluster: other"))
    assert "is not complete" in refused()


def test_a_cluster_that_is_down_says_what_starts_it(home):
    with socket.socket() as held:  # bound and not listening: connections are refused, and nobody else takes the port
        held.bind(("127.0.0.1", 0))
        kubeconfig(home / ".kube" / "meshlab", "embedded", server=f"https://127.0.0.1:{held.getsockname()[1]}")
        assert "does not answer" in refused() and "meshlab up" in refused()


@pytest.mark.parametrize("namespace", ["Default", "a_b", "-a", "", "x" * 64])
def test_what_cannot_be_a_namespace_is_refused_before_anything_is_asked(namespace):
    assert "cannot be a namespace" in refused(namespace=namespace)
