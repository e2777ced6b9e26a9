"""Chapter 22: wrong answers, in its own run. (That it runs, and does what its record says, is in test_every_chapter.py.)"""

import pytest

from lab_helpers.chapters.c22_egress import everybody, leave, trust, upgrade, visitor
from lab_helpers.kube.kinds import DEPLOYMENT, NETWORK_POLICY, SECRET, SERVICE, SERVICE_ACCOUNT
from tests.wrong_answers import before, fails

STEM = "22_egress"
CLOSED = "--set meshConfig.outboundTrafficPolicy.mode=REGISTRY_ONLY"
INSIDE = '["./*.svc.cluster.local", "istio-system/*"{}]'


def sidecar(lab, tmp_path, spec, name="default"):
    """Apply a Sidecar."""
    file = tmp_path / f"{name}.yaml"
    file.write_text(f"apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {{name: {name}}}\nspec: {spec}\n")
    return file, lab.apply(file)


def selecting(app, hosts, mode="REGISTRY_ONLY"):
    return f"{{workloadSelector: {{labels: {{app: {app}}}}}, egress: [{{hosts: {hosts}}}], outboundTrafficPolicy: {{mode: {mode}}}}}"


@before('lab.apply("22_egress/02-tcp.yaml")')
def an_entry_for_tcp_without_addresses_gets_a_sentence(lab, tmp_path):
    file = tmp_path / "database.yaml"
    entry = "{hosts: [lost.example], ports: [{number: 443, name: tcp, protocol: TCP}], resolution: DNS, exportTo: ['.']}"
    file.write_text(f"apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: database}}\nspec: {entry}\n")
    said = " ".join(lab.apply(file).changes[0].warnings)
    assert "Port 443 is TCP, and there are no addresses" in said
    lab.delete(file)


@before('lab.apply("22_egress/03-closed.yaml")')
def the_namespace_is_open_or_shut_too_far(lab, tmp_path):
    fails("22.4", lab, sentence="our client asks for https://lost.example and gets 200")
    sidecar(lab, tmp_path, selecting("nobody", '["*/*"]'))
    fails("22.4", lab, sentence="our client asks for https://lost.example and gets 200")
    sidecar(lab, tmp_path, f"{{egress: [{{hosts: {INSIDE.format('')}}}], outboundTrafficPolicy: {{mode: REGISTRY_ONLY}}}}")
    fails("22.4", lab, sentence="our client asks for https://coffee.example and gets reset")


@before('check("22.4"')
def the_visitor_is_shut_in_as_well(lab, tmp_path):
    theirs = visitor(lab)
    file, _ = sidecar(theirs, tmp_path, "{outboundTrafficPolicy: {mode: REGISTRY_ONLY}}")
    fails("22.4", lab, sentence="the visitor asks for https://lost.example and gets reset")
    theirs.delete(file)


@before('lab.apply("my/reviews.yaml")')
def other_sidecars_for_reviews(lab, tmp_path):
    own = INSIDE.format(', "./tea.example"')
    fails("22.5", lab, sentence="reviews gets https://coffee.example as well")
    sidecar(lab, tmp_path, selecting("reviews", own, "ALLOW_ANY"), "reviews")
    fails("22.5", lab, sentence="reviews gets https://coffee.example as well")
    sidecar(lab, tmp_path, selecting("reviews", INSIDE.format("")), "reviews")
    fails("22.5", lab, sentence="reviews asks for https://tea.example and gets reset")
    sidecar(lab, tmp_path, selecting("reviews", '["istio-system/*", "./tea.example"]'), "reviews")
    fails("22.5", lab, sentence="reviews asks for http://ratings:9080/ratings/0 and gets reset")
    sidecar(lab, tmp_path, f"{{egress: [{{hosts: {own}}}], outboundTrafficPolicy: {{mode: REGISTRY_ONLY}}}}", "reviews")
    fails("22.5", lab, sentence="client asks for https://coffee.example and gets reset")


@before('lab.apply("22_egress/06-http-to-tls.yaml")')
def nothing_speaks_tls_for_us(lab):
    fails("22.6", lab, sentence="http://coffee.example is answered 301")


@before('second = curl(lab, "http://coffee.example")')
def tls_twice(lab):
    fails("22.6", lab, sentence="https://coffee.example fails: curl")


@before('check("22.6"')
def nobody_verifies(lab, tmp_path):
    file = tmp_path / "coffee.yaml"
    ports = "[{port: {number: 80}, tls: {mode: SIMPLE, insecureSkipVerify: true}}]"
    spec = f"{{host: coffee.example, exportTo: ['.'], trafficPolicy: {{portLevelSettings: {ports}}}}}"
    file.write_text(f"apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: coffee}}\nspec: {spec}\n")
    lab.apply(file)
    fails("22.6", lab, sentence="coffee has the certificate not verified")
    lab.delete(file)
    fails("22.6", lab, sentence="http://coffee.example is answered 503")


@before('lab.apply("22_egress/10-through-it.yaml"')
def nothing_leads_to_the_gateway(lab):
    fails("22.7", lab, sentence=r"client asks for http://coffee.example, and its proxy sends it by outbound\|80")


@before('check("22.9"')
def something_is_left(lab):
    lab.apply(f"{STEM}/01-two-sites.yaml")
    fails("22.9", lab, sentence="ServiceEntry sites is still there")
    lab.delete(f"{STEM}/01-two-sites.yaml")
    lab.apply(f"{STEM}/03-closed.yaml")
    fails("22.9", lab, sentence="Sidecar default is still there")
    lab.delete(f"{STEM}/03-closed.yaml")


@pytest.mark.lab
@pytest.mark.alone("It closes the way out for the whole mesh.")
def test_what_a_broken_off_chapter_leaves_is_gone_with_the_next_checkpoint(lab):
    """The mesh is open again, and of the gateway, the rules, the Secret and the NetworkPolicy nothing is left."""
    lab.checkpoint(STEM)
    upgrade(lab, CLOSED, agreed=True)
    trust(lab)
    files = ("06-http-to-tls", "07-trusted", "03-closed", "05-listed-and-closed", "09-egress-gateway", "12-no-other-way")
    lab.apply(*(f"{STEM}/{name}.yaml" for name in files))
    lab.apply(f"{STEM}/10-through-it.yaml", f"{STEM}/11-who-may.yaml")
    lab.checkpoint("12_traffic_shifting")
    everybody.until(lab, "ALLOW_ANY")
    for kind in (DEPLOYMENT, SERVICE, SERVICE_ACCOUNT, SECRET, NETWORK_POLICY):
        names = {each["metadata"]["name"] for each in lab.client.list(kind)}
        assert not names & {"own-egress", "outside-ca", "only-by-the-gateway"}
    assert lab.page().status == 200
    leave(lab)
