"""Chapter 01 on the live cluster: its checks on right and wrong answers, and what its tools say to whoever asks wrongly."""

from pathlib import Path

import pandas as pd
import pytest

from lab_helpers.chapters.c01_service_mesh import CHAPTER, attempts, check, identities, overhear
from lab_helpers.core.errors import CheckError, ManifestError, MeshError, TrafficError
from lab_helpers.lab import checkpoint

STEM = "01_service_mesh"
ROOT = Path(__file__).parents[2]
DEPLOYMENTS = ("productpage-v1", "details-v1", "reviews-v1", "reviews-v2", "reviews-v3", "ratings-v1", "client")
LOGIN = "kubectl exec deploy/client -- curl -s -o /dev/null -d username=a&passwd=tea http://productpage:9080/login"
pytestmark = pytest.mark.lab


@pytest.fixture
def unmeshed(lab):
    """Bookinfo without a proxy, as the chapter begins."""
    lab.checkpoint(STEM)
    return lab


@pytest.fixture
def meshed(lab):
    """Bookinfo with its proxies, as in the chapter's second half, and the eavesdropper."""
    checkpoint.reach(lab, "Bookinfo", CHAPTER.start)
    lab.apply(f"{STEM}/02-eavesdropper.yaml")
    return lab


def fails(number, *state, sentence, **answers):
    with pytest.raises(CheckError, match=sentence) as caught:
        check(number, *state, **answers)
    assert caught.value.do


def rule(lab, *manifests):
    """Apply rules to ratings, and have it start anew: connections that are open already live by the old rules a while."""
    lab.apply(*manifests)
    lab.restart("ratings-v1")


def test_without_a_mesh_checks_1_to_4_pass_and_fail_on_wrong_answers(unmeshed):
    lab = unmeshed
    check("01.1", lab)
    for answer, sentence in {
        ("pod", "namespace", "address", "port", "method"): "has no field for a method",
        ("pod", "port"): "more than that",
        ("colour",): "'colour' was not among the words",
    }.items():
        fails("01.2", lab, answer=set(answer), sentence=sentence)

    lab.apply(f"{STEM}/02-eavesdropper.yaml")
    heard = overhear(lab, LOGIN)
    check("01.3", heard, answer="tea")
    fails("01.3", heard, answer="coffee", sentence="'coffee' is not what was sent")
    fails("01.3", heard.iloc[:0], answer="tea", sentence="no packet was overheard")
    fails("01.3", heard[~heard["text"].str.contains("passwd")], answer="tea", sentence="shows a password")

    assert lab.page().status == 200
    counted = lab.calls()
    check("01.4", counted, answer=0)
    fails("01.4", counted, answer=1, sentence="nobody has counted 1")
    fails("01.4", counted.iloc[:0], answer=0, sentence="not even the gateway")

    lab.run("kubectl scale deployment ratings-v1 --replicas=0")
    lab.run("kubectl wait --for=delete pod -l app=ratings --timeout=60s")
    fails("01.1", lab, sentence="got (0|503) for GET /ratings/0")


def test_whoever_asks_wrongly_is_told(unmeshed):
    for callers, requests, sentence in (
        (["ghost"], ["GET /"], "no ready pod 'ghost'"),
        (["client"], ["/ratings/0"], "'/ratings/0' is not a request"),
        (["client"], ["GET ratings"], "'GET ratings' is not a request"),
    ):
        with pytest.raises(TrafficError, match=sentence):
            attempts(unmeshed, callers, requests)
    with pytest.raises(TrafficError, match="Nobody eavesdrops"):
        overhear(unmeshed, LOGIN)
    with pytest.raises(ManifestError, match="eavesdroper"):
        unmeshed.apply(f"{STEM}/02-eavesdroper.yaml")


def test_the_eavesdropper_hears_what_the_lab_s_pods_say_and_in_order(unmeshed):
    unmeshed.apply(f"{STEM}/02-eavesdropper.yaml")
    lines = [f"kubectl exec deploy/plain-client -- curl -s http://details:9080/details/{number}" for number in range(5)]
    heard = overhear(unmeshed, *lines)
    asked = heard[heard["text"].str.startswith("GET")]
    assert [text.split()[1] for text in asked["text"]] == [f"/details/{number}" for number in range(5)]
    assert set(asked["source"]) == {"plain-client-v1"} and set(asked["destination"]) == {"details"}
    assert isinstance(heard, pd.DataFrame) and heard["legible"].all()


def test_with_a_mesh_checks_1_and_4_to_6_fail_until_the_rules_are_right(meshed, tmp_path):
    lab = meshed
    fails("01.1", lab, sentence="has a sidecar")
    pages = [lab.page() for _ in range(30)]
    assert {page.status for page in pages} == {200}
    heard, proven, counted = overhear(lab, LOGIN), identities(lab), lab.calls()
    fails("01.4", counted, answer=0, sentence="has counted its calls")
    fails("01.5", lab, heard, proven, counted, sentence="reviews got 200 for POST /ratings/99, and should get 403")

    rule(lab, f"{STEM}/03-ratings-for-reviews.yaml")
    check("01.5", lab, heard, proven, counted)
    fails("01.5", lab, heard.iloc[:0], proven, counted, sentence="no packet was overheard")
    plain = overhear(lab, LOGIN.replace("deploy/client", "deploy/plain-client"))
    fails("01.5", lab, plain, proven, counted, sentence="plain-client-v1 spoke in plain text to productpage")
    nameless = proven.assign(identity=proven["identity"].where(proven["pod"] != "details-v1", ""))
    fails("01.5", lab, heard, nameless, counted, sentence="details-v1 has no certificate")
    fails("01.5", lab, heard, proven, counted[counted["destination"] != "ratings-v1"], sentence="no proxy has counted a call from reviews")

    fails("01.6", lab, sentence="client got 403 for GET /ratings/0, and should get 200")
    manifest = ROOT / "manifests" / STEM / "04-client-reads-one-book.yaml"
    (tmp_path / "wide.yaml").write_text(manifest.read_text().replace("/ratings/0", "/ratings/*"))
    rule(lab, str(tmp_path / "wide.yaml"))
    fails("01.6", lab, sentence="client got 200 for GET /ratings/1, and should get 403")
    rule(lab, str(manifest))
    check("01.6", lab)


def test_the_checkpoint_takes_the_proxies_away_to_the_last_and_the_next_one_brings_them_back(meshed, monkeypatch):
    [slow] = meshed.run("kubectl get pods -l app=ratings -o name").stdout.split()
    meshed.run(f"""kubectl patch {slow} -p '{{"metadata": {{"finalizers": ["course.test/slow"]}}}}'""")
    monkeypatch.setattr(checkpoint, "ENDED", 3)
    try:
        with pytest.raises(MeshError, match=f"{slow.removeprefix('pod/')} is still there"):
            meshed.checkpoint(STEM)
    finally:
        meshed.run(f"""kubectl patch {slow} -p '{{"metadata": {{"finalizers": null}}}}'""")
    meshed.checkpoint(STEM)
    assert identities(meshed)["identity"].eq("").all()
    assert "istio-injection" not in meshed.run(f"kubectl get namespace {meshed.namespace} -o json").stdout
    checkpoint.reach(meshed, "Bookinfo", CHAPTER.start)
    with_proxy = identities(meshed).query("identity != ''")["service account"]
    assert set(with_proxy) == {"client", *(f"bookinfo-{each}" for each in ("productpage", "details", "reviews", "ratings"))}
