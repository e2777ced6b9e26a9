"""Chapter 02 without a cluster: nodes as a table, and what is made of an autoscaler's status."""

import re

import pandas as pd
import pytest

from lab_helpers.chapters.c02_lab_environment import autoscaler, cluster, plot_scaling
from lab_helpers.core.errors import CheckError, LabError
from lab_helpers.kube.kinds import AUTOSCALER, NODE, POD
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


def test_a_node_is_told_in_processors_and_gib():
    node = named(
        "one",
        spec={"taints": [{"key": "x", "effect": "PreferNoSchedule"}]},
        status={
            "nodeInfo": {
                "kubeletVersion": "v1.36.3",
                "osImage": "Debian",
                "containerRuntimeVersion": "containerd://2",
                "architecture": "amd64",
            },
            "allocatable": {"cpu": "3800m", "memory": "16777216Ki", "pods": "110"},
            "addresses": [{"type": "Hostname", "address": "one"}, {"type": "InternalIP", "address": "192.0.2.1"}],
        },
    )
    tainted = {**node, "metadata": {"name": "two"}, "spec": {"taints": [{"key": "x", "effect": "NoSchedule"}]}}
    table = cluster.nodes(Cluster({NODE: [node, tainted]})).set_index("node")
    assert table.loc["one", ["address", "cpus", "memory", "pods", "schedulable"]].tolist() == ["192.0.2.1", 3.8, 16.0, 110, True]
    assert not table.loc["two", "schedulable"]


def scaler(metrics=None, active=None, **spec):
    conditions = [{"type": "AbleToScale", "status": "True"}, *([{"type": "ScalingActive", **active}] if active else [])]
    return named("web", spec=spec, status={"desiredReplicas": 2, "currentMetrics": metrics, "conditions": conditions})


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
