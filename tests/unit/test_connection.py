"""Which cluster `connect` chooses, and what it says when there is none: kubeconfigs on disk, no cluster."""

import os
import re
import socket

import pytest
import yaml

from lab_helpers.core import paths
from lab_helpers.core.errors import ClusterError
from lab_helpers.lab import connect, connection
from lab_helpers.lab.lab import Lab
from tests.web import serving


def kubeconfig(path, *contexts, server="https://127.0.0.1:1", current=True, authority="YQ=="):
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "clusters": [{"name": name, "cluster": {"server": server, "certificate-authority-data": authority}} for name in contexts],
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
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "")  # so that it is as before, after the test
    monkeypatch.setattr(paths, "HOME", tmp_path)
    monkeypatch.setattr(paths, "KUBECONFIG", tmp_path / ".kube" / "meshlab")
    return tmp_path


@pytest.fixture
def chosen(monkeypatch):
    """A function that takes what `connect` takes, and returns the lab that it would ask."""
    monkeypatch.setattr(connection, "_ask", lambda lab, istio: ("v1", "a mesh"))

    def choose(*arguments, **more) -> Lab:
        return connect(*arguments, quiet=True, **more)

    return choose


def refused(*arguments, **more) -> str:
    with pytest.raises(ClusterError) as caught:
        connect(*arguments, **more)
    assert caught.value.do
    return str(caught.value)


def test_without_a_context_it_is_the_embedded_lab_whatever_the_environment_says(home, monkeypatch, chosen):
    kubeconfig(home / ".kube" / "config", "own")
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(home / "elsewhere", "production")))
    assert "The embedded lab is not up" in refused() and "meshlab up" in refused()
    kubeconfig(home / ".kube" / "meshlab", "meshlab")
    assert chosen().context == "meshlab"


def test_a_context_is_looked_for_where_kubectl_looks_and_in_the_labs_own_file(home, monkeypatch, chosen):
    kubeconfig(home / ".kube" / "meshlab", "meshlab")
    kubeconfig(home / ".kube" / "config", "own", "cloud", server="https://127.0.0.1:2")
    assert chosen("cloud").context == "cloud" and chosen("meshlab").context == "meshlab"
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(home / "elsewhere", "production")))
    assert "There are: production, meshlab." in refused("cloud")


def test_the_embedded_lab_is_known_by_its_server_and_authority_not_by_a_path(home, monkeypatch, chosen):
    own = kubeconfig(home / ".kube" / "meshlab", "meshlab")
    expected = (chosen().overlay, chosen().client.tools)
    assert all(expected)
    link, other = home / "link", kubeconfig(home / "other", "other", server="https://127.0.0.1:2")
    link.symlink_to(own)
    monkeypatch.chdir(home)
    for variable in (str(own), str(link), ".kube/meshlab", f"{home}/.kube/../.kube/meshlab", f"{other}:{own}"):
        monkeypatch.setenv("KUBECONFIG", variable)
        lab = chosen("meshlab")
        assert (lab.overlay, lab.client.tools) == expected, variable
    kubeconfig(home / "stranger", "meshlab", authority="Yg==")
    monkeypatch.setenv("KUBECONFIG", str(home / "stranger"))
    assert chosen("meshlab").overlay == "" and chosen("meshlab").client.tools == "", "the same name and address, and another cluster"


def test_to_the_embedded_lab_leads_no_proxy_and_elsewhere_the_environment_counts(home, monkeypatch, chosen):
    monkeypatch.setenv("NO_PROXY", "localhost,.example.com")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    kubeconfig(home / ".kube" / "config", "own", server="https://192.0.2.9:6443")
    chosen("own")
    assert os.environ["NO_PROXY"] == "localhost,.example.com"
    kubeconfig(home / ".kube" / "meshlab", "meshlab", server="https://192.0.2.1:6443")
    chosen(), chosen()
    assert os.environ["NO_PROXY"] == "localhost,.example.com,192.0.2.1"


def test_a_cluster_that_is_down_says_what_starts_it(home):
    with socket.socket() as held:  # bound and not listening: connections are refused, and nobody else takes the port
        held.bind(("127.0.0.1", 0))
        document = yaml.safe_load(kubeconfig(home / ".kube" / "meshlab", "meshlab").read_text())
        document["clusters"][0]["cluster"] = {"server": f"https://127.0.0.1:{held.getsockname()[1]}", "insecure-skip-tls-verify": True}
        (home / ".kube" / "meshlab").write_text(yaml.safe_dump(document))
        assert "does not answer (" in refused() and "meshlab up" in refused()
        assert "Connection refused" in refused()


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (401, "does not accept the kubeconfig's credentials (401).*fetch new ones"),
        (403, "does not let your account look (403): as the cluster says.*rights of a learner"),
        (404, "has no such page.*address in the kubeconfig"),
        (429, "cannot answer now (429): as the cluster says.*Wait a moment"),
        (503, "cannot answer now (503): as the cluster says.*Wait a moment"),
        (418, "answered 418: as the cluster says"),
    ],
)
def test_what_a_cluster_answers_instead_of_looking_is_told_by_its_status(home, status, sentence):
    """All of them were credentials that may have expired."""
    with serving(lambda request: (status, {"kind": "Status", "message": "as the cluster says"})) as (address, _):
        kubeconfig(home / ".kube" / "config", "own", server=address)
        assert re.search(sentence.replace("(", r"\(").replace(")", r"\)"), refused("own"), re.DOTALL)


@pytest.mark.parametrize("namespace", ["Default", "a_b", "-a", "", "x" * 64])
def test_what_cannot_be_a_namespace_is_refused_before_anything_is_asked(namespace):
    assert "cannot be a namespace" in refused(namespace=namespace)


@pytest.mark.parametrize("namespace", ["istio-system", "kube-system", "kube-public", "istio-ingress", "metallb-system"])
def test_the_clusters_own_namespaces_are_not_a_learners(namespace):
    assert "belongs to the cluster itself" in refused(namespace=namespace)
