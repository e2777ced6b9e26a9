"""Chapter 18: wrong answers and bad input, in its own run. (That it runs, and does what its record says, is in test_every_chapter.py.)"""

import pytest

from lab_helpers.chapters.c18_mtls import outside as door
from lab_helpers.core.errors import ManifestError, TrafficError
from tests.wrong_answers import before, fails

POLICY = "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {{name: {}}}\nspec: {}\n"
STRICT = "{mtls: {mode: STRICT}}"


def policies(lab, tmp_path, **specs):
    """Apply a PeerAuthentication for each name."""
    file = tmp_path / "policies.yaml"
    file.write_text("---\n".join(POLICY.format(name.replace("_", "-"), spec) for name, spec in specs.items()))
    return lab.apply(file)


@before('check("18.1"')
def other_ports(inside, outside):
    fails("18.1", inside, 9080, sentence="the bytes do not say 9080")
    fails("18.1", inside, 80, sentence="the bytes do not say 80\\b")
    fails("18.1", outside, 8000, sentence="a packet of it is plain text")


@before('lab.run("""kubectl patch service productpage')
def a_service_without_a_node_port_is_told(lab):
    for name, sentence in (("productpage", "has no NodePort"), ("prodcutpage", "no Service 'prodcutpage'")):
        with pytest.raises(TrafficError, match=sentence):
            door.node_port(lab, name)


@before('check("18.2"')
def other_signers(lab, certificate):
    fails("18.2", lab, certificate, "kube-root-ca.crt", sentence="does not fit the key in kube-root-ca.crt")
    fails("18.2", lab, certificate, "istio-ca-secret", sentence="'istio-ca-secret' is none of the two")


@before('lab.apply("18_mtls/02-strict.yaml")')
def not_strict_yet(lab, tmp_path):
    fails("18.3", lab, sentence="no PeerAuthentication asks for STRICT in the whole namespace")
    with pytest.raises(ManifestError, match='Unsupported value: "strict"'):
        policies(lab, tmp_path, typo="{mtls: {mode: strict}}")


@before('check("18.3"')
def strict_for_some_only(lab, tmp_path):
    policies(lab, tmp_path, productpage="{selector: {matchLabels: {app: productpage}}, mtls: {mode: PERMISSIVE}}")
    fails("18.3", lab, sentence="plain-client is told 200, and should be: reset")
    policies(lab, tmp_path, productpage="{selector: {matchLabels: {app: productpage}}, mtls: {mode: DISABLE}}")
    fails("18.3", lab, sentence="plain-client is told 200, and should be: reset")


@before('check("18.4"')
def other_ways(lab):
    fails("18.4", lab, {"client"}, sentence="there is 1 more")
    fails("18.4", lab, {"client", "port-forward", "plain-client"}, sentence="plain-client is told reset")
    fails("18.4", lab, {"client", "client, by address"}, sentence="client, by address is told 503")
    fails("18.4", lab, {"telnet"}, sentence="'telnet' is none of the ways")


@before('check("18.5"')
def other_flags(lab, answer):
    fails("18.5", lab, {"client": "UC"}, sentence="your answer is about client")
    fails("18.5", lab, {"client": "NR", "ratings": "UC"}, sentence="has not written 'NR'")
    fails("18.5", lab, {**answer, "ratings": "-"}, sentence="proxy of ratings has not written '-'")


@before('check("18.6"')
def no_rotation_or_failures(lives, answered):
    fails("18.6", lives.head(1), answered, sentence="1 certificate is no rotation")
    fails("18.6", lives.assign(renewed_after=lives["lifetime"]), answered, sentence="was replaced after .* s only")
    fails("18.6", lives, answered.head(0), sentence="no request was sent meanwhile")
    fails("18.6", lives, answered.rename({"200": "503"}), sentence="requests got 503")


@before('lab.apply("18_mtls/05-port-of-the-container.yaml")')
def the_port_of_the_service(lab):
    fails("18.7", lab, "mutual TLS", sentence="plain-client is told reset by httpbin")


@before('check("18.7"')
def not_by_mutual_tls(lab):
    fails("18.7", lab, "mutual TLS", sentence="client does not call httpbin by mutual TLS")
    fails("18.7", lab, "TLS", sentence="'TLS' is neither of the two")


@before('check("18.8"')
def other_answers(lab, alone, both):
    fails("18.8", lab, both, both, sentence="plain-client was told 200 with the mesh's rule alone")
    fails("18.8", lab, alone, alone, sentence="plain-client was told reset with the namespace's rule beside it")
    fails("18.8", lab, alone.drop("client"), both, sentence="nobody was asked with the mesh's rule alone")


@before('lab.apply("my/strict.yaml")')
def not_all_but_one(lab, tmp_path):
    fails("18.4", lab, {"client"}, sentence="ratings takes plain text")
    fails("18.9", lab, sentence="plain-client is answered by ratings, too")
    policies(lab, tmp_path, default=STRICT)
    fails("18.9", lab, sentence="plain-client is told reset by details")
    policies(lab, tmp_path, details="{selector: {matchLabels: {app: detials}}, mtls: {mode: PERMISSIVE}}")
    fails("18.9", lab, sentence="PeerAuthentication details selects no pod: none has app: detials")
    policies(lab, tmp_path, details="{selector: {matchLabels: {app: details}}, mtls: {mode: DISABLE}}")
    fails("18.9", lab, sentence="client calls details in plain text now")
