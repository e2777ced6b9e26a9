"""Values that mean something to curl, PromQL or pandas, connections that are no requests, traces that begin outside: on a live mesh."""

import json
import secrets

import pandas as pd
import pytest

from lab_helpers.core.errors import QueryError
from lab_helpers.core.wait import wait_until
from lab_helpers.lab import checkpoint, connect
from lab_helpers.lab.chapters import BOOKINFO, CLIENTS
from lab_helpers.node.build.versions import VERSIONS
from lab_helpers.traffic import traces
from tests.live import NAMESPACE

pytestmark = pytest.mark.lab
ECHO = f"""
apiVersion: v1
kind: Service
metadata: {{name: tcp-echo}}
spec:
  selector: {{app: tcp-echo}}
  ports: [{{name: tcp, port: 9090}}]
---
apiVersion: v1
kind: Service
metadata: {{name: nobody}}
spec:
  selector: {{app: nobody}}
  ports: [{{name: tcp, port: 9090}}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: tcp-echo}}
spec:
  selector: {{matchLabels: {{app: tcp-echo}}}}
  template:
    metadata: {{labels: {{app: tcp-echo, version: v1}}}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
        - name: app
          image: {VERSIONS["istio"]["hub"]}/app:{VERSIONS["istio"]["version"]}
          imagePullPolicy: Never
          args: [--port=8080, --tcp=9090]
          readinessProbe: {{tcpSocket: {{port: 9090}}, periodSeconds: 1}}
"""


@pytest.fixture(scope="module")
def lab():
    found = connect(quiet=True, namespace=NAMESPACE)
    checkpoint.reach(found, "Bookinfo", [*CLIENTS, *BOOKINFO])
    return found


def test_the_mesh_sees_a_header_and_a_path_as_they_were_given(lab, tmp_path):
    values = ['say "hi"', "C:\\new", "@/etc/hostname", "a, b", ""]
    match = [{"headers": {"x-odd": {"exact": value}} if value else {"x-odd": {"regex": "^$"}}} for value in values]
    match += [{"uri": {"exact": "/what/%5B1-3%5D"}, "queryParams": {"is": {"exact": "this"}}}]
    refused = {"match": match, "fault": {"abort": {"percentage": {"value": 100}, "httpStatus": 418}}}
    spec = {"hosts": ["details"], "http": [{**each, "route": [{"destination": {"host": "details"}}]} for each in (refused, {})]}
    path = tmp_path / "odd.yaml"
    path.write_text(
        json.dumps({"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": "odd"}, "spec": spec})
    )
    lab.apply(str(path))
    try:
        for value in values:
            assert set(lab.observe("details", n=2, headers={"X-Odd": value})["status"]) == {418}, value
        assert set(lab.observe("details", n=2, path="/what/[1-3]?is=this")["status"]) == {418}
        assert set(lab.observe("details", n=2, headers={"x-odd": "none of these"})["status"]) == {200}
    finally:
        lab.delete(str(path))


@pytest.mark.parametrize("label", ["time", "value", "index", "name", "metric", "level_0"])
def test_an_answer_keeps_its_time_and_value_whatever_its_labels_are_called(lab, label):
    found = lab.promql(f'label_replace(vector(5), "{label}", "a\\"b\\\\c", "", "")')
    assert found["value"].tolist() == [5.0] and isinstance(found["time"].iloc[0], pd.Timestamp)
    assert 'a"b\\c' in found.iloc[0].tolist()


@pytest.mark.parametrize(
    ("query", "place"), [("up{\n", "line 2, column 1"), ('up{job="ż"} +', "line 1, column 14"), ('up{job="\\z"}', "column 8")]
)
def test_a_wrong_query_is_shown_where_it_is_wrong(lab, query, place):
    with pytest.raises(QueryError, match=f"This is not PromQL, at .*{place}"):
        lab.promql(query)


def test_a_connection_is_an_edge_of_the_graph_whoever_draws_it(lab, tmp_path):
    path = tmp_path / "echo.yaml"
    path.write_text(ECHO)
    lab.apply(str(path))
    # It ends after a second of silence: whoever hangs up while Envoy still looks whether he speaks TLS has not come in at all.
    say = "kubectl exec deploy/{} -- sh -c 'echo hello | nc -w 1 {} 9090 || true'"
    try:
        with lab.window() as window:
            for caller, service in [("client", "tcp-echo")] * 3 + [("plain-client", "tcp-echo"), ("client", "nobody")]:
                lab.run(say.format(caller, service))
        for by, client, echo in (
            ("version", "client-v1", "tcp-echo-v1"), ("app", "client", "tcp-echo"), ("workload", "client", "tcp-echo"),
            ("service", "client", "tcp-echo"),
        ):  # fmt: skip
            found = lab.graph(window, by=by).set_index(["source", "destination"])
            assert (found["protocol"] == "tcp").all() and (found["requests"] == 0).all()
            assert found["connections"].to_dict() == {(client, echo): 3, ("unknown", echo): 1, (client, "nobody"): 1}
            assert found["errors"].to_dict() == {(client, echo): 0, ("unknown", echo): 0, (client, "nobody"): 1}
            assert found["mtls"].dropna().to_dict() == {(client, echo): 1, ("unknown", echo): 0}
            assert found["rate"].to_dict() == {edge: pytest.approx(row / window.seconds) for edge, row in found["connections"].items()}
    finally:
        lab.delete(str(path))


@pytest.mark.parametrize(("via", "first"), [("mesh", "client"), ("gateway", "istio-ingressgateway"), ("plain", "details")])
def test_a_trace_that_somebody_outside_begins_is_shown_from_whoever_tells_of_it_first(lab, monkeypatch, via, first):
    monkeypatch.setattr(traces, "SETTLED", 6.0)  # more than the 5 s after which a proxy hands on its spans
    id, span = secrets.token_hex(16), secrets.token_hex(8)
    headers = {"x-b3-traceid": id, "x-b3-spanid": span, "x-b3-sampled": "1"}
    lab.observe("details", n=1, via=via, headers=headers)
    wait_until(lambda: traces.one(lab, "zipkin", id), "the first spans", 20)
    found = lab.trace(id, store="zipkin")
    assert found["service"].iloc[0].startswith(f"{first}.") and found["service"].iloc[-1] == f"details.{lab.namespace}"
    assert found["parent"].iloc[0] not in ("", *found["span"]) and set(found["parent"].iloc[1:]) <= set(found["span"])
