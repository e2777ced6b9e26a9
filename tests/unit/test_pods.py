"""One ready pod of an application, and the log of a container, where there is neither."""

import pandas as pd
import pytest

from lab_helpers.chapters.c07_tracing import lines
from lab_helpers.chapters.c14_mirroring import access
from lab_helpers.chapters.c18_mtls import rotation
from lab_helpers.chapters.c19_access_control import reasons
from lab_helpers.chapters.c20_service_accounts import address
from lab_helpers.chapters.c21_jwt import server
from lab_helpers.core.errors import TrafficError
from lab_helpers.core.http import Answer
from lab_helpers.istio import envoy
from lab_helpers.kube import pods
from lab_helpers.kube.kinds import POD, SERVICE
from tests.objects import Cluster, named, pod


def test_a_ready_pod_is_one_of_the_app_that_is_not_on_its_way_out():
    leaving = pod("a-1", app="a")
    leaving["metadata"]["deletionTimestamp"] = "now"
    mesh = Cluster({POD: [pod("b-1", app="b"), leaving, pod("a-2", ready=False, app="a"), pod("a-3", app="a")]})
    assert pods.require_ready(mesh, "a")["metadata"]["name"] == "a-3"


@pytest.mark.parametrize("app", ["nobody", "late", "late,app=b", "", "two words", None])
def test_that_there_is_none_is_told_with_what_to_do(app):
    mesh = Cluster({POD: [pod("b-1", app="b"), pod("late-1", ready=False, app="late")]})
    for namespace, where in ((None, "default"), ("istio-system", "istio-system")):
        with pytest.raises(TrafficError) as caught:
            pods.require_ready(mesh, app, namespace=namespace)
        assert str(caught.value) == f"There is no ready pod {app!r} in namespace {where}.\n→ kubectl get pods lists them."
    with pytest.raises(TrafficError, match="→ Apply it"):
        pods.require_ready(mesh, app, "Apply it.")


def test_the_log_of_a_container_is_asked_for_where_its_pod_is():
    asked = []
    there = pod("istiod-1")
    there["metadata"]["namespace"] = "istio-system"
    raw = lambda *question: asked.append(question) or Answer(200, {}, b"2026-11-27 info\n[1] one\n[2] two\n")  # noqa: E731
    mesh = Cluster({}, raw=raw)
    assert pods.log(mesh, there, "discovery", sinceSeconds=600).count("\n") == 3
    assert envoy.access_log(mesh, pod("a-1"), 7) == ["[1] one", "[2] two"]
    assert asked == [
        ("/api/v1/namespaces/istio-system/pods/istiod-1/log", {"container": "discovery", "sinceSeconds": 600}),
        ("/api/v1/namespaces/default/pods/a-1/log", {"container": "istio-proxy", "tailLines": 7}),
    ]


@pytest.mark.parametrize(
    ("read", "name"),
    [
        (lambda lab: pods.log(lab, lab.objects[POD][0], "app"), "keys-1"),
        (lambda lab: lines.logs(lab, "keys"), "keys-1"),
        (lambda lab: access.heard(lab, "look", ("v1",), "keys"), "keys-1"),
        (lambda lab: access.written(lab, "/ratings/0"), "ratings-1"),
        (lambda lab: rotation.history(lab, "keys"), "keys-1"),
        (lambda lab: reasons.why(lab, "client", "GET http://keys:8080/", "keys"), "keys-1"),
        (lambda lab: address.lines_from(lab, "keys", "ratings"), "keys-1"),
        (lambda lab: server.visits(lab, "a.json"), "keys-1"),
        (lambda lab: server.failures(lab, "a.json"), "keys-1"),
    ],
)
@pytest.mark.parametrize("status", [403, 500])
def test_a_log_that_cannot_be_read_is_not_taken_for_an_empty_one(monkeypatch, read, name, status):
    there = [pod("keys-1", app="keys", version="v1"), pod("ratings-1", app="ratings", status={"podIP": "10.0.0.7"})]
    lab = Cluster({POD: there, SERVICE: [named("keys", spec={"selector": {"app": "keys"}})]}, raw=lambda *_: Answer(status, {}, b"{}"))
    monkeypatch.setattr(lines.prometheus, "clock", lambda lab: 0)
    monkeypatch.setattr(access, "sent_by_client", lambda lab, service: pd.DataFrame({"open": []}))
    monkeypatch.setattr(reasons, "ask", lambda *_: None)
    monkeypatch.setattr(server.istiod, "pods", lambda client: there[:1])
    with pytest.raises(
        TrafficError, match=rf"The log of {name} cannot be read \({status}\)\.\n→ kubectl logs {name} -c \S+ -n default says"
    ):
        read(lab)


def test_a_pod_that_has_not_begun_has_logged_nothing(monkeypatch):
    monkeypatch.setattr(lines.prometheus, "clock", lambda lab: 0)
    behind = [pod("keys-1", ready=False, status={"phase": "Pending"}, app="keys")]
    lab = Cluster({POD: behind, SERVICE: [named("keys", spec={"selector": {"app": "keys"}})]}, raw=lambda *_: Answer(400, {}, b"{}"))
    assert lines.logs(lab, "keys").empty
