"""The line for a terminal that is shown under a change, typed into one: kubectl is given what the helper sends."""

import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from lab_helpers.core import decoding, manifests, paths
from lab_helpers.istio import apply

# It prints what it was asked, and the objects that it was given.
KUBECTL = """#!/bin/sh
echo "asked: $*"
while [ $# -gt 0 ]; do
    [ "$1" = -f ] && { echo ---; [ "$2" = - ] && cat || cat "$2"; shift; }
    shift
done
"""


@pytest.fixture
def typed(tmp_path, monkeypatch):
    """A function that types a line into a shell, and returns what kubectl was asked and the objects that it was given."""
    kubectl = tmp_path / "bin" / "kubectl"
    kubectl.parent.mkdir()
    kubectl.write_text(KUBECTL)
    kubectl.chmod(0o755)
    monkeypatch.setenv("PATH", f"{kubectl.parent}:/usr/bin:/bin")

    def type_(line: str, folder=paths.ROOT):
        done = subprocess.run(["bash", "-ec", line], capture_output=True, encoding="utf-8", cwd=folder, check=True)
        asked, _, text = done.stdout.partition("\n")
        return asked.removeprefix("asked: "), [each for each in decoding.documents(text) if each]

    return type_


def lab(namespace: str) -> SimpleNamespace:
    return SimpleNamespace(namespace=namespace)


@pytest.mark.parametrize("verb", ["apply --server-side", "diff --server-side", "delete --ignore-not-found"])
@pytest.mark.parametrize("namespace", ["default", "alice"])
@pytest.mark.parametrize("chapter", manifests.chapters())
def test_the_line_does_the_same(typed, chapter, namespace, verb):
    names = manifests.chapter_manifests(chapter)
    for given in [names, *([each] for each in names)]:
        asked, objects = typed(apply._line(lab(namespace), verb, given))
        wanted = apply.load_for(lab(namespace), given)
        assert asked.startswith(verb)
        if verb.startswith("delete"):  # it goes by their names
            objects, wanted = ([(each["kind"], each["metadata"]) for each in of] for of in (objects, wanted))
        assert objects == wanted, given


@pytest.mark.parametrize("name", ["own.yaml", "my rule.yaml", "it's.yaml", "$HOME.yaml"])
def test_a_file_may_be_called_anything(typed, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    document = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}
    (tmp_path / name).write_text(yaml.safe_dump(document))
    assert typed(apply._line(lab("alice"), "apply --server-side", [name]), tmp_path)[1] == [document]


def test_a_file_in_ones_home_is_found_there(typed, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    document = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}
    (tmp_path / "my rule.yaml").write_text(yaml.safe_dump(document))
    assert typed(apply._line(lab("alice"), "apply --server-side", ["~/my rule.yaml"]))[1] == [document]


@pytest.mark.parametrize("hosts", ['["*"]', '\n  - "*"', '\n  - "*"\n  exportTo: ["."]'])
def test_a_learners_host_is_put_in_however_a_file_has_it(typed, tmp_path, monkeypatch, hosts):
    monkeypatch.chdir(tmp_path)
    head = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a}\nspec:\n  gateways: [bookinfo-gateway]\n"
    (tmp_path / "own.yaml").write_text(f"{head}  hosts: {hosts}\n")
    [sent] = typed(apply._line(lab("alice"), "apply --server-side", ["own.yaml"]), tmp_path)[1]
    assert [sent] == apply.load_for(lab("alice"), ["own.yaml"]) and sent["spec"]["hosts"] == ["alice.lab"]


def test_several_files_of_which_one_has_a_space_in_its_name(typed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = 'apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a}\nspec: {hosts: ["*"]}\n'
    for name in ("my rule.yaml", "other.yaml"):
        Path(name).write_text(text)
    sent = typed(apply._line(lab("alice"), "apply --server-side", ["my rule.yaml", "other.yaml"]), tmp_path)[1]
    assert [each["spec"]["hosts"] for each in sent] == [["alice.lab"]] * 2
