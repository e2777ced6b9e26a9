"""Looking at a live mesh: what the graph, the counts, the dashboards and the traces say, held against what was sent."""

from pathlib import Path

import psutil
import pytest

from lab_helpers.chapters.c06_mesh_graph.checks import USED
from lab_helpers.chapters.c07_tracing import logs
from lab_helpers.chapters.c08_metrics import dashboard, dashboards
from lab_helpers.chapters.c08_metrics import panels as drawn
from lab_helpers.core.errors import QueryError
from lab_helpers.core.wait import wait_until
from lab_helpers.kube.kinds import POD
from lab_helpers.node import machine
from lab_helpers.node.machine import MACHINE
from lab_helpers.traffic import prometheus

# Zipkin keeps the newest spans only, and others' requests pass the same gateway.
pytestmark = [pytest.mark.lab, pytest.mark.alone("it holds against what was sent what the gateway and the stores of all hold")]
CHROMIUM = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.fixture
def nowhere(lab):
    """The same lab, which looks for Prometheus and the others where there are none."""
    lab.addons_namespace, there = "kube-public", lab.addons_namespace
    yield lab
    lab.addons_namespace = there


@pytest.fixture(scope="module")
def pages(lab):
    """A window with 80 pages in it, and how many were sent."""
    with lab.window():  # what a proxy has never counted has no rate at its first scrape, and no share either
        lab.observe("productpage", n=40, via="gateway")
    with lab.window() as window:
        sent = lab.observe("productpage", n=80, via="gateway")
    assert (sent["status"] == 200).all()
    return window, len(sent)


def test_the_graph_has_exactly_the_edges_that_were_used(lab, pages):
    graph = lab.graph(pages[0])
    assert set(zip(graph["source"], graph["destination"], strict=True)) == USED
    assert (graph["mtls"] == 1).all() and (graph["errors"] == 0).all() and graph["p95_ms"].notna().all()


def test_an_edge_has_the_rate_that_was_sent(lab, pages):
    window, sent = pages
    graph = lab.graph(window, by="service").set_index(["source", "destination"])
    wanted = sent / window.seconds
    print(wanted, graph)
    for edge in (("istio-ingressgateway", "productpage"), ("productpage", "details"), ("productpage", "reviews")):
        assert graph["rate"][edge] == pytest.approx(wanted, rel=0.05)


def test_a_window_without_traffic_has_an_empty_graph(lab):
    with lab.window() as window:
        pass
    assert lab.graph(window).empty


def test_two_thousand_requests_are_counted_to_the_last_one_by_version_and_code(lab, tmp_path):
    path = tmp_path / "fail.yaml"
    path.write_text("""
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews}
spec:
  hosts: [reviews]
  http:
    - fault: {abort: {percentage: {value: 20}, httpStatus: 503}}
      route: [{destination: {host: reviews}}]
""")
    lab.apply(str(path))
    try:
        with lab.window() as window:
            seen = lab.observe("reviews", n=2000, parallel=4)
    finally:
        lab.delete(str(path))
    counted = lab.requests(window, "source_workload", "destination_version", "response_code").query("source_workload == 'client'")
    counted = counted.set_index(["destination_version", "response_code"])["requests"]
    sent = seen.assign(version=seen["version"].fillna("unknown"), status=seen["status"].astype(str)).groupby(["version", "status"]).size()
    print(counted.to_dict())
    assert counted.sum() == 2000 and counted.to_dict() == sent.to_dict()
    arrived = lab.requests(window, "destination_version", "response_code", "source_workload", reporter="destination")
    arrived = arrived[arrived["source_workload"] == "client"].set_index("destination_version")["requests"]
    assert arrived.to_dict() == {version: number for (version, code), number in counted.items() if code == "200"}


def test_a_look_that_fails_as_a_window_begins_costs_no_count(lab):
    with lab.window():
        lab.observe("reviews", n=20)
    [pod] = lab.client.list(POD, labels={"app": "client"})
    agent = next(each for each in map(psutil.Process, machine.processes(MACHINE)) if each.name() == "pilot-agent" and _is_of(each, pod))
    agent.suspend()  # it hands the proxy's counters over
    try:
        up = f"up{{pod='{pod['metadata']['name']}'}}"
        wait_until(lambda: len(lab.promql(f"{up} == 0")), "a look at the client's proxy to fail", 30)
        begun = prometheus.clock(lab)
        late = f"{up} == 0 and timestamp({up}) > {begun}"  # the one that was under way is dated before, and still may succeed
        wait_until(lambda: len(lab.promql(late)), "a second look to fail", 30)
    finally:
        agent.resume()
    with lab.window() as window:
        lab.observe("reviews", n=30)
    counted = lab.requests(prometheus.Window(begun, window.end, window.known), "source_workload").set_index("source_workload")
    assert counted.requests["client"] == 30


def _is_of(process: psutil.Process, pod: dict) -> bool:
    return pod["metadata"]["uid"] in Path(f"/proc/{process.pid}/cgroup").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["mesh", "service", "workload"])
def test_every_panel_is_drawn_from_live_data_or_listed_with_the_reason(lab, pages, name):
    chosen = {
        "mesh": {},
        "service": {"service": f"reviews.{lab.namespace}.svc.cluster.local"},
        "workload": {"namespace": lab.namespace, "workload": "productpage-v1"},
    }[name]
    board = dashboard(lab, name, pages[0], **chosen)
    panels = [each for each in board.panels if each.kind not in ("row", "text")]
    wanted = [each for each in dashboards.dashboards(lab)[name]["panels"] if each["type"] not in ("row", "text")]
    assert [each.title for each in panels] == [each["title"] for each in dashboards.sections(wanted)]
    # Bookinfo speaks HTTP only: just the panels that ask for TCP have nothing to show.
    for each in panels:
        asks_tcp = all("istio_tcp_" in query for query, _ in each.queries)
        assert each.reason.startswith("no data") if asks_tcp and not len(each.data) else not each.reason, (each.title, each.reason)
    figure = drawn.figure(board)
    words = [each.text for each in figure.layout.annotations]
    assert all(any(each.title.split()[0] in text for text in words) for each in panels)
    assert len(figure.to_json()) < 200_000, "a recorded notebook keeps every byte of it"


def test_every_dashboard_of_istio_can_be_drawn(lab):
    for name in dashboards.dashboards(lab):
        board = dashboard(lab, name, "5m")
        assert drawn.figure(board).data is not None
        assert board.undrawn["reason"].str.startswith("no data").all(), board.undrawn


def test_zipkins_pages_show_the_trace_that_the_notebook_shows(lab, pages):
    from playwright.sync_api import expect, sync_playwright

    found = lab.traces(pages[0], at_least=1)
    spans = lab.trace(found.loc[found["spans"].idxmax(), "trace"])
    id = spans.attrs["trace"]
    address = lab.uis().set_index("name")["address"]["zipkin"]
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path="/usr/bin/chromium", args=CHROMIUM)
        page = browser.new_page()
        page.goto(f"{address}traces/{id}")
        expect(page.get_by_text(id).first).to_be_visible(timeout=60_000)
        text = page.inner_text("body")
        browser.close()
    for service in {name.partition(".")[0] for name in spans["service"]}:
        assert service in text.lower()


def test_every_page_has_left_a_whole_trace(lab, pages):
    found = lab.traces(pages[0], at_least=pages[1])
    assert len(found) == pages[1] and (found["status"] == "200").all()
    spans = lab.trace(found.loc[found["spans"].idxmax(), "trace"])
    assert len(spans) == 9 and spans["parent"].iloc[0] == "" and set(spans["parent"].iloc[1:]) <= set(spans["span"])


def test_the_access_log_has_a_line_for_every_request(lab, pages):
    lines = logs(lab, "productpage", pages[0], container="istio-proxy")
    access = lines[(lines["kind"] == "access") & lines["line"].str.contains("GET /productpage ")]
    assert len(access) == pages[1]


# Wrong questions, and nobody there to answer.


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("sum(rate(up[1m])", r"not PromQL, at line 1, column \d+: unclosed left parenthesis"),
        ("up{", "not PromQL, at line 1, column 4"),
        ("sum by (pod)\n  (up) +", "not PromQL, at line 2"),
        ("up * on (job) up", "could not compute it: .*many-to-many"),
        ("", "Prometheus does not take the question|not PromQL"),
    ],
)
def test_a_wrong_query_gets_a_sentence(lab, query, sentence):
    with pytest.raises(QueryError, match=sentence) as caught:
        lab.promql(query)
    assert caught.value.do


@pytest.mark.parametrize(
    ("ask", "sentence"),
    [
        (lambda lab: lab.promql("up", start=0, end=100), "no data from 1970-01-01 00:00:00 to 1970-01-01 00:01:40 UTC for up"),
        (lambda lab: lab.promql("up", start=200, end=100), "is not before its end"),
        (lambda lab: lab.promql("up", last="5 minutes"), "'5 minutes' is not a duration"),
        (lambda lab: lab.promql("up", last="90d", step="1s"), "exceeded maximum resolution"),
        (lambda lab: lab.graph("1m", by="colour"), "There is no graph by 'colour'"),
        (lambda lab: lab.requests("1m", reporter="me"), "No proxy reports as 'me'"),
        (lambda lab: dashboard(lab, "meshes"), "There is no dashboard 'meshes'"),
        (lambda lab: dashboard(lab, "service", colour="red"), "has no variable 'colour'"),
        (lambda lab: dashboard(lab, "service", service="nobody"), "There is no service 'nobody' to choose"),
        (lambda lab: lab.trace("xyz"), "'xyz' is not the id of a trace"),
        (lambda lab: lab.trace("0" * 31 + "1"), "Zipkin has no trace 0000"),
        (lambda lab: lab.traces(store="tempo"), "There is no trace store 'tempo'"),
        (lambda lab: logs(lab, "nobody"), "has no Service 'nobody'"),
        (lambda lab: logs(lab, "reviews", container="nobody"), "has no pod with a container nobody"),
    ],
)
def test_a_wrong_question_gets_a_sentence(lab, ask, sentence):
    with pytest.raises(QueryError, match=sentence) as caught:
        ask(lab)
    assert caught.value.do


@pytest.mark.parametrize(
    ("ask", "sentence"),
    [
        (lambda lab: lab.promql("up"), "The cluster has no Prometheus"),
        (lambda lab: lab.graph("1m"), "The cluster has no Prometheus"),
        (lambda lab: lab.trace("a" * 16), "The cluster has no Zipkin"),
        (lambda lab: lab.traces(store="jaeger", since="1m"), "The cluster has no (Jaeger|Prometheus)"),
        (lambda lab: dashboard(lab, "mesh"), "has no ConfigMap with dashboards"),
    ],
)
def test_nobody_there_gets_a_sentence(nowhere, ask, sentence):
    with pytest.raises(QueryError, match=sentence) as caught:
        ask(nowhere)
    assert "meshlab addons" in caught.value.do
    assert (nowhere.uis()["state"] == "not installed").all()


@pytest.mark.parametrize(
    ("name", "ask"),
    [("prometheus", lambda lab: lab.promql("up")), ("zipkin", lambda lab: lab.trace("a" * 16))],
    ids=["prometheus", "zipkin"],
)
def test_down_gets_a_sentence(lab, name, ask):
    lab.run(f"kubectl scale deployment {name} -n istio-system --replicas=0")
    try:
        lab.run(f"kubectl wait pod -n istio-system -l {LABELS[name]} --for=delete --timeout=50s")
        with pytest.raises(QueryError, match=f"{name.capitalize()} does not answer: .* has no ready pod") as caught:
            ask(lab)
        assert "kubectl get pods -n istio-system" in caught.value.do
        assert lab.uis().set_index("name")["state"][name] == "no ready pod"
    finally:
        lab.run(f"kubectl scale deployment {name} -n istio-system --replicas=1")
        lab.run(f"kubectl rollout status deployment {name} -n istio-system --timeout=120s", deadline=130)


LABELS = {"prometheus": "app.kubernetes.io/name=prometheus", "zipkin": "app=zipkin"}
