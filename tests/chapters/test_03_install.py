"""Chapter 03 on the live cluster: where it was broken off, what it leaves behind, and its checks on wrong answers."""

import stat
from pathlib import Path

import pandas as pd
import pytest

from lab_helpers.chapters.c03_install import CHAPTER, check, compare_profiles, connect, keep, profiles, restore
from lab_helpers.core.errors import CheckError, ClusterError, LabError
from lab_helpers.course import run as course
from lab_helpers.istio import configuration, installation, istiod
from lab_helpers.kube.kinds import CONFIG_MAP, Kind
from lab_helpers.show import checks

STEM = "03_install"
ROOT = Path(__file__).parents[2]
GATEWAY = "kubectl get service istio-ingressgateway -n istio-system -o jsonpath={.spec.ports}"
MESH_WIDE = "kubectl get istio-io -n istio-system -o name"
PURGE = "istioctl uninstall --purge --skip-confirmation"
ANSWERED = pd.DataFrame({"status": [200] * 5})
pytestmark = [pytest.mark.lab, pytest.mark.alone(CHAPTER.alone)]


@pytest.fixture
def installed(lab):
    """Istio as the course has it, whatever was done to it, before and after."""
    installation.ensure(lab)
    yield lab
    installation.ensure(lab)


def fails(number, *state, sentence, **answers):
    with pytest.raises(CheckError, match=sentence) as caught:
        check(number, *state, **answers)
    assert caught.value.do


def ca(lab) -> str:
    return lab.client.get(Kind("v1", "Secret"), "istio-ca-secret", "istio-system")["metadata"]["uid"]


def test_the_chapter_where_an_earlier_run_was_killed_leaves_everything_as_it_was(installed, run_chapter, differences):
    installed.checkpoint(STEM)
    key, way = ca(installed), installed.run(GATEWAY).stdout
    mesh_wide = installed.run(MESH_WIDE).stdout
    pods = {each for each in map(str, istiod.proxies(installed.client)) if not each.endswith(".istio-system")}
    keep(installed)
    installed.run(PURGE)
    with pytest.raises(ClusterError, match="no mesh") as caught:
        connect(namespace=installed.namespace, quiet=True)
    assert "03_install" in caught.value.do and "meshlab up" in caught.value.do
    without = connect(namespace=installed.namespace, quiet=True, istio=False)
    with pytest.raises(ClusterError, match="no mesh"):
        without.checkpoint("04_bookinfo")

    executed, passed = run_chapter(STEM)
    assert passed == checks.numbers("03") and differences(executed, course.find(STEM)) == []
    assert installation.problems(installed) == [] and configuration.kept(installed) is None
    assert pods <= {str(each) for each in istiod.proxies(installed.client)}, "a pod of an application was made anew"
    assert (ca(installed), installed.run(GATEWAY).stdout) == (key, way)
    assert installed.run(MESH_WIDE).stdout == mesh_wide and "bookinfo" in installed.run("kubectl get virtualservice").stdout


def test_check_1_fails_on_an_istioctl_of_another_year(lab, tmp_path, monkeypatch):
    check("03.1", lab)
    old = tmp_path / "istioctl"
    said = '{"clientVersion": {"version": "1.22.1"}, "meshVersion": [{"Info": {"version": "1.31.0"}}]}'
    old.write_text(f"#!/bin/sh\necho '{said}'\n")
    old.chmod(old.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(lab.client, "tools", tmp_path)
    fails("03.1", lab, sentence="istioctl is 1.22.1, and the control plane 1.31.0")
    old.write_text('#!/bin/sh\necho \'{"clientVersion": {"version": "1.31.0"}}\'\n')
    fails("03.1", lab, sentence="there is no control plane")


def test_check_2_fails_on_each_wrong_set_of_profiles(lab):
    table = profiles(lab, ["default", "empty", "remote"])
    fails("03.2", table, answer="empty", sentence="another profile")
    fails("03.2", table, answer={"empty", "default"}, sentence="default does install istiod")
    fails("03.2", table, answer={"production"}, sentence="there is no profile production")


def test_check_3_fails_on_each_wrong_set_of_autoscalers(lab):
    difference = compare_profiles(lab, "default", "demo")
    fails("03.3", difference, answer="istiod", sentence="one more autoscaler")
    fails("03.3", difference, answer={"istiod", "istio-egressgateway"}, sentence="istio-egressgateway has no autoscaler")


def test_check_4_fails_while_istio_is_there_and_when_a_request_failed(lab, monkeypatch):
    fails("03.4", lab, ANSWERED, sentence="istiod still runs")
    monkeypatch.setattr(istiod, "runs", lambda _: False)
    fails("03.4", lab, ANSWERED, sentence="CustomResourceDefinition .* is left")
    monkeypatch.setattr(lab.client, "list", lambda *_, **__: [])
    fails("03.4", lab, pd.DataFrame({"status": [200, 503]}), sentence="1 of 2 requests failed")
    fails("03.4", lab, ANSWERED.iloc[:0], sentence="0 of 0 requests failed")


def test_check_5_fails_on_another_root_and_on_none(lab):
    one, other = ("-----BEGIN CERTIFICATE-----\n" + letter for letter in "AB")
    fails("03.5", lab, one, other, sentence="another one now")
    fails("03.5", lab, "", "", sentence="is no certificate")


def test_checks_6_to_8_fail_on_another_installation(installed):
    installed.checkpoint(STEM)
    check("03.8", installed)
    fails("03.6", installed, f"-f {STEM}/01-demo-with-json-logs.yaml", sentence="with other settings")
    fails("03.7", installed, sentence="with other settings")
    fails("03.6", installed, "--set profile=default", sentence="there is no HorizontalPodAutoscaler")
    keep(installed)
    fails("03.8", installed, sentence="still in its ConfigMap")
    restore(installed)
    installed.delete("04_bookinfo/01-productpage.yaml")
    fails("03.8", installed, sentence="the page answers 50")


def test_what_was_kept_comes_back_and_what_has_changed_since_stays(installed, tmp_path):
    installed.checkpoint(STEM)
    keep(installed)
    installed.run("kubectl delete gateway.networking.istio.io bookinfo-gateway")
    installed.run("kubectl label virtualservice bookinfo since=then")
    outcome = restore(installed)
    assert [change.what for change in outcome.changes] == ["Gateway bookinfo-gateway"]
    assert "since=then" in installed.run("kubectl get virtualservice bookinfo --show-labels").stdout
    assert restore(installed).changes == []


def test_no_copy_is_made_of_what_nobody_may_read(installed):
    keep(installed)
    stored = installed.client.get(CONFIG_MAP, configuration.KEPT, configuration.WHERE)["data"]["objects"]
    restore(installed)
    assert "PRIVATE KEY" not in stored and '"kind": "Secret"' not in stored


def test_what_istioctl_refuses_is_passed_on(lab):
    with pytest.raises(LabError, match='profile "production" not found'):
        installation.manifest(lab, "production")
