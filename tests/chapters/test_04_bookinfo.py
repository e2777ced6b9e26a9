"""Chapter 04 on the live mesh: its checks on right and wrong answers."""

from pathlib import Path

import pytest

from lab_helpers.chapters.c04_bookinfo import check
from lab_helpers.core.errors import CheckError
from lab_helpers.lab import checkpoint
from lab_helpers.lab.chapters import BOOKINFO, CLIENTS

STEM = "04_bookinfo"
ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.lab


@pytest.fixture
def bookinfo(lab):
    """Bookinfo and its two clients as the chapter leaves them."""
    checkpoint.reach(lab, "Bookinfo", [*BOOKINFO, *CLIENTS])
    return lab


def fails(number, *state, sentence):
    with pytest.raises(CheckError, match=sentence) as caught:
        check(number, *state)
    assert caught.value.do


def test_check_1_fails_when_a_piece_is_missing(bookinfo):
    fails_on = {
        "kubectl delete service ratings": "there is no Service ratings",
        """kubectl patch service details -p '{"spec": {"selector": {"app": "detials"}}}'""": "selects pods labelled app=detials",
        "kubectl scale deployment reviews-v2 --replicas=0": "has no pod with label version=v2",
    }
    for command, sentence in fails_on.items():
        bookinfo.run(command)
        if "scale" in command:
            bookinfo.run("kubectl wait --for=delete pod -l app=reviews,version=v2 --timeout=50s")
        fails("04.1", bookinfo, sentence=sentence)
        bookinfo.apply(*BOOKINFO)
        check("04.1", bookinfo)


def test_check_1_fails_on_a_pod_without_sidecar(bookinfo):
    bookinfo.run(f"kubectl label namespace {bookinfo.namespace} istio-injection-")
    try:
        bookinfo.run("kubectl delete pod -l app=details --wait=true")
        bookinfo.run("kubectl rollout status deployment details-v1")
        fails("04.1", bookinfo, sentence="details-v1-.* has no sidecar")
    finally:
        checkpoint.reach(bookinfo, "Bookinfo", [*BOOKINFO, *CLIENTS])
    check("04.1", bookinfo)


def test_check_3_fails_before_anybody_has_called(bookinfo):
    fails("04.3", bookinfo.calls().iloc[:0], "reviews-v2", sentence="no proxy has counted a call")


def test_check_4_fails_when_the_mesh_is_busy_and_the_counts_are_not_thirds(bookinfo):
    fails("04.4", bookinfo.observe("reviews", n=1000, parallel=16), sentence="contradicts")


def test_check_5_fails_without_a_rule_on_a_wrong_host_and_on_a_wrong_policy(bookinfo, tmp_path):
    rule = "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: mine}\nspec: "
    fails("04.5", bookinfo, sentence="there is no DestinationRule")
    for spec, sentence in {
        "{host: ratings, trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}}}": "no DestinationRule is for the host reviews",
        "{host: reviews}": "asks for nothing",
        "{host: reviews, trafficPolicy: {loadBalancer: {simple: RANDOM}}}": "asks for RANDOM",
    }.items():
        path = tmp_path / "mine.yaml"
        path.write_text(rule + spec + "\n")
        bookinfo.apply(str(path))
        fails("04.5", bookinfo, sentence=sentence)
    bookinfo.delete(str(path))
