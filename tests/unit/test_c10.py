"""Chapter 10 without a mesh: curl's print is read, certificates are what they should be, a gateway of one's own stays so."""

import base64
import re
from datetime import UTC, datetime

import pytest
from cryptography import x509

from lab_helpers.chapters.c10_gateway import faults, neighbour
from lab_helpers.chapters.c10_gateway.certificates import Authority, hand, keep
from lab_helpers.core.errors import TrafficError
from lab_helpers.core.manifests import load
from lab_helpers.istio import apply, gateway, told
from lab_helpers.kube.kinds import SECRET
from lab_helpers.lab.asking.curl import Answer, curl
from tests.objects import Cluster

STEM = "10_gateway"
FILES = ("02-proxy", "04-gateway", "08-any-host", "09-names", "11-only-ours", "12-tls", "13-mutual", "14-broken", "15-second")


# What curl has printed.


def test_the_last_answer_counts_and_headers_end_where_the_body_begins():
    printed = "HTTP/1.1 301 Moved\nlocation: https://a/\n\nHTTP/2 404 \nServer: istio-envoy\nx: y: z\n\nlocation: body\n"
    answer = Answer("curl", printed)
    assert answer.status == 404 and answer.headers == {"server": "istio-envoy", "x": "y: z"}


def test_without_an_answer_there_is_neither_status_nor_header():
    answer = Answer("curl", "", "curl: (7) Failed to connect", 7)
    assert answer.status == 0 and answer.headers == {} and "Failed to connect" in answer.shown


def test_curl_says_what_is_wrong_with_its_options_and_where_it_cannot_run():
    with pytest.raises(TrafficError, match="cannot be read as options"):
        curl(Cluster({}), "-H 'Host: a")
    with pytest.raises(TrafficError, match="no ready pod 'plain-client'"):
        curl(Cluster({}), "-I http://own-ingress/")
    with pytest.raises(TrafficError, match="no ready pod 'plain-client'"):
        hand(Cluster({}), trusted=Authority("A"))


# Certificates.


def parsed(pem):
    return x509.load_pem_x509_certificate(pem)


def test_a_certificate_is_for_its_names_and_in_time_or_over():
    authority = Authority("A")
    good, over = (parsed(authority.issue("a.example", "b.example", expired=each)[0]) for each in (False, True))
    names = good.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)
    assert names == ["a.example", "b.example"]
    assert good.not_valid_before_utc < datetime.now(UTC) < good.not_valid_after_utc and over.not_valid_after_utc < datetime.now(UTC)
    good.verify_directly_issued_by(parsed(authority.certificate))
    with pytest.raises(ValueError, match="."):
        good.verify_directly_issued_by(parsed(Authority("B").certificate))
    assert repr(authority) == "Authority('A')" and "PRIVATE" not in authority.certificate.decode()


class Keeping(Cluster):
    """A cluster that remembers what is applied."""

    def __init__(self):
        super().__init__({})
        self.kept = []

    def apply(self, document, **_):
        self.kept.append(document)
        return document


def test_a_secret_holds_what_a_gateway_looks_for_and_nothing_of_it_is_shown():
    lab, authority = Keeping(), Authority("A")
    issued = authority.issue("a.example")
    told_of = [str(keep(lab, "own-a", issued)), str(keep(lab, "own-b", issued, clients=authority, namespace="elsewhere"))]
    plain, mutual = lab.kept
    assert plain["metadata"] == {"name": "own-a", "namespace": "default"} and set(plain["data"]) == {"tls.crt", "tls.key"}
    assert mutual["metadata"]["namespace"] == "elsewhere" and base64.b64decode(mutual["data"]["ca.crt"]) == authority.certificate
    assert not any(re.search("BEGIN|PRIVATE", each) or plain["data"]["tls.key"][:20] in each for each in told_of)
    assert "--namespace elsewhere" in told_of[1] and "Secret own-a created" in told_of[0]


# The four faults.


class Several(Cluster):
    """Secrets by namespace."""

    def __init__(self, secrets):
        super().__init__({})
        self.secrets = secrets

    def get(self, kind, name, namespace=None):
        return self.secrets.get((namespace or self.namespace, name)) if kind == SECRET else None


def secret(pem):
    return {"metadata": {"name": "s"}, "data": {"tls.crt": base64.b64encode(pem).decode()}}


def test_each_fault_is_told_from_the_others():
    authority = Authority("A")
    good, over = (authority.issue("one.example", expired=each)[0] for each in (False, True))
    here = "default", "own-one"
    away = "default-neighbour", "own-one"
    cases = {
        "missing": {}, "elsewhere": {away: secret(good)}, "expired": {here: secret(over)},
        "for another name": {here: secret(authority.issue("b.example")[0])}, "nothing": {here: secret(good)},
    }  # fmt: skip
    for kind, held in cases.items():
        assert faults.found(Several(held))["one.example"] == kind
    assert sorted(faults.MADE) == [0, 1, 2, 3] and len(faults.NAMES) == 4


# The neighbour.


def test_the_neighbour_means_the_learners_own_gateway():
    lab = Cluster({})
    lab.namespace = "alice"
    (rule,) = (neighbour._in(lab, each) for each in load(f"{STEM}/10-neighbour.yaml"))
    assert rule["metadata"]["namespace"] == "alice-neighbour" and rule["spec"]["gateways"] == ["alice/own-gateway"]


# A gateway of one's own, among learners who share a cluster.


@pytest.mark.parametrize("name", FILES)
def test_what_is_of_ones_own_gateway_keeps_its_hosts_and_has_a_label_of_ones_own(name):
    for document in load(f"{STEM}/{name}.yaml"):
        claimed = gateway.claiming(document, "alice.lab")
        if not gateway.own(document):
            assert claimed == document
            continue
        assert "own-ingress-alice" in str(claimed) and not gateway.own(claimed)
        assert str(claimed).replace("'istio': 'own-ingress-alice'", "'istio': 'own-ingress'") == str(document)


def test_the_shared_gateway_is_shared_by_hosts_as_before():
    shared, rule = load("04_bookinfo/02-gateway.yaml")
    assert gateway.claiming(shared, "alice.lab")["spec"]["servers"][0]["hosts"] == ["alice.lab"]
    assert gateway.claiming(rule, "alice.lab")["spec"]["hosts"] == ["alice.lab"] and not gateway.own(shared)


def test_the_line_for_a_terminal_puts_in_what_stands_for_this_learner():
    lab = Cluster({})
    assert apply._line(lab, "apply", [f"{STEM}/04-gateway.yaml"]) == f"kubectl apply -f manifests/{STEM}/04-gateway.yaml"
    lab.namespace = "alice"
    of_own = apply._line(lab, "apply", [f"{STEM}/04-gateway.yaml"])
    assert of_own == f"sed 's/istio: own-ingress/istio: own-ingress-alice/' manifests/{STEM}/04-gateway.yaml | kubectl apply -f -"
    of_all = apply._line(lab, "apply", ["04_bookinfo/02-gateway.yaml"])
    assert of_all == "sed 's/\"*\"/alice.lab/' manifests/04_bookinfo/02-gateway.yaml | kubectl apply -f -".replace('"*"', '"\\*"')


def test_the_proxy_that_is_told_is_the_one_that_the_gateway_selects():
    own = load(f"{STEM}/04-gateway.yaml")
    rule = load(f"{STEM}/05-attached.yaml")
    assert told._selector(Cluster({}), own, set()) == {"istio": "own-ingress"}
    assert told._selector(Cluster({told.GATEWAY: own}), rule, {"own-gateway"}) == {"istio": "own-ingress"}
    assert told._selector(Cluster({}), rule, {"own-gateway"}) == told.INGRESS
