"""Chapter 22 without a mesh: what curl has printed is read, certificates, whom a change reaches, the picture, and its checks."""

import base64
import json
import re
from types import SimpleNamespace

import pandas as pd
import pytest
import trustme
from cryptography import x509

from lab_helpers.chapters.c22_egress import checks, drawings, everybody, lines, visitor, visits
from lab_helpers.chapters.c22_egress.checks import COFFEE, LOST, PLAIN, TEA
from lab_helpers.core.errors import MeshError, TrafficError
from lab_helpers.core.http import Answer
from lab_helpers.core.manifests import load
from lab_helpers.istio import apply, gateway
from lab_helpers.istio.analysis import entries
from lab_helpers.kube.commands import Output
from lab_helpers.kube.kinds import POD, Kind
from lab_helpers.lab import outside
from lab_helpers.show.checks import check
from tests.objects import Cluster, named, pod
from tests.wrong_answers import fails

STEM = "22_egress"
PASSED = "PassthroughCluster"
OWN = "outbound|443||own-egress.default.svc.cluster.local"


def reached(*rows):
    """Visits: caller, what it asks for, how it ended, by what, and seen as whom."""
    return pd.DataFrame([(*row, *("–",) * (5 - len(row))) for row in rows], columns=visits.COLUMNS)


def known(**other):
    """What `client` sees once two sites are declared."""
    ways = {COFFEE: "outbound|443||coffee.example", TEA: "outbound|443||tea.example", LOST: PASSED, **other}
    return reached(*(("client", asks, "200", by, "client") for asks, by in ways.items()))


def closed(**other):
    """How six visits end in a closed mesh."""
    ends = {COFFEE: "200", TEA: "200", LOST: "reset", **dict.fromkeys(PLAIN.values(), "502"), **other}
    return reached(*(("client", asks, outcome) for asks, outcome in ends.items()))


CHANGES = pd.DataFrame(
    [("Deployment istio-egressgateway", "deleted"), ("Service istio-egressgateway", "deleted"),
     ("HorizontalPodAutoscaler istiod", "created"), ("ConfigMap istio", "3 fields changed")], columns=["object", everybody.UNLIKE],
)  # fmt: skip
ROUND = reached(("client", PLAIN[COFFEE], "403", OWN), ("client", COFFEE, "200", "outbound|443||coffee.example", "client"))
FACTS = {"name", "bytes", "duration"}
BOTH = {COFFEE, TEA}


@pytest.mark.parametrize(
    ("number", "state", "answers"),
    [
        ("22.1", [known()], {"answer": FACTS}),
        ("22.2", [CHANGES], {"answer": "istio-egressgateway"}),
        ("22.3", [closed()], {"answer": BOTH}),
        ("22.3", [closed()], {"answer": {"coffee.example", "tea.example"}}),
        ("22.8", [ROUND, "200"], {"answer": {"HTTPS", "past the proxy"}}),
        ("22.8", [ROUND, "no answer"], {"answer": "HTTPS"}),
    ],
)
def test_a_check_passes_on_the_right_answer(number, state, answers, capsys):
    check(number, *state, **answers)
    assert capsys.readouterr().out.startswith(f"✔ {number} ")


@pytest.mark.parametrize(
    ("number", "state", "answers", "sentence"),
    [
        ("22.1", [known(**{COFFEE: PASSED})], {"answer": FACTS}, "https://coffee.example went by PassthroughCluster"),
        ("22.1", [known(**{LOST: "outbound|443||lost.example"})], {"answer": FACTS}, "https://lost.example went by outbound"),
        ("22.1", [known().head(1)], {"answer": FACTS}, "https://tea.example went by no proxy"),
        ("22.1", [known()], {"answer": {"name", "path", "bytes"}}, "has no path"),
        ("22.1", [known()], {"answer": {"name", "status", "bytes", "duration"}}, "has no status"),
        ("22.1", [known()], {"answer": "name"}, "2 more can be read in it"),
        ("22.1", [known()], {"answer": {"host"}}, "'host' is none of the six"),
        ("22.2", [CHANGES], {"answer": "istiod"}, "'istiod' would not be deleted"),
        ("22.2", [CHANGES], {"answer": "Deployment istio-egressgateway"}, "would not be deleted"),
        ("22.2", [CHANGES.tail(2)], {"answer": "istio-egressgateway"}, "would delete no Deployment"),
        ("22.3", [closed(**{LOST: "200"})], {"answer": BOTH}, "https://lost.example ended with 200, not reset"),
        ("22.3", [closed(**{PLAIN[COFFEE]: "301"})], {"answer": BOTH}, "http://coffee.example ended with 301, not 502"),
        ("22.3", [closed().head(3)], {"answer": BOTH}, "nobody has asked for http://coffee.example"),
        ("22.3", [closed()], {"answer": {COFFEE}}, "2 of the six got their page, and you name 1"),
        ("22.3", [closed()], {"answer": {COFFEE, TEA, LOST}}, "https://lost.example was answered reset"),
        ("22.8", [ROUND, "200"], {"answer": {"HTTPS"}}, "2 of the three ways are open, and you name 1"),
        ("22.8", [ROUND, "200"], {"answer": {"HTTP", "HTTPS"}}, "HTTP did not get client out"),
        ("22.8", [ROUND, "200"], {"answer": {"DNS"}}, "'DNS' is none of the three"),
        ("22.8", [ROUND.tail(1), "200"], {"answer": {"HTTPS"}}, "client has not asked for http://coffee.example"),
    ],
)
def test_a_check_says_what_is_wrong(number, state, answers, sentence):
    fails(number, *state, sentence=sentence, **answers)


# Checks that ask the mesh themselves.


def by_the_gateway(lab, asks, callers):
    rows = []
    for caller in callers:
        for url in asks:
            through = (caller, url) in {("productpage", PLAIN[COFFEE]), ("reviews", PLAIN[TEA])}
            rows.append((caller, url, "200" if through else "403", OWN, "own-egress" if through else "–"))
    return reached(*rows)


def test_who_gets_through_the_gateway_is_held_to_the_rules(monkeypatch, capsys):
    monkeypatch.setattr(visits, "reach", by_the_gateway)
    check("22.7", Cluster({}))
    assert capsys.readouterr().out.startswith("✔ 22.7 ")


@pytest.mark.parametrize(
    ("column", "value", "sentence"),
    [
        ("outcome", "200", "client asks for http://coffee.example and gets 200, not 403"),
        ("outcome", "403", "productpage asks for http://coffee.example and gets 403, not 200"),
        ("by", PASSED, "its proxy sends it by PassthroughCluster"),
        ("seen as", "productpage", "and the site sees productpage"),
    ],
)
def test_who_gets_through_the_gateway_and_should_not_is_named(monkeypatch, column, value, sentence):
    monkeypatch.setattr(visits, "reach", lambda *given: by_the_gateway(*given).assign(**{column: value}))
    fails("22.7", Cluster({}), sentence=sentence)


SIDECAR = Kind("networking.istio.io/v1", "Sidecar")


@pytest.mark.parametrize(
    ("left", "problems", "modes", "sentence"),
    [
        ([named("default")], [], {}, "Sidecar default is still there"),
        ([], ["it was installed with other settings"], {}, "of Istio, it was installed with other settings"),
        ([], [], {"client.default": "REGISTRY_ONLY"}, "client.default still knows REGISTRY_ONLY"),
    ],
)
def test_what_is_not_as_before_is_named(monkeypatch, left, problems, modes, sentence):
    monkeypatch.setattr(checks.installation, "problems", lambda lab: problems)
    monkeypatch.setattr(everybody, "modes", lambda lab, namespaces: modes)
    fails("22.9", Cluster({SIDECAR: left}), sentence=sentence)


# Visits.


def test_what_curl_has_printed_is_read():
    site = '{"asked":"GET /","protocol":"HTTP/2","seen_from":"10.0.0.1","site":"coffee.example","sni":"coffee.example"}'
    visit = visits.Visit("curl", f"HTTP/1.1 301 Moved\nlocation: x\n\nHTTP/2 200 \nserver: envoy\n\n{site}")
    assert (visit.status, visit.outcome, visit.told["seen_from"]) == (200, "200", "10.0.0.1")
    cut, odd = visits.Visit("curl", "", "curl: (35) reset", 35), visits.Visit("curl", "", "curl: (77) file", 77)
    assert (cut.status, cut.outcome, cut.told) == (0, "reset", {}) and odd.outcome == "curl: (77)"


def test_who_cannot_ask_is_told_why():
    with pytest.raises(TrafficError, match="cannot be read as options"):
        visits.curl(Cluster({}), "-H 'Host: a")
    with pytest.raises(TrafficError, match="no ready pod 'client'"):
        visits.curl(Cluster({}), COFFEE)
    with pytest.raises(TrafficError, match="no ready pod 'reviews'"):
        visits.reach(Cluster({}), [COFFEE], ["reviews"])


def test_a_way_is_the_cluster_that_was_counted_and_a_visitor_is_who_has_the_address(monkeypatch):
    """The spans of a trace are sent as well, and count for nothing."""
    counts = {"outbound|443||coffee.example": 0, "outbound|9411||zipkin.istio-system.svc.cluster.local": 0, "BlackHoleCluster": 0}
    lab = Cluster(
        {POD: [pod("client-1-1", app="client", status={"podIP": "10.0.0.1", "conditions": [{"type": "Ready", "status": "True"}]})]}
    )

    def execute(client, name, container, command):
        for cluster in counts:
            counts[cluster] += 1
        return SimpleNamespace(stdout='HTTP/2 200 \n\n{"seen_from":"10.0.0.1","site":"coffee.example"}', stderr="", code=0)

    status = lambda name, count: {"name": name, "host_statuses": [{"address": {}, "stats": [{"name": "rq_total", "value": count}]}]}  # noqa: E731
    monkeypatch.setattr(outside, "authority", lambda lab: "PEM")
    monkeypatch.setattr(visits.channels, "execute", execute)
    monkeypatch.setattr(visits.envoy, "clusters", lambda lab, pod: [status(*each) for each in counts.items()])
    [row] = visits.reach(lab, [COFFEE]).to_dict("records")
    assert list(row.values()) == ["client", COFFEE, "200", "outbound|443||coffee.example", "client"]


def test_what_is_logged_begins_after_the_mark_and_is_waited_for(monkeypatch):
    """Lines of requests from before, which the proxy writes late, are not among them."""
    log, sent = ["[1] late", "[1] before"], []
    lab = Cluster({POD: [pod("client-1-1", app="client")]}, raw=lambda *_: Answer(200, {}, "\n".join(["info", *log]).encode()))
    monkeypatch.setattr(lines.channels, "execute", lambda client, pod, app, command: sent.append(command[-1]))
    with lines.logged(lab, 1) as found:
        log += [f"[2] GET {sent[0].removeprefix('http://details:9080')}", "[3] ours"]
    assert found.found == ["[3] ours"] and str(found.shown).endswith("--tail 1\n[3] ours")
    monkeypatch.setattr(lines, "FLUSHED", 0.1)
    with pytest.raises(MeshError, match="1 lines in the log of client's proxy: it has 0"), lines.logged(lab, 1):
        pass
    with pytest.raises(TrafficError, match="no ready pod 'nobody'"), lines.logged(lab, 1, "nobody"):
        pass


# The world outside.


def test_each_site_has_its_own_objects_and_the_mesh_is_told_of_none():
    documents = outside._documents()
    services = {each["metadata"]["name"]: each for each in documents if each["kind"] == "Service"}
    assert set(services) == set(outside.SITES) and "A_SITE" not in json.dumps(documents)
    assert all(each["metadata"]["annotations"] == {"networking.istio.io/exportTo": "~"} for each in services.values())
    assert {each["metadata"].get("namespace", outside.OUTSIDE) for each in documents} == {outside.OUTSIDE}
    named = outside._names()
    assert {each["endpoints"][0]["addresses"][0] for each in named if each["kind"] == "EndpointSlice"} == set(outside.SITES.values())


def test_the_labs_dns_knows_the_sites_where_they_are():
    text = (outside.FOLDER.parent / "lab_helpers/node/kubernetes/manifests/coredns.yaml").read_text(encoding="utf-8")
    assert dict(re.findall(r"^    ([\d.]+) (\w+)\.example$", text, re.MULTILINE)) == {ip: site for site, ip in outside.SITES.items()}


def test_a_sites_certificate_is_for_its_name_of_its_authority_and_in_time(monkeypatch):
    signer = trustme.CA()
    secret = outside._secret(signer, "coffee")
    certificate = x509.load_pem_x509_certificate(base64.b64decode(secret["data"]["tls.crt"]))
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)
    assert names == ["coffee.example"] and outside._good(secret, outside._config_map(signer))
    assert not outside._good(secret, outside._config_map(trustme.CA()))
    monkeypatch.setattr(outside, "LEFT", outside.LIFETIME)
    assert not outside._good(secret, outside._config_map(signer))
    assert "PRIVATE" not in outside._config_map(signer)["data"]["ca.crt"]


def test_nothing_of_a_key_is_told(monkeypatch):
    """What has changed in a Secret is not for the page."""
    client = SimpleNamespace(require_mark=lambda: None)
    change = apply.put.__globals__["Change"]("Secret coffee", "configured", "- tls.key: abc")
    monkeypatch.setattr(outside, "Client", lambda *given: client)
    monkeypatch.setattr(outside, "_well", lambda client: False)
    monkeypatch.setattr(outside, "_make", lambda client: [change])
    monkeypatch.setattr(outside, "_named", lambda client: [])
    lab = SimpleNamespace(client=SimpleNamespace(context=None, tools=""))
    [told] = outside.ensure(lab)
    assert (told.what, told.action, told.diff) == ("Secret coffee outside", "configured", "")


# The whole mesh.


def test_the_whole_mesh_is_asked_for_twice(monkeypatch):
    ran = []
    monkeypatch.setattr(everybody.istiod, "proxies", lambda client: [SimpleNamespace(namespace=each) for each in ("alice", "bob", "bob")])
    monkeypatch.setattr(everybody.commands, "run", lambda client, line, deadline: ran.append(line) or Output(line, "done"))
    monkeypatch.setattr(everybody, "until", lambda lab, mode: ran.append(mode))
    lab = SimpleNamespace(client=None, overlay="-f overlay.yaml")
    closed = "--set meshConfig.outboundTrafficPolicy.mode=REGISTRY_ONLY"
    told = everybody.upgrade(lab, closed)
    assert not ran and "Not run yet" in told.stdout and re.search(r"^bob +2$", told.stdout, re.MULTILINE)
    everybody.upgrade(lab, closed, agreed=True)
    everybody.upgrade(lab, agreed=True)
    begin = "istioctl upgrade --skip-confirmation --set profile=demo -f overlay.yaml"
    assert ran == [f"{begin} {closed}", "REGISTRY_ONLY", begin, "ALLOW_ANY"]


def test_what_an_installation_would_change_is_told_object_by_object(monkeypatch):
    now = [
        {"kind": "Deployment", "metadata": {"name": "egress"}},
        {"kind": "ConfigMap", "metadata": {"name": "istio"}, "data": {"a": "1", "b": "2"}},
    ]
    then = [{"kind": "HorizontalPodAutoscaler", "metadata": {"name": "istiod"}}, {**now[1], "data": {"a": "2", "b": "3"}}]
    monkeypatch.setattr(everybody.installation, "manifest", lambda lab, options: now if "demo" in options else then)
    told = everybody.would_change(SimpleNamespace(), "--set x=y")
    assert told.to_numpy().tolist() == [
        ["Deployment egress", "deleted"], ["HorizontalPodAutoscaler istiod", "created"], ["ConfigMap istio", "2 fields changed"]
    ]  # fmt: skip


def listener(cluster, state="active_state"):
    chain = {"name": "virtualOutbound-catchall-tcp", "filters": [{"typed_config": {"cluster": cluster}}]}
    first = {"filters": [{"typed_config": {"cluster": "BlackHoleCluster"}}]}  # virtualOutbound-blackhole, which every proxy has
    return {state: {"listener": {"filter_chains": [first], "default_filter_chain": chain}}}


def test_a_proxys_mode_is_that_of_the_listener_at_work_and_not_of_one_that_drains(monkeypatch):
    dump = {"configs": [listener("PassthroughCluster"), listener("BlackHoleCluster", "draining_state")]}
    monkeypatch.setattr(everybody.channels, "get_json", lambda *given: dump)
    assert everybody._mode(SimpleNamespace(client=None), "client", "default") == "ALLOW_ANY"
    dump["configs"] = [listener("BlackHoleCluster")]
    assert everybody._mode(SimpleNamespace(client=None), "client", "default") == "REGISTRY_ONLY"
    dump["configs"] = []
    assert everybody._mode(SimpleNamespace(client=None), "client", "default") == "no such listener"


# An entry for TCP, which `analyze` is content with.


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"ports": [{"number": 443, "protocol": "TCP"}], "resolution": "DNS"}, 1),
        ({"ports": [{"number": 443}, {"number": 80, "protocol": "HTTP"}], "resolution": "STATIC"}, 1),
        ({"ports": [{"number": 443, "protocol": "TLS"}], "resolution": "DNS"}, 0),
        ({"ports": [{"number": 443, "protocol": "TCP"}], "resolution": "DNS", "addresses": ["192.0.2.1"]}, 0),
        ({"ports": [{"number": 443, "protocol": "TCP"}]}, 0),
    ],
)
def test_a_tcp_entry_without_addresses_gets_a_sentence(spec, said):
    found = [text for _, text in entries.said(None, [{"kind": "ServiceEntry", "metadata": {"name": "a"}, "spec": spec}])]
    assert len(found) == said and all("Give the addresses" in each for each in found)


# A gateway of one's own, and the visitor.


@pytest.mark.parametrize("name", ["09-egress-gateway", "10-through-it", "11-who-may"])
def test_what_is_of_ones_own_gateway_has_a_label_of_ones_own(name):
    claimed = [gateway.claiming(each, "alice.lab") for each in load(f"{STEM}/{name}.yaml")]
    assert not any(map(gateway.own, claimed)) and "own-egress-alice" in str(claimed)


def test_the_line_for_a_terminal_puts_in_the_learners_label():
    lab = Cluster({})
    lab.namespace = "alice"
    line = apply._line(lab, "apply", [f"{STEM}/11-who-may.yaml"])
    assert line == f"sed 's/istio: own-egress/istio: own-egress-alice/' manifests/{STEM}/11-who-may.yaml | kubectl apply -f -"


def test_each_learner_has_a_visitor_of_their_own():
    lab = SimpleNamespace(client=SimpleNamespace(context=None, tools=""), namespace="alice", overlay="")
    assert visitor(lab).namespace == "alice-visitor"


# The picture.


def test_the_picture_says_who_got_where_and_tells_known_from_unknown():
    tables = {"open": known(), "shut\nby a Sidecar": closed().head(3)}
    drawing = drawings.draw_reach(tables)
    assert "open: everybody gets everywhere." in drawing.caption
    assert drawing.caption.endswith("shut by a Sidecar: kept from it are client from https://lost.example.")
    cells = re.findall(r"<title>([^<]*)</title><circle[^>]* fill=\"([^\"]*)\"", drawing.svg)
    assert len(cells) == 6 and [fill == "none" for title, fill in cells if title.startswith("open")] == [False, False, True]
