"""Chapter 02 on the live cluster: its checks on right and wrong answers."""

from pathlib import Path

import pandas as pd
import pytest

from lab_helpers.chapters.c02_lab_environment import CHAPTER, check, follow, network, nodes
from lab_helpers.core.errors import CheckError, MeshError, TrafficError
from lab_helpers.core.wait import wait_until

STEM = "02_lab_environment"
ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.lab, pytest.mark.alone(CHAPTER.alone)]


@pytest.fixture
def started(lab):
    """The chapter's own pods, and nothing that scales them."""
    lab.checkpoint(STEM)
    lab.apply(f"{STEM}/01-node-reader.yaml", f"{STEM}/02-web.yaml")
    return lab


def fails(number, *state, sentence, **answers):
    with pytest.raises(CheckError, match=sentence) as caught:
        check(number, *state, **answers)
    assert caught.value.do


def test_checks_1_and_2_fail_on_wrong_answers(started):
    table, plugins = nodes(started), network(started)
    total = float(table["cpus"].sum())
    check("02.1", started, answer=total)
    fails("02.1", started, answer=total + 1, sentence="do not have")
    check("02.2", started, answer=plugins[0])
    fails("02.2", started, answer="cilium-of-nobody", sentence="does not")
    for later in plugins[1:]:
        fails("02.2", started, answer=later, sentence="does not")


def test_check_3_fails_while_metrics_server_is_away(lab):
    check("02.3", lab)
    lab.run("kubectl scale deployment metrics-server -n kube-system --replicas=0")
    try:
        lab.run("kubectl wait apiservice v1beta1.metrics.k8s.io --for=condition=Available=false --timeout=60s")
        fails("02.3", lab, sentence="metrics.k8s.io is not available")
    finally:
        lab.run("kubectl scale deployment metrics-server -n kube-system --replicas=1")
        lab.run("kubectl rollout status deployment metrics-server -n kube-system --timeout=60s")
        lab.run("kubectl wait apiservice v1beta1.metrics.k8s.io --for=condition=Available=true --timeout=60s")
    measured = "kubectl get --raw /apis/metrics.k8s.io/v1beta1/nodes"
    wait_until(lambda: '"usage"' in lab.run(measured).stdout, "metrics-server's first measurement", 60)
    check("02.3", lab)


def test_check_4_fails_when_nothing_grew_or_nothing_shrank(started):
    started.apply(f"{STEM}/03-autoscaler.yaml", f"{STEM}/04-load.yaml")
    up = follow(started, "web", pods=3)
    started.delete(f"{STEM}/04-load.yaml")
    fails("02.4", up, target=50, sentence="there are 3 pods still")
    down = follow(started, "web", pods=1)
    fails("02.4", down, target=50, sentence="has not grown")
    whole = pd.concat([up, down], ignore_index=True)
    fails("02.4", whole, target=1000, sentence="grew while use was no higher than the target")
    check("02.4", whole, target=50)


def test_check_5_fails_on_the_wrong_metric_container_and_number(started, tmp_path):
    fails("02.5", started, sentence="there is no HorizontalPodAutoscaler web")
    started.apply(f"{STEM}/03-autoscaler.yaml")
    fails("02.5", started, sentence="it looks at Resource")
    right = (ROOT / "manifests" / STEM / "05-by-container.yaml").read_text()
    for change, sentence in {
        ("container: web", "container: istio-proxy"): "it looks at the container istio-proxy",
        ("minReplicas: 2", "minReplicas: 1"): "it may go down to 1",
    }.items():
        (tmp_path / "mine.yaml").write_text(right.replace(*change))
        started.apply(str(tmp_path / "mine.yaml"))
        fails("02.5", started, sentence=sentence)
    started.apply(f"{STEM}/05-by-container.yaml")
    follow(started, "web", pods=2)
    check("02.5", started)


def test_what_is_not_there_is_named(lab):
    lab.checkpoint(STEM)
    with pytest.raises(TrafficError, match="no ready pod 'node-reader'"):
        network(lab)
    with pytest.raises(MeshError, match="no HorizontalPodAutoscaler 'web'"):
        follow(lab, "web", pods=1)


def test_an_autoscaler_that_cannot_measure_is_told_apart_from_a_slow_one(started, tmp_path):
    text = (ROOT / "manifests" / STEM / "05-by-container.yaml").read_text().replace("container: web", "container: nobody")
    (tmp_path / "mine.yaml").write_text(text)
    started.apply(str(tmp_path / "mine.yaml"))
    with pytest.raises(MeshError, match="still waiting for 3 pods of web: it sees nan %.*"):
        follow(started, "web", pods=3, deadline=8)
