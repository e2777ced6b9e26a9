"""Chapter 03 without a cluster: what the manifests of two profiles have in common, and the learner's answers to it."""

import json

import pytest
import urllib3

from lab_helpers.chapters.c03_install import check, compare, compare_profiles, draw_profiles, entrance, knock, profiles, side_by_side
from lab_helpers.core.errors import CheckError
from lab_helpers.kube.client import Answer
from lab_helpers.kube.commands import Output
from lab_helpers.show.checks import given, numbers
from tests.objects import Cluster


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


def test_profiles_are_drawn_with_a_dot_for_each_part(lab):
    drawn = draw_profiles(profiles(lab, ["none", "small", "large"]))
    assert repr(drawn).endswith(
        "none: nothing that runs (0 objects). small: control plane (2 objects). large: control plane, CNI (4 objects)."
    )
    assert drawn.svg.count("<circle") == 3


def test_a_comparison_is_shown_by_object_with_both_values_beside_each_field(lab):
    shown = side_by_side(compare_profiles(lab, "small", "large"))
    assert "Deployment istiod\n  replicas: 1 → 2" in repr(shown) and "(the whole object): — → ✔" in repr(shown)
    html = shown._repr_html_()
    assert "table-layout: fixed" in html and html.count("<tr>") == 1 + 3 + 3 and ">2</td>" in html


def test_somebody_answers_or_nobody_does(monkeypatch):
    monkeypatch.setattr(entrance.gateway, "fetch", lambda url, timeout: Answer(404, {}, b""))
    assert (knock("http://x/").code, knock("http://x/").stdout) == (0, "HTTP/1.1 404\n")

    def nobody(url, timeout):
        raise urllib3.exceptions.ConnectTimeoutError

    monkeypatch.setattr(entrance.gateway, "fetch", nobody)
    assert knock("http://x/").code == 7 and "nobody answers" in str(knock("http://x/"))


def told(client, planes, proxies):
    version = {
        "clientVersion": {"version": client},
        "meshVersion": [{"Info": {"version": each}} for each in planes],
        "dataPlaneVersion": [{"IstioVersion": each} for each in proxies],
    }
    return Cluster({}, lambda line: Output(line, json.dumps(version)))


def test_the_three_versions_may_differ_in_one_direction_only():
    check("03.1", told("1.31.2", ["1.31.0"], ["1.31.0", "1.30.5"]))
    check("03.1", told("1.31.0", ["1.31.0"], []))
    for lab, sentence in (
        (told("1.30.0", ["1.31.0"], []), "istioctl is 1.30.0, and the control plane 1.31.0"),
        (told("1.31.0", [], []), "no control plane"),
        (told("1.31.0", ["1.31.0"], ["1.32.0"]), "a proxy is 1.32.0, newer than its control plane"),
        (told("1.31.0", ["1.31.0"], ["1.29.4"]), "a proxy is 1.29.4, and the control plane 1.31.0"),
        (told("unknown", ["1.31.0"], []), "unknown is no version"),
    ):
        with pytest.raises(CheckError, match=sentence):
            check("03.1", lab)


@pytest.mark.parametrize("answer", ["empty", ["empty"], ("empty", "empty"), {"empty"}])
def test_an_answer_is_a_set_of_words_however_it_is_given(answer):
    assert given(answer) == {"empty"}


def test_the_chapter_has_a_check_for_each_step():
    assert numbers("03") == [f"03.{step}" for step in range(1, 9)]
