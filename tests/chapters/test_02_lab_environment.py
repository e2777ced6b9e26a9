"""Chapter 02: wrong answers in its own run."""

from pathlib import Path

import pytest

from lab_helpers.chapters.c02_lab_environment import check, follow, network
from lab_helpers.core.errors import MeshError, TrafficError
from lab_helpers.core.wait import wait_until
from tests.wrong_answers import before, fails

MINE = "my/by-container.yaml"  # beside the notebook


@before('lab.apply("02_lab_environment/01-node-reader.yaml"')
def what_is_not_there(lab):
    with pytest.raises(TrafficError, match="no ready pod 'node-reader'"):
        network(lab)
    with pytest.raises(MeshError, match="no HorizontalPodAutoscaler 'web'"):
        follow(lab, "web", pods=1)


@before('check("02.1"')
def one_sidecar_too_many(lab, answer):
    fails("02.1", lab, answer + 1, sentence="there is not room")


@before('check("02.2"')
def other_plugins(lab, plugins):
    fails("02.2", lab, "cilium-of-nobody", sentence="does not")
    for later in plugins[1:]:
        fails("02.2", lab, later, sentence="does not")


@before('lab.run("kubectl top nodes")')
def metrics_server_away(lab):
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


@before('lab.apply("02_lab_environment/03-autoscaler.yaml"')
def no_autoscaler(lab):
    fails("02.5", lab, sentence="there is no HorizontalPodAutoscaler web")


@before('lab.delete("02_lab_environment/04-load.yaml")')
def no_autoscaler_by_container(lab, up):
    fails("02.5", lab, sentence="it looks at Resource")
    fails("02.4", up, target=50, sentence="there are 3 pods still")


@before('check("02.4"')
def no_scaling(up, down, seen):
    fails("02.4", up, target=50, sentence="there are 3 pods still")
    fails("02.4", down, target=50, sentence="has not grown")
    fails("02.4", seen, target=1000, sentence="grew while use was no higher than the target")


@before('lab.apply("my/by-container.yaml")')
def another_container_and_another_number(lab, tmp_path):
    right = Path(MINE).read_text()
    for change, sentence in {
        ("container: web", "container: istio-proxy"): "it looks at the container istio-proxy",
        ("minReplicas: 2", "minReplicas: 1"): "it may go down to 1",
    }.items():
        (tmp_path / "mine.yaml").write_text(right.replace(*change))
        lab.apply(tmp_path / "mine.yaml")
        fails("02.5", lab, sentence=sentence)
    # An autoscaler that cannot measure is told apart from a slow one.
    (tmp_path / "mine.yaml").write_text(right.replace("container: web", "container: nobody"))
    lab.apply(tmp_path / "mine.yaml")
    with pytest.raises(MeshError, match="still waiting for 3 pods of web: it sees nan %.*"):
        follow(lab, "web", pods=3, deadline=8)
