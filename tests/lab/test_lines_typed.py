"""The lines that are shown under the helpers, typed into a terminal: the same is there afterwards."""

from __future__ import annotations

import os
import subprocess

import pytest
import yaml

from lab_helpers.core import paths
from tests.live import NAMESPACE

pytestmark = pytest.mark.lab
RULE = "12_traffic_shifting/01-subsets.yaml"


@pytest.fixture
def typed(tmp_path):
    """A function that types a line into a shell where kubectl means the lab and the test's namespace; its exit code and what it printed."""
    document = yaml.safe_load(paths.KUBECONFIG.read_text(encoding="utf-8"))
    for each in document["contexts"]:
        each["context"]["namespace"] = NAMESPACE
    (tmp_path / "config").write_text(yaml.safe_dump(document), encoding="utf-8")
    environment = {**os.environ, "KUBECONFIG": str(tmp_path / "config"), "PATH": f"{paths.BIN}:{os.environ['PATH']}", "KUBERC": "off"}

    def type_(line: str) -> tuple[int, str]:
        done = subprocess.run(["bash", "-c", line], capture_output=True, encoding="utf-8", env=environment, cwd=paths.ROOT)
        return done.returncode, done.stdout + done.stderr

    return type_


def spec(lab) -> dict:
    return yaml.safe_load(lab.run("kubectl get destinationrule reviews -o yaml").stdout)["spec"]


def test_what_a_line_does_a_helper_does_and_the_other_way_round(lab, typed):
    applied = lab.apply(RULE)
    wanted = spec(lab)
    deleted = lab.delete(RULE)
    assert typed(applied.command)[0] == 0 and spec(lab) == wanted
    assert [each.action for each in lab.apply(RULE).changes] == ["unchanged"]
    assert typed(lab.diff(RULE).command) == (0, "")
    assert typed(deleted.command)[0] == 0
    assert [each.action for each in lab.delete(RULE).changes] == ["absent"]
    assert typed(deleted.command)[0] == 0, "kubectl, too, does not mind that it has gone"
    restarted = lab.restart("details-v1")
    assert typed(restarted.command)[0] == 0 and typed("kubectl rollout status deployment details-v1 --timeout 120s")[0] == 0


def test_over_a_value_that_a_helper_has_set_kubectl_says_how(lab, typed, tmp_path):
    """What is edited in the file meanwhile is a conflict of two owners, to kubectl; the troubleshooting page has the words."""
    line = lab.apply(RULE).command
    try:
        (path,) = line.split("-f ")[1:]
        text = (paths.ROOT / path).read_text(encoding="utf-8").replace("host: reviews", "host: reviews.nowhere")
        (tmp_path / "edited.yaml").write_text(text, encoding="utf-8")
        edited = line.replace(path, str(tmp_path / "edited.yaml"))
        code, said = typed(edited)
        assert code and 'conflict with "meshlab"' in said and "--force-conflicts" in said
        assert typed(f"{edited} --force-conflicts")[0] == 0 and spec(lab)["host"] == "reviews.nowhere"
    finally:
        lab.delete(RULE)
