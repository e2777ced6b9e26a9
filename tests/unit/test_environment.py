"""What a user's machine may be like: folders that are shut, names that lead nowhere. Each gets kubectl's answer, or a sentence."""

import os
import subprocess
import sys

import pytest

from lab_helpers.core import paths
from lab_helpers.core.errors import ManifestError
from lab_helpers.core.manifests import find
from lab_helpers.kube import commands, kubeconfig
from tests.kubeconfigs import write


@pytest.fixture
def shut(tmp_path):
    """A folder that nobody may look into, but for root."""
    folder = tmp_path / "shut"
    write(folder / ".kube" / "meshlab", "theirs")
    folder.chmod(0)
    yield folder
    folder.chmod(0o700)


def said(code: str, **environment) -> str:
    """What a script prints, and what is raised from it, that runs as the owner of the files here and without root's rights."""
    nobody = ["unshare", "--user", "--map-user=65534", "--map-group=65534"] if os.geteuid() == 0 else []
    told = f"from lab_helpers.core.errors import LabError\ntry:\n    {code}\nexcept LabError as error:\n    print(error)"
    inherited = {name: value for name, value in os.environ.items() if name != "KUBECONFIG"}
    environment = {**inherited, "PYTHONPATH": str(paths.ROOT), **{name: str(value) for name, value in environment.items()}}
    done = subprocess.run([*nobody, sys.executable, "-c", told], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


CONNECT = "from lab_helpers.lab import connect; connect({})"
CHOOSE = "from lab_helpers.lab import connection; connection._ask = lambda *_: ('v1', 'a mesh'); connection.connect({})"


@pytest.mark.parametrize(("code", "file"), [(CONNECT.format(""), "meshlab"), (CONNECT.format("'x'"), "config")], ids=["the lab", "another"])
def test_a_home_that_may_not_be_looked_into(shut, code, file):
    told = said(code, HOME=shut)
    assert f"{shut}/.kube/{file} may not be read by" in told and f"namei -l {shut}/.kube/{file}" in told


def test_a_kubeconfig_that_may_not_be_looked_for_is_none_that_is_not_there(shut, tmp_path):
    """So it is with kubectl: whoever named the file means it."""
    both = f"{write(tmp_path / 'own', 'x')}:{shut / 'config'}"
    assert f"{shut}/config may not be read by" in said(CONNECT.format("'x'"), KUBECONFIG=both)


def test_a_kubeconfig_of_ones_own_is_enough_in_a_home_that_is_shut(shut, tmp_path):
    assert "Connected to x" in said(CHOOSE.format("'x'"), HOME=shut, KUBECONFIG=write(tmp_path / "own", "x"))


def test_a_manifest_that_may_not_be_looked_for(shut):
    load = "from lab_helpers.core.manifests import load; load('{}')"
    assert f"{shut}/own.yaml cannot be read: Permission denied" in said(load.format(shut / "own.yaml"))
    assert "~/own.yaml cannot be read: Permission denied" in said(load.format("~/own.yaml"), HOME=shut)
    assert said(f"from lab_helpers.kube import commands; print(commands._is_manifest('{shut}/own.yaml'))") == "False\n"


def test_a_home_that_may_be_read_only(tmp_path):
    """Where a marked cluster's overlay is kept, when the caches are there and cannot be written any more."""
    folder = tmp_path / ".cache" / "meshlab" / "overlays"
    folder.mkdir(parents=True)
    folder.chmod(0o500)
    told = said("from lab_helpers.lab import connection; connection._file('a')", HOME=tmp_path)
    assert f"{folder}/" in told and "cannot be written: Permission denied" in told and "set HOME" in told


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("~nobody-here.yaml", "There is no file ~nobody-here.yaml"),
        ("a" * 300, "cannot be read: File name too long"),
        ("apiVersion: v1\nkind: Pod\n", "a manifest itself, not the name of one.*Write it into a file"),
    ],
    ids=["of a user who is not", "too long", "what should be in it"],
)
def test_what_cannot_be_the_name_of_a_manifest(name, sentence):
    with pytest.raises(ManifestError, match=f"(?s){sentence}"):
        find(name)


@pytest.mark.parametrize("name", ["~nobody-here/config", "a" * 300])
def test_what_cannot_be_the_path_of_a_kubeconfig(monkeypatch, name):
    monkeypatch.setenv("KUBECONFIG", name)
    with pytest.raises(kubeconfig.ClusterError, match="does not exist|File name too long"):
        kubeconfig.choose("x", kubeconfig.files())


def test_a_word_of_a_command_may_be_longer_than_any_name_of_a_file():
    assert not commands._is_manifest(f"{'a' * 300}.yaml")
