"""Metrics and traces tell exactly what happened: counts, labels as the book's table has them, and every span.

Istio's own test application speaks on both sides, so that versions, codes and protocols can be chosen; Bookinfo is traced.
"""

from __future__ import annotations

import json
import re
import secrets
import time
from collections import Counter
from functools import cache
from pathlib import Path
from urllib.parse import urlencode

import pytest

from lab_helpers.core.wait import wait_until
from lab_helpers.istio.gateway import fetch
from lab_helpers.lab import connect
from lab_helpers.node.build.versions import VERSIONS
from lab_helpers.node.install import addon_manifests
from lab_helpers.traffic import addons
from tests.live import KUBECTL, kubectl, kubectl_json, meshlab, sh

pytestmark = pytest.mark.lab
NAMESPACE = "observability"
IMAGE = f"{VERSIONS['istio']['hub']}/app:{VERSIONS['istio']['version']}"
BOOK = Path(__file__).parents[2] / "book" / "metrics.md"
N = 2000
HTTP_METRICS = ("istio_request_duration_milliseconds", "istio_request_bytes", "istio_response_bytes")


def deployment(name: str, app: str, version: str, injected: bool = True) -> list[dict]:
    labels = {"app": app, "version": version}
    container = {
        "name": "app", "image": IMAGE, "imagePullPolicy": "Never",
        "args": ["--port=8080", "--grpc=7070", "--tcp=9090", f"--version={version}"],
        "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1},
    }  # fmt: skip
    template = {
        "metadata": {"labels": {**labels, "sidecar.istio.io/inject": str(injected).lower()}},
        "spec": {"serviceAccountName": app, "terminationGracePeriodSeconds": 0, "containers": [container]},
    }
    spec = {"selector": {"matchLabels": labels}, "template": template}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": app, "namespace": NAMESPACE}},
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec},
    ]


def service(name: str) -> dict:
    ports = [
        {"name": "http", "port": 80, "targetPort": 8080},
        {"name": "grpc", "port": 90, "targetPort": 7070},
        {"name": "tcp", "port": 70, "targetPort": 9090},
    ]
    spec = {"selector": {"app": name}, "ports": ports}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec}


def applied(*items: dict) -> None:
    kubectl("apply", "--filename", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(items)}))


@pytest.fixture(scope="module", autouse=True)
def mesh():
    names = {"client": ("client", "v9"), "server-v1": ("server", "v1"), "server-v2": ("server", "v2"), "mirror": ("mirror", "v1")}
    applied(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        *(each for name, (app, version) in names.items() for each in deployment(name, app, version)),
        *deployment("plain", "plain", "v1", injected=False),
        *(service(name) for name in ("server", "mirror", "plain")),
    )
    for name in (*names, "plain"):
        kubectl("rollout", "status", "--namespace", NAMESPACE, f"deployment/{name}", "--timeout=90s")
    yield
    kubectl("delete", "namespace", NAMESPACE, "--wait=false")


def pods(app: str) -> str:
    """The pods of `app` as a PromQL pattern: those that are there now, and none of an earlier run."""
    listed = kubectl_json("get", "pods", "--namespace", NAMESPACE, "--selector", f"app={app}")["items"]
    return "|".join(pod["metadata"]["name"] for pod in listed)


def call(url: str, count: int = 1, *more: str, sender: str = "client", check: bool = True) -> str:
    command = ("exec", "--namespace", NAMESPACE, f"deploy/{sender}", "--container", "app", "--", "client", f"--count={count}", url, *more)
    command += ("--timeout=200s", "--qps=200")
    done = sh(*KUBECTL, *command, timeout=240, check=check)
    return done.stdout if check else done.stdout + done.stderr


def answers(output: str) -> list[tuple[str, str]]:
    """Version and code of each answer."""
    codes = dict(re.findall(r"^\[(\d+)\] StatusCode=(\d+)", output, re.M))
    versions = dict(re.findall(r"^\[(\d+) body\] ServiceVersion=(\S+)", output, re.M))
    assert codes.keys() == versions.keys()
    return [(versions[number], codes[number]) for number in codes]


@cache
def addresses() -> dict[str, str]:
    return addons.addresses(connect(quiet=True).client)


def query(promql: str) -> list[dict]:
    answer = fetch(f"{addresses()['prometheus']}/api/v1/query?{urlencode({'query': promql})}").json()
    assert answer["status"] == "success", answer
    return answer["data"]["result"]


def scraped(*, seconds: float = 30) -> None:
    """Wait until Prometheus has asked every proxy of the namespace once more."""
    now = time.time()
    expected = len(kubectl_json("get", "pods", "--namespace", NAMESPACE, "--selector", "app!=plain")["items"])
    promql = f'count(timestamp(up{{namespace="{NAMESPACE}"}}) > {now})'
    wait_until(lambda: [r for r in query(promql) if int(r["value"][1]) >= expected], "a scrape of every proxy", seconds, every=0.2)


def counts(selector: str, *by: str) -> Counter:
    """The sum of istio_requests_total over `selector`, by labels."""
    found = query(f"sum by ({','.join(by)}) (istio_requests_total{{{selector}}})")
    return Counter({tuple(r["metric"].get(label, "") for label in by): int(float(r["value"][1])) for r in found})


def test_two_thousand_requests_are_counted_exactly_by_version_and_code():
    client, server = pods("client"), pods("server")
    sides = {"source": client, "destination": server}
    chosen = 'reporter="{}",pod=~"{}",destination_canonical_service="server",request_protocol="http"'
    scraped()
    before = {side: counts(chosen.format(side, pattern), "destination_version", "response_code") for side, pattern in sides.items()}
    sent = Counter(answers(call("http://server/?codes=200:7,404:2,503:1", N)))
    assert sum(sent.values()) == N and len(sent) == 6, "two versions and three codes were to answer"
    scraped()
    for side, pattern in sides.items():
        counted = counts(chosen.format(side, pattern), "destination_version", "response_code") - before[side]
        assert counted == sent, f"reporter={side}"
    for metric in HTTP_METRICS:
        # Envoy shows its histograms as of its last flush.
        promql = f"sum({metric}_count{{{chosen.format('source', client)}}})"
        wanted = sum((before["source"] + sent).values())
        wait_until(lambda p=promql, w=wanted: [r for r in query(p) if float(r["value"][1]) == w], f"{wanted} in {metric}", 20)


def test_a_second_service_of_the_same_pods_hides_no_request_when_it_has_gone(tmp_path):
    """For 45 s the server's proxy has counters with both lists of services; under the same labels Prometheus would keep one of them."""
    lab, second = connect(quiet=True, namespace=NAMESPACE), tmp_path / "second.yaml"
    selected = {**service("second"), "spec": {**service("second")["spec"], "selector": {"app": "server"}}}
    second.write_text(json.dumps(selected), encoding="utf-8")
    counted = {}
    for when, change in (("before", None), ("with it", lab.apply), ("right after", lab.delete)):
        if change:
            change(second)
        with lab.window() as window:
            call("http://server/", 50)
        told = lab.requests(window, "destination_canonical_service", reporter="destination")
        counted[when] = int(told.loc[told["destination_canonical_service"] == "server", "requests"].sum())
    assert set(counted.values()) == {50}, counted


def table() -> dict[str, dict[str, str]]:
    """The book's table of labels: label → column → word."""
    rows = [[cell.strip() for cell in line.strip("|\n").split("|")] for line in BOOK.read_text().splitlines() if line.startswith("|")]
    begin = next(number for number, row in enumerate(rows) if row[0] == "label")
    heads = rows[begin][1:5]
    return {row[0].strip("`"): dict(zip(heads, row[1:5], strict=True)) for row in rows[begin + 2 :] if row[0].startswith("`")
            and len(row) == 6}  # fmt: skip


def truth(side: str, protocol: str) -> dict[str, str]:
    """What Istio documents for a call of `client` to version 1 of `server`."""
    name = "spiffe://cluster.local/ns/" + NAMESPACE + "/sa/"
    labels = {
        "reporter": side,
        "source_workload": "client", "source_workload_namespace": NAMESPACE, "source_app": "client", "source_version": "v9",
        "source_canonical_service": "client", "source_canonical_revision": "v9", "source_cluster": "Kubernetes",
        "source_principal": name + "client",
        "destination_workload": "server-v1", "destination_workload_namespace": NAMESPACE, "destination_app": "server",
        "destination_version": "v1", "destination_canonical_service": "server", "destination_canonical_revision": "v1",
        "destination_cluster": "Kubernetes", "destination_principal": name + "server",
        "destination_service": f"server.{NAMESPACE}.svc.cluster.local", "destination_service_name": "server",
        "destination_service_namespace": NAMESPACE,
        "request_protocol": protocol, "connection_security_policy": "mutual_tls" if side == "destination" else "unknown",
        "response_flags": "-",
    }  # fmt: skip
    return labels | ({"response_code": "200"} if protocol != "tcp" else {}) | ({"grpc_response_status": "0"} if protocol == "grpc" else {})


@pytest.mark.parametrize("side", ["source", "destination"])
@pytest.mark.parametrize("protocol", ["http", "grpc", "tcp"])
def test_labels_are_what_the_book_says(side, protocol):
    call({"http": "http://server", "grpc": "grpc://server:90", "tcp": "tcp://server:70"}[protocol], 6)
    scraped()
    metric = "istio_tcp_connections_opened_total" if protocol == "tcp" else "istio_requests_total"
    pattern = pods("client" if side == "source" else "server")
    code = "" if protocol == "tcp" else ',response_code="200"'
    of = f'reporter="{side}",pod=~"{pattern}",destination_workload="server-v1",request_protocol="{protocol}",other_services=""'
    chosen = f"{metric}{{{of}{code}}}"
    [found] = query(chosen)
    words, wanted = table(), truth(side, protocol)
    assert set(words) == set(truth("source", "grpc")), "the book's table and this test know other labels"
    for label, columns in words.items():
        word, value = columns[f"{'TCP' if protocol == 'tcp' else 'HTTP'}, {side}"], found["metric"].get(label, "")
        if label == "grpc_response_status" and protocol == "http":
            assert value == ""
        else:
            expected = {"exact": wanted.get(label), "derived": wanted.get(label), "unknown": "unknown", "–": ""}[word]
            assert value == expected, f"{label}: the book says {word}"


def test_who_has_no_version_is_of_the_revision_latest():
    """istiod does not tell the sender of that revision: it has to be put in, and nothing that is another workload's."""
    account, unversioned = deployment("unversioned", "unversioned", "v1")
    del unversioned["spec"]["template"]["metadata"]["labels"]["version"], unversioned["spec"]["selector"]["matchLabels"]["version"]
    applied(account, unversioned, service("unversioned"))
    kubectl("rollout", "status", "--namespace", NAMESPACE, "deployment/unversioned", "--timeout=90s")
    wait_until(lambda: "StatusCode=200" in call("http://unversioned"), "an answer of the new workload", 20, every=0.2)
    call("http://unversioned", 4)
    scraped()
    chosen = 'istio_requests_total{{reporter="{}",pod=~"{}",destination_workload="unversioned",response_code="200"}}'
    [sent] = query(chosen.format("source", pods("client")))
    [received] = query(chosen.format("destination", pods("unversioned")))
    revisions = {side: each["metric"]["destination_canonical_revision"] for side, each in (("source", sent), ("destination", received))}
    assert revisions == {"source": "latest", "destination": "latest"}
    assert sent["metric"]["destination_version"] == "latest" and sent["metric"]["destination_app"] == "unversioned"


def test_tcp_connections_and_bytes_are_counted_exactly_on_both_sides():
    sides = {"source": pods("client"), "destination": pods("server")}

    def total(metric: str, side: str) -> int:
        chosen = f'{metric}{{reporter="{side}",pod=~"{sides[side]}",destination_service_name="server"}}'
        return sum(int(float(r["value"][1])) for r in query(chosen))

    metrics = [f"istio_tcp_{what}_total" for what in ("connections_opened", "connections_closed", "received_bytes", "sent_bytes")]
    scraped()
    before = {(metric, side): total(metric, side) for metric in metrics for side in sides}
    output = call("tcp://server:70", 40)
    assert output.count("Hostname=server-") == 40
    scraped()
    grown = {key: total(*key) - value for key, value in before.items()}
    for side in sides:
        assert [grown[metric, side] for metric in metrics[:2]] == [40, 40], side
    assert grown[metrics[2], "source"] == grown[metrics[2], "destination"] == 40 * len("HelloWorld\n")
    assert grown[metrics[3], "source"] == grown[metrics[3], "destination"] > 40 * 100


def test_what_no_service_stands_for_is_counted_by_its_host_and_no_service_by_the_way_its_host_is_spelled():
    client, labels = pods("client"), ("destination_service", "destination_service_name", "destination_service_namespace")
    scraped()
    before = counts(f'reporter="source",pod=~"{client}"', *labels)
    call("http://server/", 3, "--header", "Host: elsewhere.example")
    spelled = ("server", f"server.{NAMESPACE}", f"server.{NAMESPACE}.svc.cluster.local:80")
    for host in spelled:
        call(f"http://{host}/", 2)
    scraped()
    service = (f"server.{NAMESPACE}.svc.cluster.local", "server", NAMESPACE)
    grown = counts(f'reporter="source",pod=~"{client}"', *labels) - before
    assert grown == {("elsewhere.example", "PassthroughCluster", "unknown"): 3, service: 2 * len(spelled)}
    command = ("exec", "--namespace", NAMESPACE, "deploy/client", "--container", "istio-proxy", "--")
    stats = kubectl(*command, "curl", "--silent", "localhost:15090/stats/prometheus").splitlines()
    series = [line for line in stats if line.startswith("envoy_istio_requests_total{") and "|200||" in line and "server-v1;" in line]
    assert len(series) == 1, "one series, however the host was spelled"


def routed(http: dict) -> dict:
    spec = {"hosts": ["server"], "http": [http]}
    metadata = {"name": "server", "namespace": NAMESPACE}
    return {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": metadata, "spec": spec}


@pytest.fixture
def route(tmp_path):
    """Apply a route for `server` and wait until every proxy has it; gone after the test."""
    lab = connect(namespace=NAMESPACE, quiet=True)

    def apply(http: dict) -> None:
        file = tmp_path / "route.yaml"
        file.write_text(json.dumps(routed(http)))
        lab.apply(str(file))

    yield apply
    kubectl("delete", "virtualservice", "--namespace", NAMESPACE, "--all")


def grown(url: str, count: int) -> dict[tuple[str, str], Counter]:
    """What `count` requests to `url` add, by side and by the service that counts: codes → requests."""
    keys = [("source", "client", "server"), ("destination", "server", "server")]
    keys += [("source", "client", "mirror"), ("destination", "mirror", "mirror")]

    def look() -> dict:
        return {
            (side, what): counts(f'reporter="{side}",pod=~"{pods(app)}",destination_canonical_service="{what}"', "response_code")
            for side, app, what in keys
        }

    scraped()
    before = look()
    call(url, count)
    scraped()
    return {key: after - before[key] for key, after in look().items()}


def test_a_retry_is_one_request_to_its_sender_and_one_for_each_attempt_to_the_receivers(route):
    destination = {"destination": {"host": "server", "port": {"number": 80}}}
    route({"route": [destination], "retries": {"attempts": 2, "retryOn": "5xx"}})
    counted = grown("http://server/?codes=503:1", 20)
    assert counted["source", "server"] == {("503",): 20}
    assert counted["destination", "server"] == {("503",): 60}


def test_a_mirrored_copy_counts_at_its_receiver_only(route):
    destination = {"destination": {"host": "server", "port": {"number": 80}}}
    route({"route": [destination], "mirror": {"host": "mirror", "port": {"number": 80}}})
    counted = grown("http://server/", 20)
    assert counted["source", "server"] == counted["destination", "server"] == counted["destination", "mirror"] == {("200",): 20}
    assert not counted["source", "mirror"]


# The mesh graph of what is more than one service calling another


def istio(kind: str, name: str, spec: dict, group: str = "networking") -> dict:
    return {"apiVersion": f"{group}.istio.io/v1", "kind": kind, "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec}


@pytest.fixture
def ruled(tmp_path):
    """A lab, after a rule has been applied and is in effect; gone after the test."""
    lab, files = connect(namespace=NAMESPACE, quiet=True), []

    def apply(rule: dict):
        files.append(str(tmp_path / f"{len(files)}.json"))
        Path(files[-1]).write_text(json.dumps(rule))
        lab.apply(files[-1])
        return lab

    yield apply
    for file in reversed(files):
        lab.delete(file)


def edges(table) -> dict[tuple[str, str], dict]:
    return {(row["source"], row["destination"]): row for row in table.to_dict("records")}


def plain_address() -> str:
    [pod] = kubectl_json("get", "pods", "--namespace", NAMESPACE, "--selector", "app=plain")["items"]
    return pod["status"]["podIP"]


def test_the_graph_names_what_leaves_the_mesh_by_a_service_entry_and_without_one(ruled):
    port = {"number": 80, "name": "http", "protocol": "HTTP", "targetPort": 8080}
    spec = {"hosts": ["books.example"], "ports": [port], "resolution": "STATIC", "endpoints": [{"address": plain_address()}]}
    lab = ruled(istio("ServiceEntry", "books", spec))
    with lab.window() as window:
        call("http://server/", 3, "--header", "Host: books.example")
        call("http://server/", 4, "--header", "Host: elsewhere.example")
    for by in ("version", "service"):
        table = lab.graph(window, by=by)
        found = {destination: row["requests"] for (source, destination), row in edges(table).items() if source.startswith("client")}
        assert found == {"books.example": 3, "PassthroughCluster": 4}
        assert table.attrs["outside"] == {"books.example": "service entry", "PassthroughCluster": "passthrough"}


def test_the_graph_names_the_connections_of_tcp_that_leave_the_mesh():
    lab = connect(namespace=NAMESPACE, quiet=True)
    with lab.window() as window:
        call(f"tcp://{plain_address()}:9090", 3)
    [row] = lab.graph(window).to_dict("records")
    assert (row["destination"], row["protocol"], row["connections"]) == ("PassthroughCluster", "tcp", 3)


def test_the_graph_names_what_is_not_let_out(ruled):
    lab = ruled(istio("Sidecar", "default", {"outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"}}))
    with lab.window() as window:
        call("http://server/", 3, "--header", "Host: elsewhere.example")
    table = lab.graph(window)
    [row] = table.to_dict("records")
    assert (row["destination"], row["requests"], row["errors"]) == ("BlackHoleCluster", 3, 1.0)
    assert table.attrs["outside"] == {"BlackHoleCluster": "black hole"}


def test_the_graph_has_the_copies_of_a_mirror_and_marks_whom_a_virtual_service_names(ruled):
    route = {"route": [{"destination": {"host": "server"}}], "mirror": {"host": "mirror"}}
    lab = ruled(istio("VirtualService", "server", {"hosts": ["server"], "http": [route]}))
    with lab.window() as window:
        call("http://server/", 5)
    table = lab.graph(window, by="service")
    assert {edge: (row["requests"], row["mirrored"], row["mtls"]) for edge, row in edges(table).items()} == {
        ("client", "server"): (5, False, 1.0), ("client", "mirror"): (5, True, 1.0),
    }  # fmt: skip
    assert table.attrs["routed"] == ["server"]


def test_what_is_tried_again_is_no_copy_in_the_graph(ruled):
    route = {"route": [{"destination": {"host": "server"}}], "retries": {"attempts": 2, "retryOn": "5xx"}}
    lab = ruled(istio("VirtualService", "server", {"hosts": ["server"], "http": [route]}))
    with lab.window() as window:
        call("http://server/?codes=503:1", 5)
    table = lab.graph(window, by="service")
    assert edges(table).keys() == {("client", "server")} and "mirrored" not in table and table["requests"].sum() == 5


@pytest.mark.parametrize(("sender", "source"), [("client", "client-v9"), ("plain", "unknown")])
@pytest.mark.parametrize("url", ["http://mirror", "grpc://mirror:90"])
def test_the_graph_tells_who_was_denied(ruled, sender, source, url):
    chosen = {"selector": {"matchLabels": {"app": "mirror"}}, "action": "DENY", "rules": [{}]}
    lab = ruled(istio("AuthorizationPolicy", "closed", chosen, "security"))
    with lab.window() as window:
        output = call(url, 4, sender=sender, check=False)  # to the client, a status of gRPC is a failure
    assert "RBAC: access denied" in output or "StatusCode=403" in output
    table = lab.graph(window)
    print(table.to_string())  # shown where it has more rows than one
    [row] = table.to_dict("records")
    assert (row["source"], row["destination"], row["errors"], row["denied"]) == (source, "mirror-v1", 0.0, 1.0)


@pytest.mark.parametrize("host", ["server", "plain"])
def test_no_application_sees_who_the_proxies_say_is_calling(host):
    output = call(f"http://{host}/", 1, "--header", "X-Lab-Caller: somebody;else;a;b;c;d;e")
    seen = [line.split("=", 1)[1] for line in output.splitlines() if "RequestHeader=" in line]
    assert "StatusCode=200" in output and any(header.startswith("X-B3-") for header in seen)
    assert not [header for header in seen if header.lower().startswith("x-lab")]


@pytest.mark.parametrize(("sender", "known"), [("client", "client"), ("plain", "unknown")])
def test_what_an_application_claims_to_be_is_not_counted(sender, known):
    """Neither of one whose proxy says who it is, nor of one without a proxy, that shows no certificate: it could name anybody."""
    received = f'pod=~"{pods("server")}",reporter="destination"'
    scraped()
    before = counts(received, "source_workload")
    call("http://server/", 5, "--header", "X-Lab-Caller: somebody;else;a;b;c;d;e", sender=sender)
    scraped()
    assert counts(received, "source_workload") - before == {(known,): 5}


def test_istiod_and_the_containers_are_measured_too():
    assert query("pilot_xds_pushes") and query("pilot_proxy_convergence_time_bucket")
    own = "|".join(pods(app) for app in ("client", "server", "mirror"))
    proxies = f'container_memory_working_set_bytes{{pod=~"{own}",container="istio-proxy"}}'
    wait_until(lambda: len(query(proxies)) == 4, "the containers' memory", 40)


# Traces


def pages(count: int = 3) -> dict[str, bool]:
    """Trace ids of our own choice, and whether the page had stars: then reviews asked ratings."""
    found = {}
    for _ in range(count):
        trace, span = secrets.token_hex(16), secrets.token_hex(8)
        headers = {"x-b3-traceid": trace, "x-b3-spanid": span, "x-b3-sampled": "1", "traceparent": f"00-{trace}-{span}-01"}
        page = fetch(f"{connect(quiet=True).url}/productpage", headers)
        assert page.status == 200
        found[trace] = 'star"' in page.text
    return found


def zipkin(trace: str) -> list[tuple[str, str]]:
    answer = fetch(f"{addresses()['zipkin']}/api/v2/trace/{trace}")
    spans = answer.json() if answer.status == 200 else []
    return sorted((span["kind"], span["localEndpoint"]["serviceName"].split(".")[0]) for span in spans)


def expected(stars: bool) -> list[tuple[str, str]]:
    called = [("productpage", "details"), ("productpage", "reviews"), *([("reviews", "ratings")] if stars else [])]
    inside = [each for caller, callee in called for each in (("CLIENT", caller), ("SERVER", callee))]
    return sorted([("SERVER", "istio-ingressgateway"), ("CLIENT", "istio-ingressgateway"), ("SERVER", "productpage"), *inside])


def test_a_page_leaves_nine_spans_in_zipkin(capsys):
    began = time.monotonic()
    for trace, stars in pages().items():
        assert len(expected(True)) == 9
        wait_until(lambda t=trace, s=stars: zipkin(t) == expected(s), "every span", 30, late=lambda t=trace: str(zipkin(t)))
    with capsys.disabled():
        print(f"\nthree pages and all their spans in Zipkin: {time.monotonic() - began:.1f} s")


def jaeger(trace: str) -> list[tuple[str, str]]:
    answer = fetch(f"{addresses()['jaeger']}/jaeger/api/traces/{trace}")
    found = answer.json()["data"][0] if answer.status == 200 else {"spans": [], "processes": {}}
    names = {key: process["serviceName"].split(".")[0] for key, process in found["processes"].items()}
    kinds = [next(tag["value"] for tag in span["tags"] if tag["key"] == "span.kind") for span in found["spans"]]
    return sorted((kind.upper(), names[span["processID"]]) for kind, span in zip(kinds, found["spans"], strict=True))


def come_to(spans, gateway: bool) -> None:
    """Wait until a page leaves all its spans; connections opened before the switch go on as they were for a while."""
    [(trace, stars)] = pages(1).items()

    def whole() -> bool:
        nonlocal trace, stars
        if spans(trace) == [each for each in expected(stars) if gateway or each[1] != "istio-ingressgateway"]:
            return True
        [(trace, stars)] = pages(1).items()
        return False

    # A look follows its page by the three seconds in which spans arrive.
    wait_until(whole, "a page with all its spans", 90, every=3, late=lambda: str(spans(trace)))


def test_another_telemetry_sends_a_namespaces_traces_to_jaeger_and_back(tmp_path):
    lab = connect(namespace="default", quiet=True)
    telemetry = {
        "apiVersion": "telemetry.istio.io/v1", "kind": "Telemetry", "metadata": {"name": "tracing"},
        "spec": {"tracing": [{"randomSamplingPercentage": 100, "providers": [{"name": "jaeger"}]}]},
    }  # fmt: skip
    file = tmp_path / "jaeger.yaml"
    file.write_text(json.dumps(telemetry))
    lab.apply(str(file))
    try:
        come_to(jaeger, gateway=False)  # whose namespace is another: see the book
    finally:
        kubectl("delete", "telemetry", "tracing", "--namespace", "default")
    come_to(zipkin, gateway=True)


# What a user sees


def test_the_pages_of_zipkin_are_open_to_the_host():
    page = fetch(f"{addresses()['zipkin']}/zipkin/")
    assert page.status == 200 and "<title>Zipkin</title>" in page.text


def test_status_names_the_addons():
    state = json.loads(meshlab("status", "--json", check=False).stdout)  # whatever else runs in the lab
    assert set(state["addons"]) == set(addon_manifests.OURS)
    assert all(state["workloads"][f"istio-system/{name}"] == "well" for name in addon_manifests.OURS)


@pytest.mark.parametrize("name", addon_manifests.OURS)
def test_an_addon_that_is_there_is_named_with_its_address(name):
    assert addresses()[name] in meshlab("addons", name).stdout


@pytest.mark.parametrize("name", ["kiali", "grafana"])
def test_an_addon_without_an_image_is_refused_and_leaves_nothing(name):
    def objects() -> set[str]:
        listed = kubectl("get", "deployments,services,configmaps,serviceaccounts,pods", "--namespace", "istio-system", "--output", "name")
        roles = kubectl("get", "clusterroles,clusterrolebindings", "--output", "name")
        return set((listed + roles).split())

    before = objects()
    done = meshlab("addons", name, check=False, timeout=120)
    assert done.returncode == 1 and f"{name.capitalize()} cannot run on this cluster" in done.stderr and "cannot be pulled" in done.stderr
    assert objects() == before
