"""Chapter 18 without a cluster: certificates, logs and dumps are read right, its pictures, and its checks on right and wrong answers."""

import base64
import json
import socket
import ssl
import threading
from types import SimpleNamespace

import pandas as pd
import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from lab_helpers.chapters.c18_mtls import beside, calls, certificates, checks, endpoints, forged, logs, outside, rotation, ways
from lab_helpers.core.errors import CheckError, CommandError, LabError, MeshError, TrafficError
from lab_helpers.kube.kinds import CONFIG_MAP, NODE, POD, SERVICE
from lab_helpers.lab.asking.curl import Answer
from tests.objects import Cluster, named, pod

IDENTITY = "spiffe://cluster.local/ns/default/sa/bookinfo-reviews"
SERVER_NAME = "outbound_.8000_._.httpbin.default.svc.cluster.local"
COLUMNS = ["source", "destination", "bytes", "legible", "text"]


def heard(*packets):
    return pd.DataFrame([(*ends, len(text), legible, text) for ends, legible, text in packets], columns=COLUMNS)


THERE, BACK = ("client-v1", "httpbin-v1"), ("httpbin-v1", "client-v1")
SECRET = heard((THERE, False, f"......Zx.....7../{SERVER_NAME}.....istio......"), (BACK, False, "\n.u....Q" * 40))
PLAIN = heard((("plain-client-v1", "httpbin"), True, "GET /headers HTTP/1.1\r\nHost: httpbin:8000\r\n\r\n"))


# Certificates.


@pytest.fixture(scope="module")
def certificate():
    return x509.load_pem_x509_certificate(forged.forge(IDENTITY).partition(b"-----END PRIVATE KEY-----\n")[2])


def test_a_forged_certificate_says_what_one_of_the_mesh_does(certificate):
    said = certificates.fields(certificate)
    assert certificates.identity(certificate) == said["alternative name"] == IDENTITY
    assert (said["subject"], said["issuer"], said["may sign others"]) == ("(empty)", "O=cluster.local", "no")
    assert said["good for"] == "24.03 hours" and said["may be used as"] == "serverAuth, clientAuth" and said["public key"] == "EC, 256 bit"


def test_who_has_signed_is_found_by_the_signature_and_not_by_the_name(certificate):
    istio, other = trustme.CA(organization_name="cluster.local"), trustme.CA(organization_name="cluster.local")
    issued = x509.load_pem_x509_certificate(istio.issue_cert("details").cert_chain_pems[0].bytes())
    data = {"istio-ca-root-cert": {"root-cert.pem": istio}, "kube-root-ca.crt": {"ca.crt": other}}
    maps = [named(name, data={key: each.cert_pem.bytes().decode() for key, each in held.items()}) for name, held in data.items()]
    lab = Cluster({CONFIG_MAP: maps})
    assert certificates.signers(lab, issued).to_dict() == {"istio-ca-root-cert": True, "kube-root-ca.crt": False}
    assert not certificates.signers(lab, certificate).any()
    with pytest.raises(MeshError, match="no ConfigMap istio-ca-root-cert"):
        certificates.signers(Cluster({}), certificate)
    fails(checks.signer, lab, certificate, "istio-ca-root-cert", sentence="neither of the two has signed")
    fails(checks.signer, lab, issued, "kube-root-ca.crt", sentence="does not fit the key in kube-root-ca.crt")
    fails(checks.signer, lab, issued, "istio-ca-secret", sentence="is none of the two")


def test_openssl_is_asked_as_in_a_terminal_and_its_lack_is_told(monkeypatch, certificate):
    pem = certificate.public_bytes(serialization.Encoding.PEM).decode()
    asked = []

    def openssl(*words, stdin=""):
        asked.append(words)
        return "Certificate:\n  here" if words[0] == "x509" else f"CONNECTED\n{pem if '-alpn' in words else ''}"

    monkeypatch.setattr(certificates, "_openssl", openssl)
    none, one = certificates.s_client(EXPOSED), certificates.s_client(EXPOSED, alpn="istio")
    assert none.certificate is None and "no peer certificate" in str(none)
    assert one.certificate == certificate and str(one).startswith("$ openssl s_client -connect 10.0.0.9:31000 -alpn istio < /dev/null")
    assert asked[0] == ("s_client", "-connect", "10.0.0.9:31000") and "here" in one._repr_html_()
    monkeypatch.undo()
    monkeypatch.setattr(certificates.shutil, "which", lambda name: None)
    with pytest.raises(CommandError, match="openssl is not installed"):
        certificates.s_client(EXPOSED)


def test_the_certificate_that_a_proxy_holds_is_the_first_of_its_own(monkeypatch):
    lab = Cluster({POD: [pod("client-1", app="client")]})
    shown = {"certificates": [{"ca_cert": [{"serial_number": "9"}]}, {"cert_chain": [{"serial_number": "7"}]}]}
    monkeypatch.setattr(certificates.channels, "get_json", lambda *_: shown)
    assert certificates.held(lab, "client") == "7"
    with pytest.raises(TrafficError, match="no ready pod 'nobody'"):
        certificates.held(lab, "nobody")


# Somebody outside.


def service(name="productpage", node_port=31000):
    port = {"port": 9080, **({"nodePort": node_port} if node_port else {})}
    return named(name, spec={"type": "NodePort" if node_port else "ClusterIP", "ports": [port]})


NODES = {NODE: [named("controlplane", status={"addresses": [{"type": "InternalIP", "address": "10.0.0.9"}]})]}
EXPOSED = Cluster({SERVICE: [service()], **NODES})


def test_a_node_port_has_an_address_and_its_lack_is_told():
    assert outside.node_port(EXPOSED) == "10.0.0.9:31000"
    with pytest.raises(TrafficError, match="no NodePort: it is of type ClusterIP") as told:
        outside.node_port(Cluster({SERVICE: [service(node_port=0)]}))
    assert "kubectl patch service productpage" in told.value.do
    with pytest.raises(TrafficError, match="no Service 'nobody'"):
        outside.node_port(EXPOSED, "nobody")
    with pytest.raises(TrafficError, match="'telnet' is no way to knock"):
        outside.knock(EXPOSED, "telnet")


@pytest.fixture
def listener(monkeypatch):
    """A function that has somebody answer one connection on this machine, in a way of its own, behind the NodePort."""
    server = socket.create_server(("127.0.0.1", 0))
    monkeypatch.setattr(outside, "node_port", lambda lab, service: f"127.0.0.1:{server.getsockname()[1]}")
    monkeypatch.setattr(outside, "JUDGED", 0.5)
    threads = []

    def answering(how):
        def once():
            connection, _ = server.accept()
            with connection:
                how(connection)

        threads.append(threading.Thread(target=once))
        threads[-1].start()

    yield answering
    for each in threads:
        each.join()
    server.close()


def reset(connection):
    connection.recv(1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")


def answer(connection):
    connection.recv(1000)
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")


def demanding(tmp_path):
    file = tmp_path / "server.pem"
    file.write_bytes(forged.forge(IDENTITY))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    context.verify_mode = ssl.CERT_REQUIRED

    def demand(connection):
        try:
            context.wrap_socket(connection, server_side=True).recv(1)
        except OSError:
            connection.close()

    return demand


def test_what_comes_of_knocking_is_told(listener, tmp_path):
    told = lambda kind: outside.knock(Cluster({}), kind)["answer"].iloc[0]  # noqa: E731
    listener(answer)
    assert told("plain text") == "200"
    listener(reset)
    assert told("plain text") == "reset"
    listener(demanding(tmp_path))
    assert told("TLS of the mesh, no certificate").startswith("TLS: ")
    listener(demanding(tmp_path))
    assert told("TLS of the mesh, a certificate of our own").startswith("TLS: ")


def test_a_machine_that_cannot_be_reached_is_told(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    monkeypatch.setattr(outside, "node_port", lambda lab, service: f"127.0.0.1:{port}")
    with pytest.raises(TrafficError, match="cannot be reached from here"):
        outside.knock(Cluster({}), "plain text")


# Ways, logs, endpoints.


def test_a_way_that_is_none_is_told_and_a_reset_is_one_whatever_curl_says(monkeypatch):
    lab = Cluster({POD: [pod("ratings-1", app="ratings", status={"podIP": "10.0.0.5"})]})
    sent = []

    def curl(lab, options, app):
        sent.append((app, options.split()[-1]))
        return {"client": Answer("", "200"), "plain-client": Answer("", "000", "curl: (56) Recv failure", 56)}[app]

    monkeypatch.setattr(ways, "curl", curl)
    found = ways.ask(lab, "client", "client, by address", "plain-client", service="ratings")
    assert dict(found) == {"client": "200", "client, by address": "200", "plain-client": "reset"}
    assert [url for _, url in sent] == ["http://ratings:9080/ratings/0", "http://10.0.0.5:9080/ratings/0", "http://ratings:9080/ratings/0"]
    monkeypatch.setattr(ways, "curl", lambda *_: Answer("", "000", "curl: (6) Could not resolve host", 6))
    assert ways.ask(lab, "client")["client"].startswith("curl: (6)")
    with pytest.raises(TrafficError, match="'telnet' is no way to ask"):
        ways.ask(lab, "telnet")
    with pytest.raises(TrafficError, match="no ready pod 'details'"):
        ways.ask(lab, "client, by address", service="details")


HTTP = (
    '[2026-11-27T20:37:52.004Z] "GET /ratings/0 HTTP/1.1" 503 UC upstream_reset_before_response_started{connection_termination} - "-" 0 95 '
    '1 - "-" "curl/8.16.0" "id" "10.0.0.5:9080" "10.0.0.5:9080" PassthroughCluster 10.0.0.3:1 10.0.0.5:9080 10.0.0.3:2 - allow_any'
)
REFUSED = (
    '[2026-11-27T20:37:50.055Z] "- - -" 0 NR filter_chain_not_found - "-" 0 0 0 - "-" "-" "-" "-" "-" - - 10.0.0.5:9080 10.0.0.7:4 - -'
)
OTHER = (
    '[2026-11-27T20:37:51.919Z] "GET /status/200 HTTP/1.1" 200 - via_upstream - "-" 0 0 1 1 "-" "curl/8.16.0" "id" "httpbin:8000" '
    '"10.0.0.5:9080" outbound|8000||httpbin.default.svc.cluster.local 10.0.0.3:1 10.0.0.5:8000 10.0.0.3:2 - default'
)


def test_a_line_of_an_access_log_is_read_and_any_other_is_none():
    assert logs.read(HTTP) == {"request": "GET /ratings/0", "status": "503", "flags": "UC", "cluster": "PassthroughCluster"}
    assert logs.read(REFUSED) == {"request": "- -", "status": "0", "flags": "NR", "cluster": ""}
    assert logs.read(OTHER)["cluster"].startswith("outbound|8000||httpbin") and logs.read("2026-11-27T20:37:50Z info ads") is None


def test_only_what_was_written_of_the_call_counts(monkeypatch):
    written = {"client": [HTTP, OTHER], "ratings": [REFUSED]}
    raw = lambda path, params: SimpleNamespace(status=200, text="\n".join(written[path.split("/")[-2]]))  # noqa: E731
    lab = Cluster({POD: [pod(app, app=app) for app in written]}, raw=raw)

    def send():
        written["client"] += [HTTP.replace("52.004Z", "59.004Z"), OTHER.replace("51.919Z", "59.919Z")]
        written["ratings"].append(REFUSED.replace("50.055Z", "59.055Z"))

    told = logs.logged(lab, send, "client", "ratings", path="/ratings")
    assert list(told["flags"]) == ["UC", "NR"] and list(told.index) == ["client", "ratings"]
    monkeypatch.setattr(logs, "LATE", 0.2)
    with pytest.raises(MeshError, match="client to write their logs"):
        logs.logged(lab, lambda: None, "client", path="/ratings")


def dump(*modes, name="outbound|8000||httpbin.default.svc.cluster.local"):
    ends = [{"metadata": {"filter_metadata": {endpoints.MATCH: {"tlsMode": mode}} if mode else {}}} for mode in modes]
    return {"configs": [{"endpoint_config": {"cluster_name": name, "endpoints": [{"lb_endpoints": ends}]}}]}


def test_how_a_client_is_to_speak_stands_with_each_endpoint(monkeypatch):
    assert endpoints.read(dump("istio", ""), "httpbin", "default") == [True, False]
    assert endpoints.read(dump("istio"), "details", "default") == [] and endpoints.read({}, "details", "default") == []
    lab = Cluster({POD: [pod("client-1", app="client")]})
    for modes, all_safe in ((("istio", "istio"), True), (("istio", ""), False)):
        monkeypatch.setattr(endpoints.channels, "get_json", lambda *_, modes=modes: dump(*modes))
        assert endpoints.spoken(lab, "client", "httpbin") is all_safe
    with pytest.raises(MeshError, match="knows no pod of details"):
        endpoints.spoken(lab, "client", "details")
    with pytest.raises(TrafficError, match="no ready pod 'nobody'"):
        endpoints.spoken(lab, "nobody", "details")


# Rotation.

AGENT = "".join(
    f"2026-11-27T20:00:{second:02}.500000Z\tinfo\tcache\tgenerated new workload certificate\tresourceName=default latency=90ms ttl=29.5s\n"
    for second in (0, 15, 30)
)


def test_an_agent_s_log_is_the_history_of_its_certificates():
    table = rotation.read(f"{AGENT}2026-11-27T20:00:40Z\tinfo\txdsproxy\tconnected\n{HTTP}\n")
    assert table["fetched"].tolist() == [0, 15, 30] and table["expires"].tolist() == [29.5, 44.5, 59.5]
    assert table["renewed_after"].tolist()[:2] == [15, 15] and pd.isna(table["renewed_after"].iloc[-1])
    assert rotation.seconds("23h59m59.5s") == 86399.5 and rotation.seconds("1m0.25s") == 60.25
    drawn = rotation.plot_lives(table)
    assert drawn.svg.count("<title>") == 3 and "number 2 from 15 s, good until 44 s" in drawn.caption and "still in use" in drawn.svg
    day = table.assign(fetched=[0, 43200, 86400], expires=[86400, 129600, 172800], lifetime=86400.0, renewed_after=[43200, 43200, None])
    assert drawn.svg.count("</text>") < 20 and "172800" not in rotation.plot_lives(day).svg
    with pytest.raises(MeshError, match="no certificate to draw"):
        rotation.plot_lives(rotation.read(""))


def test_a_pod_that_renews_nothing_is_told(monkeypatch):
    lab = Cluster({POD: [pod("httpbin-1", app="httpbin")]}, raw=lambda path, params: SimpleNamespace(status=200, text=AGENT))
    assert len(rotation.history(lab, "httpbin", at_least=3)) == 3
    monkeypatch.setattr(rotation, "PATIENCE", 0.1)
    with pytest.raises(MeshError, match="the agent of httpbin to renew its certificate"):
        rotation.history(lab, "httpbin", at_least=4)
    with pytest.raises(TrafficError, match="no ready pod 'nobody'"):
        rotation.history(lab, "nobody")


# Calls and what was heard of them.


def test_a_call_has_its_own_packets_and_what_httpbin_was_told(monkeypatch):
    other = heard((("reviews-v1", "productpage-v1"), False, "..."), (("client-v1", "details-v1"), False, "..."))
    monkeypatch.setattr(calls, "curl", lambda lab, url, app: Answer("", json.dumps({"headers": {calls.TOLD: [f"URI={IDENTITY}"]}})))

    def overhear(lab, send, at):
        send()
        return pd.concat([other, SECRET])

    monkeypatch.setattr(calls, "overhear", overhear)
    made = calls.call(None, "client")
    assert made.told == f"URI={IDENTITY}" and list(made.heard["source"]) == ["client-v1", "httpbin-v1"]
    assert calls.Call(Answer("", "", "curl: (56)", 56), SECRET).told == "" and calls.Call(Answer("", '{"headers": {}}'), SECRET).told == ""


def test_requests_that_go_on_are_stopped_by_the_number_of_their_process(monkeypatch):
    ran = []

    def execute(client, pod, container, command):
        ran.append(command)
        return SimpleNamespace(stdout="123\n" if len(ran) == 1 else "200\n200\n503\n")

    monkeypatch.setattr(calls.channels, "execute", execute)
    going = calls.Going(Cluster({POD: [pod("client-1", app="client")]}))
    assert going.process == "123" and "--rate 4/s" in ran[0][2]
    assert going.stop().to_dict() == {"200": 2, "503": 1} and ran[1][-1] == "123"
    with pytest.raises(TrafficError, match="no ready pod 'client'"):
        calls.Going(Cluster({}))


def test_packets_are_drawn_beside_each_other_and_those_that_cannot_be_read_are_shortened():
    drawn = beside({"client": SECRET, "plain-client": PLAIN})
    assert "GET /headers HTTP/1.1" in drawn.svg and "8000_" in drawn.svg and "<script" not in drawn.svg
    assert drawn.caption == "On the wire. client: 2 packets, 0 of them legible; plain-client: 1 packets, 1 of them legible."
    for nothing in ({}, {"client": SECRET.head(0)}):
        with pytest.raises(LabError, match="nothing to draw"):
            beside(nothing)
    many = beside({"client": pd.concat([SECRET] * 5)})
    assert "… and 4 more" in many.svg


# Checks on data.


def fails(judge, *given, sentence):
    with pytest.raises(CheckError, match=sentence) as told:
        judge(*given)
    assert told.value.do


def test_the_port_is_read_in_the_handshake():
    inside = calls.Call(Answer("", ""), SECRET)
    assert SERVER_NAME in checks.port_on_the_wire(inside, 8000)
    fails(checks.port_on_the_wire, inside, 9080, sentence="the bytes do not say 9080")
    fails(checks.port_on_the_wire, inside, 800, sentence="the bytes do not say 800")
    fails(checks.port_on_the_wire, calls.Call(Answer("", ""), PLAIN), 8000, sentence="is plain text")
    fails(checks.port_on_the_wire, calls.Call(Answer("", ""), SECRET.tail(1)), 8000, sentence="no handshake in it")
    fails(checks.port_on_the_wire, calls.Call(Answer("", ""), SECRET.head(0)), 8000, sentence="nothing was heard")


def test_a_rotation_is_before_the_end_and_without_a_failure():
    lives, good = rotation.read(AGENT), pd.Series({"200": 60})
    assert "60 of 60" in checks.renewed(lives, good) and "51%" in checks.renewed(lives, good)
    fails(checks.renewed, lives.head(1), good, sentence="1 certificate is no rotation")
    fails(checks.renewed, lives.assign(renewed_after=29.0), good, sentence="after 29 s only")
    fails(checks.renewed, lives, good.head(0), sentence="no request was sent")
    fails(checks.renewed, lives, pd.Series({"200": 60, "503": 2}), sentence="2 requests got 503")


def test_the_narrower_rule_is_seen_by_what_plain_client_was_told():
    alone, both, lab = (
        pd.Series({"client": "200", "plain-client": "reset"}),
        pd.Series({"client": "200", "plain-client": "200"}),
        Cluster({}),
    )
    assert checks.narrower(lab, alone, both)
    fails(checks.narrower, lab, both, both, sentence="was told 200 with the mesh's rule alone")
    fails(checks.narrower, lab, alone, alone, sentence="was told reset with the namespace's rule beside it")
    fails(checks.narrower, lab, alone.drop("plain-client"), both, sentence="nobody was asked")
    fails(checks.narrower, lab, pd.Series({"client": "503", "plain-client": "reset"}), both, sentence="client was told 503")
    labels = {"app.kubernetes.io/managed-by": checks.apply.FIELD_MANAGER}
    left = {"metadata": {"name": "default", "labels": labels, "managedFields": [{"manager": checks.apply.FIELD_MANAGER}]}}
    fails(checks.narrower, Cluster({checks.POLICY: [left]}), alone, both, sentence="default still governs the whole mesh")


def test_a_policy_that_selects_nothing_is_named(monkeypatch):
    proxied = pod("details-1", spec={"containers": [{"name": "istio-proxy"}]}, app="details")
    policy = named("details", spec={"selector": {"matchLabels": {"app": "detials"}}, "mtls": {"mode": "PERMISSIVE"}})
    fails(checks.all_but_one, Cluster({POD: [proxied], checks.POLICY: [policy]}), sentence="details selects no pod: none has app: detials")
    monkeypatch.setattr(checks, "ask", lambda lab, *of, service="": pd.Series(dict.fromkeys(of, "200")))
    fails(checks.all_but_one, Cluster({POD: [proxied]}), sentence="plain-client is answered by ratings, too")


def test_no_key_is_shown():
    assert b"PRIVATE KEY" in forged.forge(IDENTITY)
    shown = str(certificates.Handshake("openssl", None, "no peer certificate available"))
    assert "KEY" not in shown and base64.b64encode(b"KEY").decode() not in shown
