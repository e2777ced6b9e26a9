"""Chapter 01: wrong answers in its own run, what its tools say to whoever asks wrongly, and its checkpoint."""

from pathlib import Path

import pytest

from lab_helpers.chapters.c01_service_mesh import CHAPTER, accepted, attempts, check, identities, overhear
from lab_helpers.core.errors import ManifestError, MeshError, TrafficError
from lab_helpers.core.wait import wait_until
from lab_helpers.lab import checkpoint
from tests.wrong_answers import before, fails

STEM = "01_service_mesh"
MINE = "my/client-reads-one-book.yaml"  # beside the notebook
ASK = "kubectl exec deploy/plain-client -- curl -s http://details:9080/details/{}"


# Without a mesh.


@before('check("01.1"')
def service_without_pods(lab):
    def answered() -> bool:
        return bool((attempts(lab, ["plain-client"], ["GET /ratings/0"]) == 200).all(axis=None))

    lab.run("""kubectl patch service ratings -p '{"spec": {"selector": {"app": "nobody"}}}'""")
    wait_until(lambda: not answered(), "nobody to stand behind ratings", 20)
    fails("01.1", lab, sentence="got (0|503) for GET /ratings/0")
    lab.run("""kubectl patch service ratings -p '{"spec": {"selector": {"app": "ratings"}}}'""")
    wait_until(answered, "ratings to answer again", 20)


@before('check("01.2"')
def fields_of_a_network_policy(lab):
    for answer, sentence in {
        ("pod", "namespace", "address", "port", "method"): "has no field for a method",
        ("pod", "port"): "more than that",
        ("colour",): "'colour' was not among the words",
    }.items():
        fails("01.2", lab, answer=set(answer), sentence=sentence)


@before('lab.apply("01_service_mesh/02-eavesdropper.yaml")')
def who_asks_wrongly(lab):
    for callers, requests, sentence in (
        (["ghost"], ["GET /"], "no ready pod 'ghost'"),
        (["client"], ["/ratings/0"], "'/ratings/0' is not a request"),
        (["client"], ["GET ratings"], "'GET ratings' is not a request"),
    ):
        with pytest.raises(TrafficError, match=sentence):
            attempts(lab, callers, requests)
    with pytest.raises(TrafficError, match="Nobody eavesdrops"):
        overhear(lab, ASK.format(0))
    with pytest.raises(TrafficError, match="no ready pod 'client' with a proxy"):
        accepted(lab, "client", "details")
    with pytest.raises(ManifestError, match="eavesdroper"):
        lab.apply(f"{STEM}/02-eavesdroper.yaml")


@before('check("01.3"')
def what_was_overheard(lab, heard):
    with pytest.raises(TrafficError, match="no ready pod 'ghost'"):
        overhear(lab, ASK.format(0), at="ghost")
    fails("01.3", heard, answer="coffee", sentence="'coffee' is not what was sent")
    fails("01.3", heard.iloc[:0], answer="earl-grey", sentence="no packet was overheard")
    fails("01.3", heard[~heard["text"].str.contains("passwd")], answer="earl-grey", sentence="shows a password")
    said = overhear(lab, *map(ASK.format, range(5)), at="details")
    asked = said[said["text"].str.startswith("GET")]
    assert [text.split()[1] for text in asked["text"]] == [f"/details/{number}" for number in range(5)], "not in order"
    assert set(asked["source"]) == {"plain-client-v1"} and set(asked["destination"]) == {"details"} and said["legible"].all()


@before('check("01.4"')
def calls_that_nobody_counted(counted):
    fails("01.4", counted, answer=1, sentence="nobody has counted 1")
    fails("01.4", counted.iloc[:0], answer=0, sentence="not even the gateway")


# With one.


@before('lab.apply("01_service_mesh/03-ratings-for-reviews.yaml")')
def before_there_are_rules(lab, heard, counted):
    fails("01.1", lab, sentence="has a sidecar")
    fails("01.5", lab, heard, identities(lab), counted, sentence="reviews got 200 for POST /ratings/99, and should get 403")
    lab.restart("ratings-v1")  # connections that are open already live by the old rules a while


@before('check("01.5"')
def the_three_questions(lab, heard, proven, counted, login):
    with pytest.raises(TrafficError, match="The proxy of client knows no service 'ghost'"):
        accepted(lab, "client", "ghost")
    fails("01.4", counted, answer=0, sentence="has counted its calls")
    fails("01.5", lab, heard.iloc[:0], proven, counted, sentence="no packet was overheard")
    plain = overhear(lab, login.replace("deploy/client", "deploy/plain-client"))
    fails("01.5", lab, plain, proven, counted, sentence="plain-client-v1 spoke in plain text to productpage")
    nameless = proven.assign(identity=proven["identity"].where(proven["pod"] != "details-v1", ""))
    fails("01.5", lab, heard, nameless, counted, sentence="details-v1 has no certificate")
    fails("01.5", lab, heard, proven, counted[counted["destination"] != "ratings-v1"], sentence="no proxy has counted a call from reviews")


@before('lab.apply("my/client-reads-one-book.yaml")')
def rules_that_are_too_narrow_and_too_wide(lab):
    fails("01.6", lab, sentence="client got 403 for GET /ratings/0, and should get 200")
    wide = Path(MINE).read_text().replace("/ratings/0", "/ratings/*")
    lab.run("kubectl apply -f -", stdin=wide)
    lab.restart("ratings-v1")  # as above
    fails("01.6", lab, sentence="client got 200 for GET /ratings/1, and should get 403")
    lab.run("kubectl delete -f -", stdin=wide)
    lab.restart("ratings-v1")


@pytest.mark.lab
def test_the_checkpoint_takes_the_proxies_away_to_the_last_and_the_next_one_brings_them_back(lab, monkeypatch):
    checkpoint.reach(lab, "Bookinfo", CHAPTER.start)
    [slow] = lab.run("kubectl get pods -l app=ratings -o name").stdout.split()
    lab.run(f"""kubectl patch {slow} -p '{{"metadata": {{"finalizers": ["course.test/slow"]}}}}'""")
    monkeypatch.setattr(checkpoint, "ENDED", 3)
    try:
        with pytest.raises(MeshError, match=f"{slow.removeprefix('pod/')} is still there"):
            lab.checkpoint(STEM)
    finally:
        lab.run(f"""kubectl patch {slow} -p '{{"metadata": {{"finalizers": null}}}}'""")
    lab.checkpoint(STEM)
    assert identities(lab)["identity"].eq("").all()
    assert "istio-injection" not in lab.run(f"kubectl get namespace {lab.namespace} -o json").stdout
    check("01.1", lab)
    checkpoint.reach(lab, "Bookinfo", CHAPTER.start)
    with_proxy = identities(lab).query("identity != ''")["service account"]
    assert set(with_proxy) == {"client", *(f"bookinfo-{each}" for each in ("productpage", "details", "reviews", "ratings"))}
