"""What would hold for the whole mesh is asked for twice where others have pods in it, and they are told; without a cluster."""

import pytest

from lab_helpers.core.errors import ClusterError
from lab_helpers.istio import apply as istio
from lab_helpers.kube.apply import Outcome
from lab_helpers.kube.kinds import POD
from lab_helpers.lab import whole_mesh
from tests.objects import Cluster, pod

PROXIED = {"containers": [{"name": "istio-proxy"}]}
FOR_ALL = "apiVersion: security.istio.io/v1\nkind: {}\nmetadata: {{name: default, namespace: istio-system}}\nspec: {{}}\n"


class Shared(Cluster):
    """A cluster on which pods stand in several namespaces, and which remembers what was created."""

    def __init__(self, *where, spec=PROXIED):
        pods = [pod(f"{namespace}-1", spec=spec) for namespace in where]
        for each, namespace in zip(pods, where, strict=True):
            each["metadata"]["namespace"] = namespace
        super().__init__({POD: pods})
        self.created = []

    def create(self, document):
        self.created.append(document)


@pytest.fixture
def applied(monkeypatch):
    """What has been applied."""
    done = []
    monkeypatch.setattr(whole_mesh.istio, "load_for", lambda lab, names: [each for name in names for each in istio.load(name)])
    monkeypatch.setattr(whole_mesh.istio, "apply", lambda lab, *manifests: done.append(manifests) or Outcome("", []))
    return done


@pytest.fixture
def for_all(tmp_path):
    def written(kind="PeerAuthentication"):
        file = tmp_path / f"{kind}.yaml"
        file.write_text(FOR_ALL.format(kind))
        return str(file)

    return written


@pytest.mark.parametrize("kind", whole_mesh.GOVERN)
def test_where_others_are_it_is_asked_for_twice_and_they_are_told(applied, for_all, kind):
    lab = Shared("default", "istio-system", "default-neighbour", "bob", "ann", "bob")
    with pytest.raises(ClusterError, match=f"{kind} default in istio-system holds for the whole mesh.* in ann, bob") as told:
        whole_mesh.apply(lab, for_all(kind))
    assert "whole_mesh=True" in told.value.do and not applied and not lab.created
    whole_mesh.apply(lab, for_all(kind), whole_mesh=True)
    assert len(applied) == 1 and [each["metadata"]["namespace"] for each in lab.created] == ["ann", "bob"]
    assert all(each["kind"] == "Event" and "in namespace default" in each["message"] for each in lab.created)


@pytest.mark.parametrize("lab", [Shared("default", "istio-system"), Shared("default", "ann", spec={})], ids=["alone", "without sidecars"])
def test_where_nobody_else_has_pods_in_the_mesh_nothing_is_asked(applied, for_all, lab):
    whole_mesh.apply(lab, for_all())
    assert len(applied) == 1 and not lab.created


def test_what_is_for_a_namespace_or_governs_nobody_is_not_asked_about(applied, for_all, tmp_path):
    lab = Shared("default", "ann")
    whole_mesh.apply(lab, for_all("Telemetry"))
    own = tmp_path / "own.yaml"
    own.write_text(FOR_ALL.format("PeerAuthentication").replace(", namespace: istio-system", ""))
    whole_mesh.apply(lab, own)
    assert len(applied) == 2 and not lab.created
