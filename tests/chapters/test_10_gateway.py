"""Chapter 10: wrong answers, in its own run. (That it runs, and does what its record says, is in test_every_chapter.py.)"""

import pytest

from lab_helpers.chapters.c10_gateway import Authority, as_neighbour, hand, keep, neighbour
from lab_helpers.chapters.c10_gateway.checks import GATEWAY, RULE
from lab_helpers.kube import pods
from lab_helpers.kube.kinds import DEPLOYMENT, NAMESPACE, ROLE, ROLE_BINDING, SECRET, SERVICE, SERVICE_ACCOUNT
from tests.wrong_answers import before, fails

STEM = "10_gateway"
WORDS = ("missing", "elsewhere", "expired", "for another name")


def gateway(lab, tmp_path, *servers, name="own-gateway", selector="own-ingress"):
    """Apply a Gateway with these servers, each `port name protocol hosts` and perhaps `tls`."""
    head = f"apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {{name: {name}}}\n"
    file = tmp_path / f"{name}.yaml"
    file.write_text(f"{head}spec:\n  selector: {{istio: {selector}}}\n  servers:\n" + "".join(f"    - {each}\n" for each in servers))
    lab.apply(file)


@before('lab.apply("10_gateway/04-gateway.yaml")')
def no_gateway_yet(lab, tmp_path):
    fails("10.1", lab, sentence="no Gateway of this namespace selects the pods")
    gateway(lab, tmp_path, '{port: {number: 80, name: http, protocol: HTTP}, hosts: ["own.example"]}', selector="somebody-elses")
    fails("10.1", lab, sentence="no Gateway of this namespace selects the pods")
    gateway(lab, tmp_path, '{port: {number: 8081, name: http, protocol: HTTP}, hosts: ["own.example"]}')
    fails("10.1", lab, sentence="listens on 8081 for us, and not on 80")


@before('lab.apply("10_gateway/05-attached.yaml")')
def what_is_taken_and_leads_nowhere_is_told(lab, tmp_path):
    """A gateway that does not exist, and a host that the gateway does not have."""
    rule = (
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: own-astray}}\nspec:\n  hosts: [{}]\n  gateways: [{}]\n"
    )
    file, route = tmp_path / "astray.yaml", "  http: [{route: [{destination: {host: productpage}}]}]\n"
    file.write_text(rule.format("productpage", "nobodys-gateway") + route)
    assert any("IST0101" in each for each in lab.apply(file).changes[0].warnings)
    gateway(lab, tmp_path, '{port: {number: 80, name: http, protocol: HTTP}, hosts: ["own.example"]}')
    file.write_text(rule.format("other.example", "own-gateway") + route)
    assert any("IST0132" in each for each in lab.apply(file).changes[0].warnings)
    lab.delete(file)
    lab.apply(f"{STEM}/04-gateway.yaml")


@before('lab.apply("10_gateway/05-attached.yaml")')
def nothing_is_attached_yet(lab):
    fails("10.2", lab, "productpage", sentence="knows any host, or no route at all")
    fails("10.3", lab, sentence="through the gateway, /productpage is answered 404")


@before('check("10.2"')
def other_hosts(lab):
    for host in ("productpage", "own-ingress", "productpage.svc.cluster.local", ""):
        fails("10.2", lab, host, sentence=f"knows no host '{host}'")


@before('lab.apply("10_gateway/06-both.yaml")')
def inside_is_open(lab):
    fails("10.3", lab, sentence="inside of the mesh, / is answered 200, not 404")


@before('check("10.3"')
def no_rule(lab):
    lab.delete("10_gateway/06-both.yaml")
    fails("10.3", lab, sentence="through the gateway, /productpage is answered 404")
    lab.apply("10_gateway/06-both.yaml")


@before('check("10.4"')
def other_names(lab):
    fails("10.4", lab, "www.bookinfo.example", sentence="2 of the three are served, and you name 1")
    fails("10.4", lab, {"bookinfo.example", "www.bookinfo.example"}, sentence="bookinfo.example is answered 404")
    fails("10.4", lab, {"*.bookinfo.example"}, sentence="is answered to nobody")
    fails("10.4", lab, set(), sentence="you name 0")


@before('as_neighbour(lab, "10_gateway/10-neighbour.yaml")')
def no_neighbour(lab):
    fails("10.5", lab, sentence="the neighbour has no VirtualService")


@before('lab.apply("10_gateway/11-only-ours.yaml")')
def the_neighbour_answers(lab, tmp_path):
    fails("10.5", lab, sentence="the neighbour still answers /prizes")
    gateway(lab, tmp_path, '{port: {number: 80, name: http, protocol: HTTP}, hosts: ["nobody/*.bookinfo.example"]}')
    fails("10.5", lab, sentence="our own /productpage is answered 404")


@before('lab.apply("10_gateway/12-tls.yaml")')
def no_tls_yet(lab, tmp_path):
    fails("10.6", lab, sentence="HTTP is answered 200, not 301")
    gateway(lab, tmp_path, '{port: {number: 80, name: http, protocol: HTTP}, hosts: ["./*.bookinfo.example"], tls: {httpsRedirect: true}}')
    fails("10.6", lab, sentence="https://www.bookinfo.example/productpage fails: curl")


@before('check("10.6"')
def another_authority(lab, authority):
    hand(lab, trusted=Authority("Somebody else"))
    fails("10.6", lab, sentence="https://www.bookinfo.example/productpage fails: curl: .60.")
    hand(lab, trusted=authority)


@before('lab.apply("10_gateway/13-mutual.yaml")')
def no_partners_yet(lab, tmp_path, authority):
    hand(lab, trusted=authority, own=authority.issue("shop.partner.example"))
    fails("10.7", lab, sentence="a client with a certificate was answered curl")


@before('check("10.7"')
def not_mutual_and_a_stranger(lab, tmp_path, authority):
    tls = "tls: {mode: SIMPLE, credentialName: own-partners}"
    server = f'{{port: {{number: 443, name: https, protocol: HTTPS}}, hosts: ["./partners.example"], {tls}}}'
    gateway(lab, tmp_path, server, name="own-partners")
    fails("10.7", lab, sentence="a client without a certificate was answered 200")
    lab.apply("10_gateway/13-mutual.yaml")
    hand(lab, trusted=authority, own=Authority("Somebody else").issue("shop.partner.example"))
    fails("10.7", lab, sentence="a client with a certificate was answered curl")
    hand(lab, trusted=authority, own=authority.issue("shop.partner.example"))


@before('check("10.8"')
def other_faults(lab, answer):
    fails("10.8", lab, {}, sentence="your answer is about nobody")
    fails("10.8", lab, {**answer, "one.example": "broken"}, sentence="one.example is said to be 'broken'")
    for name in answer:
        for word in set(WORDS) - {answer[name]}:
            fails("10.8", lab, {**answer, name: word}, sentence=f"{name} is not {word}")


@before('lab.apply("my/shop.yaml")')
def shops_with_something_missing(lab, tmp_path):
    fails("10.9", lab, sentence="no Gateway of this namespace has the host shop.example")
    http, https = "port: {number: 80, name: http, protocol: HTTP}", "port: {number: 443, name: https, protocol: HTTPS}"
    simple = "tls: {mode: SIMPLE, credentialName: own-shop}"
    gateway(lab, tmp_path, f'{{{http}, hosts: ["shop.example"]}}', name="own-shop")
    fails("10.9", lab, sentence="every namespace may attach routes to shop.example")
    gateway(lab, tmp_path, f'{{{https}, hosts: ["./shop.example"], {simple}}}', name="own-shop")
    fails("10.9", lab, sentence="HTTP is answered 404, not 301")
    gateway(lab, tmp_path, f'{{{http}, hosts: ["./shop.example"], tls: {{httpsRedirect: true}}}}', name="own-shop")
    rule = tmp_path / "rule.yaml"  # without routes for the host there is nothing to redirect
    spec = "{hosts: [shop.example], gateways: [own-shop], http: [{route: [{destination: {host: details}}]}]}"
    rule.write_text(f"apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: own-shop}}\nspec: {spec}\n")
    lab.apply(rule)
    fails("10.9", lab, sentence="https://shop.example/details/0 fails: curl")


@pytest.mark.lab
def test_what_a_broken_off_chapter_leaves_is_gone_with_the_next_checkpoint(lab):
    """Its proxy, its rules, its Secrets; the neighbour harms nobody without the Gateway, and leaves with this chapter's own."""
    lab.checkpoint(STEM)
    authority = Authority("Somebody")
    lab.apply(f"{STEM}/02-proxy.yaml", f"{STEM}/04-gateway.yaml", f"{STEM}/08-any-host.yaml")
    as_neighbour(lab, f"{STEM}/10-neighbour.yaml")
    keep(lab, "own-site", authority.issue("www.bookinfo.example"))
    lab.checkpoint("12_traffic_shifting")
    for kind in (DEPLOYMENT, SERVICE, SERVICE_ACCOUNT, SECRET, ROLE, ROLE_BINDING, GATEWAY, RULE):
        assert not [each for each in lab.client.list(kind) if each["metadata"]["name"].startswith("own-")]
    assert lab.page().status == 200
    lab.checkpoint(STEM)
    found = lab.client.get(NAMESPACE, neighbour.namespace(lab))
    assert found is None or pods.leaving(found)
