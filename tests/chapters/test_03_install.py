"""Chapter 03: its run, where an earlier one was killed; wrong answers in that run; what is kept while Istio is away."""

import random
import stat

import pandas as pd
import pytest

from lab_helpers.chapters.c03_install import CHAPTER, connect, keep, restore
from lab_helpers.core.errors import ClusterError, LabError
from lab_helpers.core.wait import wait_until
from lab_helpers.course import run as course
from lab_helpers.istio import configuration, installation, istiod, proxies
from lab_helpers.kube.kinds import CONFIG_MAP, Kind
from lab_helpers.show import checks
from tests import wreckage
from tests.wrong_answers import before, fails

STEM = "03_install"
GATEWAY = "kubectl get service istio-ingressgateway -n istio-system -o jsonpath={.spec.ports}"
MESH_WIDE = "kubectl get istio-io -n istio-system -o name"
PURGE = "istioctl uninstall --purge --skip-confirmation"
ANSWERED = pd.DataFrame({"status": [200] * 5})
alone = pytest.mark.alone(CHAPTER.alone)


@before('check("03.1"')
def an_istioctl_of_another_year(lab, tmp_path):
    old, tools = tmp_path / "istioctl", lab.client.tools
    said = '{"clientVersion": {"version": "1.22.1"}, "meshVersion": [{"Info": {"version": "1.31.0"}}]}'
    old.write_text(f"#!/bin/sh\necho '{said}'\n")
    old.chmod(old.stat().st_mode | stat.S_IXUSR)
    lab.client.tools = tmp_path
    fails("03.1", lab, sentence="istioctl is 1.22.1, and the control plane 1.31.0")
    old.write_text('#!/bin/sh\necho \'{"clientVersion": {"version": "1.31.0"}}\'\n')
    fails("03.1", lab, sentence="there is no control plane")
    lab.client.tools = tools


@before('check("03.2"')
def other_sets_of_profiles(table):
    fails("03.2", table, answer="empty", sentence="another profile")
    fails("03.2", table, answer={"empty", "default"}, sentence="default does install istiod")
    fails("03.2", table, answer={"production"}, sentence="there is no profile production")


@before('check("03.3"')
def other_sets_of_autoscalers(difference):
    fails("03.3", difference, answer="istiod", sentence="one more autoscaler")
    fails("03.3", difference, answer={"istiod", "istio-egressgateway"}, sentence="istio-egressgateway has no autoscaler")


@before("--replicas=0")
def istio_is_there_and_what_it_keeps_is_kept(lab):
    stored = lab.client.get(CONFIG_MAP, configuration.KEPT, configuration.SAFE)["data"]["objects"]
    assert "PRIVATE KEY" not in stored and '"kind": "Secret"' not in stored
    fails("03.4", lab, ANSWERED, sentence="istiod still runs")
    runs, istiod.runs = istiod.runs, lambda _: False
    fails("03.4", lab, ANSWERED, sentence="CustomResourceDefinition .* is left")
    istiod.runs = runs
    with pytest.raises(LabError, match='profile "production" not found'):
        installation.manifest(lab, "production")


@before('check("03.4"')
def requests_that_failed(lab):
    fails("03.4", lab, pd.DataFrame({"status": [200, 503]}), sentence="1 of 2 requests failed")
    fails("03.4", lab, ANSWERED.iloc[:0], sentence="0 of 0 requests failed")


@before("now = lab.run(certificate)")
def another_root_and_none(lab):
    one, other = ("-----BEGIN CERTIFICATE-----\n" + letter for letter in "AB")
    fails("03.5", lab, one, other, sentence="another one now")
    fails("03.5", lab, "", "", sentence="is no certificate")


@before("restore(lab)")
def nothing_is_restored_yet(lab):
    fails("03.8", lab, sentence="productpage did not answer")


@before('lab.page("/productpage")')
def other_installations(lab):
    fails("03.6", lab, f"-f {STEM}/01-demo-with-json-logs.yaml", sentence="with other settings")
    fails("03.7", lab, sentence="with other settings")
    fails("03.6", lab, "--set profile=default", sentence="there is no HorizontalPodAutoscaler")
    keep(lab)
    fails("03.8", lab, sentence="still in its ConfigMap")
    # What was kept comes back, and what has changed since stays.
    lab.run("kubectl delete gateway.networking.istio.io bookinfo-gateway")
    lab.run("kubectl label virtualservice bookinfo since=then")
    assert [change.what for change in restore(lab).changes] == ["Gateway bookinfo-gateway"]
    assert "since=then" in lab.run("kubectl get virtualservice bookinfo --show-labels").stdout
    lab.run("kubectl label virtualservice bookinfo since-")
    assert restore(lab).changes == []
    lab.run("kubectl delete service productpage")
    wait_until(lambda: lab.page().status != 200, "the gateway to learn that the service is gone", 30)
    fails("03.8", lab, sentence="the page answers 50")
    lab.apply("04_bookinfo/01-productpage.yaml")
    wait_until(lambda: lab.page().status == 200, "the page", 30)


@pytest.fixture
def installed(lab):
    """Istio as the course has it, whatever was done to it, before and after."""
    installation.ensure(lab)
    yield lab
    installation.ensure(lab)


def ca(lab) -> str:
    return lab.client.get(Kind("v1", "Secret"), "istio-ca-secret", "istio-system")["metadata"]["uid"]


@pytest.mark.lab
@alone
def test_the_chapter_from_a_wreck_and_where_an_earlier_run_was_killed_leaves_everything_as_it_was(installed, run_chapter, differences):
    done = wreckage.wreck(installed, random.Random(STEM), whole_mesh=True)
    print(f"{STEM} from: {', '.join(done)}")
    installed.checkpoint(STEM)
    key, way = ca(installed), installed.run(GATEWAY).stdout
    mesh_wide = installed.run(MESH_WIDE).stdout
    # Ready ones: what the wreck had made too much of may still be on its way out.
    pods = {each for each in proxies.meshed(installed) if not each.endswith(".istio-system")}
    assert len(pods) >= 7
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
