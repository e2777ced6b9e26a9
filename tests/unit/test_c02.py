"""Chapter 02 without a cluster: nodes as a table, and what is made of an autoscaler's status."""

import re
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from lab_helpers.chapters.c02_lab_environment import autoscaler, checks, cluster, kubelet, plot_scaling, scalers_of_profile
from lab_helpers.core.errors import CheckError, LabError
from lab_helpers.kube.client import Answer
from lab_helpers.kube.kinds import AUTOSCALER, NODE, POD
from lab_helpers.node import build
from lab_helpers.show.checks import check, numbers
from tests.objects import Cluster, named, pod


def timeline(*rows):
    """Rows of (seconds, utilization, wanted, pods) as `follow` returns them."""
    start = pd.Timestamp("2026-01-01", tz="UTC")
    return pd.DataFrame(
        [(start + pd.Timedelta(seconds=second), *rest) for second, *rest in rows],
        columns=["time", "utilization", "wanted", "pods"],
    )


UP_AND_DOWN = timeline((0, float("nan"), 0, 1), (5, 4.0, 1, 1), (15, 210.0, 3, 1), (17, 210.0, 3, 3), (40, 5.0, 1, 3), (41, 5.0, 1, 1))


def test_the_drawing_takes_the_colour_of_the_page_and_says_what_it_shows():
    picture = plot_scaling(UP_AND_DOWN, 50)
    assert "currentColor" in picture.svg and "<script" not in picture.svg and 'href="http' not in picture.svg
    assert len(picture.caption) > 50 and picture.caption in picture._repr_html_()
    assert re.search(r"<svg [^>]*max-width: 100%", picture.svg)


def test_scaling_is_told_in_numbers():
    assert str(plot_scaling(UP_AND_DOWN, 50)) == "Autoscaling over 41 s: highest use 210 % at a target of 50 %; from 1 pods to 3, then 1."


def test_an_autoscaler_that_has_measured_nothing_is_not_drawn():
    with pytest.raises(LabError, match="nothing to draw"):
        plot_scaling(UP_AND_DOWN.iloc[:1], 50)


def test_check_4_judges_what_the_autoscaler_did(capsys):
    check("02.4", UP_AND_DOWN, target=50)
    assert "at 210 % it went up, to 3 pods; at 5 % it was down to 1" in capsys.readouterr().out
    for sentence, seen in {
        "the number of pods has not grown": UP_AND_DOWN.iloc[:2],
        "there are 3 pods still": UP_AND_DOWN.iloc[:4],
        "it grew while use was no higher than the target": UP_AND_DOWN.assign(utilization=40.0),
        "it shrank while use was above the target": UP_AND_DOWN.assign(utilization=140.0),
    }.items():
        with pytest.raises(CheckError, match=sentence):
            check("02.4", seen, target=50)


def a_node(name="one", version="v1.36.3", cpu="3800m", **spec):
    return named(
        name,
        spec=spec,
        status={
            "nodeInfo": {
                "kubeletVersion": version,
                "osImage": "Debian",
                "containerRuntimeVersion": "containerd://2",
                "architecture": "amd64",
            },
            "allocatable": {"cpu": cpu, "memory": "16777216Ki", "pods": "110"},
            "addresses": [{"type": "Hostname", "address": name}, {"type": "InternalIP", "address": "192.0.2.1"}],
        },
    )


def test_a_node_is_told_in_cpus_and_gib():
    node = a_node(taints=[{"key": "x", "effect": "PreferNoSchedule"}])
    tainted = {**node, "metadata": {"name": "two"}, "spec": {"taints": [{"key": "x", "effect": "NoSchedule"}]}}
    table = cluster.nodes(Cluster({NODE: [node, tainted]})).set_index("node")
    assert table.loc["one", ["address", "cpus", "memory", "pods", "schedulable"]].tolist() == ["192.0.2.1", 3.8, 16.0, 110, True]
    assert not table.loc["two", "schedulable"]


def test_check_1_counts_the_sidecars_of_each_node_and_knows_which_kubernetes_is_too_old(capsys):
    three = [a_node("a"), a_node("b", "v1.32.0"), a_node("c", cpu="950m")]
    check("02.1", Cluster({NODE: three}), 38 + 38 + 9)
    assert "3 nodes with 8.55 CPUs and 48 GiB for pods, so with up to 85 sidecars; all on v1.32.0 or newer" in capsys.readouterr().out
    with pytest.raises(CheckError, match="there is not room for 86 of them"):
        check("02.1", Cluster({NODE: three}), 86)
    with pytest.raises(CheckError, match="old runs v1.31.9"):
        check("02.1", Cluster({NODE: [a_node("old", "v1.31.9")]}), 38)
    minimum = tomllib.loads((Path(build.__file__).parent / "versions.toml").read_text())["istio"]["minimum_kubernetes"]
    assert ".".join(map(str, checks.OLDEST)) == minimum


def test_what_the_kubelets_say_or_hide():
    answers = {
        "/api/v1/nodes/a/proxy/configz": Answer(200, {}, b'{"kubeletconfig": {"serverTLSBootstrap": true}}'),
        "/api/v1/nodes/b/proxy/configz": Answer(403, {}, b"no"),
        "/apis/metrics.k8s.io/v1beta1/nodes": Answer(
            200, {}, b'{"items": [{"metadata": {"name": "a"}, "window": "10s", "usage": {"cpu": "1n", "memory": "2Ki"}}]}'
        ),
    }
    lab = Cluster({NODE: [a_node("a"), a_node("b")]}, raw=answers.get)
    assert kubelet.kubelets(lab).to_numpy().tolist() == [["a", True, False], ["b", "not shown", "not shown"]]
    assert kubelet.usage(lab).to_numpy().tolist() == [["a", "10s", "1n", "2Ki"]]
    answers["/apis/metrics.k8s.io/v1beta1/nodes"] = Answer(404, {}, b"")
    with pytest.raises(LabError, match=r"Nobody answers for metrics.k8s.io \(404\)"):
        kubelet.usage(lab)


def test_whose_certificate_a_kubelet_shows(monkeypatch):
    said = iter([("401 0", 0), ("000 18", 60), ("000 20", 60), ("000 0", 7)])
    asked = []

    def execute(client, pod, container, command):
        asked.append((pod, command[-1]))
        stdout, code = next(said)
        return SimpleNamespace(stdout=stdout, code=code)

    monkeypatch.setattr(kubelet.channels, "execute", execute)
    lab = Cluster({NODE: [a_node(name) for name in "abcd"], POD: [pod("node-reader-1-a", app="node-reader")]})
    assert kubelet.certificates(lab).to_numpy().tolist() == [
        ["a", 401, "by the cluster"], ["b", 0, "by itself"], ["c", 0, "by somebody else"], ["d", 0, "no answer"],
    ]  # fmt: skip
    assert set(asked) == {("node-reader-1-a", "https://192.0.2.1:10250/healthz")}


def test_the_autoscalers_of_a_profile_are_read_from_its_manifest():
    cpu = "{resource: {name: cpu, target: {averageUtilization: 80}}}"
    spec = f"{{scaleTargetRef: {{name: istiod}}, minReplicas: 1, maxReplicas: 5, metrics: [{cpu}]}}"
    written = f"kind: Service\n---\nkind: HorizontalPodAutoscaler\nspec: {spec}\n---\n"
    lab = Cluster({}, run=lambda line: SimpleNamespace(stdout=written if "profile=default" in line else ""))
    assert scalers_of_profile(lab, "default").to_numpy().tolist() == [["istiod", 1, 5, "cpu", "80 %"]]
    assert scalers_of_profile(lab, "minimal").empty


def scaler(metrics=None, active=None, **spec):
    conditions = [{"type": "AbleToScale", "status": "True"}, *([{"type": "ScalingActive", **active}] if active else [])]
    return named("web", spec=spec, status={"desiredReplicas": 2, "currentReplicas": 2, "currentMetrics": metrics, "conditions": conditions})


def measured(kind, **current):
    return {"type": kind, kind[0].lower() + kind[1:]: {"name": "cpu", "container": "web", "current": current}}


@pytest.mark.parametrize(
    ("metrics", "use"),
    [
        (None, "nan"),
        ([measured("Resource", averageValue="4m", averageUtilization=20)], "20.0"),
        ([measured("ContainerResource", averageUtilization=0)], "0.0"),
        ([{"type": ""}, measured("Resource", averageValue="4m")], "nan"),
    ],
)
def test_what_an_autoscaler_has_measured(metrics, use):
    assert str(autoscaler.use(scaler(metrics))) == use


def test_an_autoscaler_is_followed_to_its_end_or_says_why_it_does_not_get_there():
    there = [pod("web-1-a", app="web"), pod("web-1-b", app="web"), pod("load-1-a", app="load")]
    idle = {"status": "False", "message": "no metrics returned"}
    seen = autoscaler.follow(Cluster({AUTOSCALER: [scaler([measured("Resource", averageUtilization=70)])], POD: there}), "web", 2)
    assert seen[["utilization", "wanted", "pods"]].to_numpy().tolist() == [[70, 2, 2]]
    stale = scaler([measured("Resource", averageUtilization=70)])
    stale["status"]["currentReplicas"] = 1  # what it saw in its last round
    with pytest.raises(LabError, match="2 pods of web: it sees 70 %, wants 2, and 2 are ready"):
        autoscaler.follow(Cluster({AUTOSCALER: [stale], POD: there}), "web", 2, deadline=0)
    with pytest.raises(LabError, match="2 pods of web: it sees nan %, wants 2, and 2 are ready. no metrics returned"):
        autoscaler.follow(Cluster({AUTOSCALER: [scaler(active=idle)], POD: there}), "web", 2, deadline=0)


def test_check_5_of_the_autoscaler_names_what_is_wrong_with_it(capsys):
    right = {"type": "ContainerResource", "containerResource": {"container": "web"}}
    other = {"type": "ContainerResource", "containerResource": {"container": "istio-proxy"}}
    active = {"status": "True", "message": "fine"}
    now = [measured("ContainerResource", averageUtilization=5)]
    for sentence, found in {
        "there is no HorizontalPodAutoscaler web": [],
        "it looks at Resource": [scaler(metrics=now, active=active) | {"spec": {"metrics": [{"type": "Resource"}]}}],
        "it looks at nothing": [scaler()],
        "it looks at the container istio-proxy": [scaler() | {"spec": {"metrics": [other]}}],
        "it may go down to 1": [scaler() | {"spec": {"metrics": [right]}}],
        "it cannot act: it has not looked yet": [scaler() | {"spec": {"metrics": [right], "minReplicas": 2}}],
        "it cannot act: no": [scaler(active={"status": "False", "message": "no"}) | {"spec": {"metrics": [right], "minReplicas": 2}}],
        "it has not measured anything": [scaler(active=active) | {"spec": {"metrics": [right], "minReplicas": 2}}],
    }.items():
        with pytest.raises(CheckError, match=sentence):
            check("02.5", Cluster({AUTOSCALER: found}))
    check("02.5", Cluster({AUTOSCALER: [scaler(now, active) | {"spec": {"metrics": [right], "minReplicas": 2}}]}))
    assert "at 5 %" in capsys.readouterr().out


def test_the_chapter_has_a_check_for_each_step():
    assert numbers("02") == [f"02.{step}" for step in range(1, 6)]
