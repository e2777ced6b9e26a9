"""The command line: wrong calls get one sentence and exit code 1 or 2, never a traceback."""

import pytest
from click.testing import CliRunner

from lab_helpers.cli import main
from lab_helpers.node import elsewhere
from lab_helpers.node.install import istio
from lab_helpers.core import paths


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["up", "--context", "x", "--only", "kubernetes"], "--context names another cluster"),
        (["up", "--overlay", __file__], "--overlay goes with --context"),
        (["up", "--only", "everything"], "'everything' is not one of"),
        (["run", "99_nothing"], "There is no chapter '99_nothing'"),
        (["logs", "nobody"], "There is no log of 'nobody'"),
    ],
)
def test_a_wrong_call_gets_a_sentence(arguments, sentence):
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code in (1, 2) and sentence in done.output and "Traceback" not in done.output


def test_no_kubeconfig_without_a_lab(monkeypatch, tmp_path):
    monkeypatch.setattr(paths, "KUBECONFIG", tmp_path / "none")
    done = CliRunner().invoke(main, ["kubeconfig"])
    assert done.exit_code == 1 and "meshlab up" in done.output


def test_a_cluster_too_old_for_this_istio(monkeypatch):
    assert istio.supported("1.36.3") and istio.supported("1.31.0") and not istio.supported("1.30.9")
    monkeypatch.setattr(elsewhere, "kubectl", lambda *a, **k: '{"serverVersion": {"gitVersion": "v1.29.1"}}')
    with pytest.raises(elsewhere.ClusterError, match="runs Kubernetes v1.29.1; Istio .* needs 1.31 or later"):
        elsewhere._require({}, "talos")
