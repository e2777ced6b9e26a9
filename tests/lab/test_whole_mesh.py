"""What a chapter has left to the whole mesh goes with the next checkpoint; what is the lab's own, or somebody else's, stays."""

import pytest
import yaml

from lab_helpers.core.errors import MeshError
from lab_helpers.istio import installation
from lab_helpers.kube import mark
from lab_helpers.kube.kinds import CONFIG_MAP
from lab_helpers.lab import connect
from tests import wreckage
from tests.live import kubectl

pytestmark = [pytest.mark.lab, pytest.mark.alone("objects and settings of the whole mesh")]
STEM = "12_traffic_shifting"
OTHERS = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "learner-two", "labels": {"istio-injection": "enabled"}}}
IN_ROOT = ("get", "istio-io", "--namespace", "istio-system", "--output", "name")


@pytest.fixture(scope="module")
def lab():
    found = connect(quiet=True)
    found.checkpoint(STEM)
    return found


def policy(name: str, **labels) -> str:
    metadata = {"name": name, "namespace": "istio-system", "labels": labels}
    return yaml.safe_dump({"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy", "metadata": metadata, "spec": {}})


def for_everybody(lab, path) -> None:
    """Apply a policy for the whole mesh where another learner is at work: it is asked for twice."""
    kubectl("apply", "--filename", "-", stdin=yaml.safe_dump(OTHERS))
    try:
        with pytest.raises(MeshError, match=r"governs every namespace, and you are not alone on this cluster: .*learner-two") as once:
            lab.apply(path)
        assert "leave metadata.namespace out" in once.value.do and "nobody" not in kubectl(*IN_ROOT)
        assert "of the whole mesh, the gateways themselves" in lab.apply(path).warnings[0]
    finally:
        kubectl("delete", "namespace", "learner-two", timeout=180)


def test_what_a_chapter_made_for_the_whole_mesh_goes_and_what_is_the_lab_s_own_stays(lab, tmp_path):
    before = kubectl(*IN_ROOT)
    assert "envoyfilter" in before and "telemetry" in before
    wreckage.everything_strict(lab)
    (tmp_path / "deny.yaml").write_text(policy("nobody"))
    assert lab.diff(str(tmp_path / "deny.yaml")).changes[0].action == "created"
    for_everybody(lab, tmp_path / "deny.yaml")
    assert lab.apply(str(tmp_path / "deny.yaml")).changes[0].action == "unchanged"
    assert lab.page().status == 403
    done = {(change.what, change.action) for change in lab.checkpoint(STEM).changes}
    assert {("AuthorizationPolicy nobody", "deleted"), ("PeerAuthentication everything-strict", "deleted")} <= done
    assert kubectl(*IN_ROOT) == before and lab.page().status == 200


@pytest.mark.parametrize("labels", [{}, {"app.kubernetes.io/managed-by": "meshlab"}], ids=["as it is", "with the course's label"])
def test_what_somebody_else_made_for_the_whole_mesh_stays_and_is_named(lab, labels):
    kubectl("apply", "--filename", "-", stdin=policy("theirs", **labels))
    try:
        reached = lab.checkpoint(STEM)
        assert reached.changes == [] and reached.warnings == ["AuthorizationPolicy theirs in istio-system governs this namespace too"]
        assert "theirs" in kubectl(*IN_ROOT)
    finally:
        kubectl("delete", "authorizationpolicy", "theirs", "--namespace", "istio-system")


@pytest.mark.parametrize("way", [wreckage.outbound_closed, wreckage.another_profile], ids=lambda way: way.__name__)
def test_settings_and_profile_are_restored(lab, way):
    before = installation.digest(lab)
    way(lab)
    assert installation.digest(lab) != before
    assert "Istio (demo profile)" in [change.what for change in lab.checkpoint(STEM).changes]
    assert installation.digest(lab) == before and installation.problems(lab) == []
    assert lab.checkpoint(STEM).changes == []


def test_an_istio_that_the_course_has_not_installed_is_left_as_it_is(lab):
    noted = mark.noted_installation(lab.client)
    before = lab.client.get(CONFIG_MAP, "istio", "istio-system")["data"]
    mark.note_installation(lab.client, "")
    wreckage.outbound_closed(lab)
    try:
        assert lab.checkpoint(STEM).changes == []
        assert "REGISTRY_ONLY" in lab.client.get(CONFIG_MAP, "istio", "istio-system")["data"]["mesh"]
    finally:
        lab.client.patch(CONFIG_MAP, "istio", {"data": before}, "istio-system")
        mark.note_installation(lab.client, noted)
