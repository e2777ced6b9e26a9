"""Chapter 03 without a cluster: what the manifests of two profiles have in common, and the learner's answers to it."""

import pytest

from lab_helpers.chapters.c03_install import check, compare, compare_profiles, profiles
from lab_helpers.core.errors import CheckError
from lab_helpers.show.checks import given, numbers


def written(kind, name, **rest):
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, **rest}


MANIFESTS = {
    "small": [written("Deployment", "istiod", spec={"replicas": 1}), written("ConfigMap", "values", data={"a": "1"})],
    "large": [
        written("Deployment", "istiod", spec={"replicas": 2}),
        written("DaemonSet", "istio-cni-node"),
        written("HorizontalPodAutoscaler", "istiod"),
        written("ConfigMap", "values", data={"a": "2"}),
    ],
    "none": [],
}


@pytest.fixture
def lab(monkeypatch):
    """A lab whose istioctl knows three profiles."""
    monkeypatch.setattr(compare, "manifest", lambda lab, options: MANIFESTS[options])


def test_profiles_are_told_by_the_workloads_that_they_install(lab):
    table = profiles(lab, ["none", "small", "large"])
    assert table["objects"].to_dict() == {"none": 0, "small": 2, "large": 4}
    assert table.loc["large", ["control plane", "ingress", "CNI"]].tolist() == ["✔", "", "✔"]
    check("03.2", table, answer="none")
    with pytest.raises(CheckError, match="small does install istiod"):
        check("03.2", table, answer={"none", "small"})


def test_two_profiles_differ_in_fields_and_in_whole_objects_but_not_in_istioctl_s_own_record(lab):
    difference = compare_profiles(lab, "small", "large")
    assert difference.to_numpy().tolist() == [
        ["Deployment istiod", "replicas", "1", "2"],
        ["DaemonSet istio-cni-node", "", "—", "✔"],
        ["HorizontalPodAutoscaler istiod", "", "—", "✔"],
    ]
    check("03.3", difference, answer=["istiod"])


@pytest.mark.parametrize("answer", ["empty", ["empty"], ("empty", "empty"), {"empty"}])
def test_an_answer_is_a_set_of_words_however_it_is_given(answer):
    assert given(answer) == {"empty"}


def test_the_chapter_has_a_check_for_each_step():
    assert numbers("03") == [f"03.{step}" for step in range(1, 9)]
