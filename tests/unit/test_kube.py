"""Changes, channels and an API server that is gone: what needs no cluster."""

import socket
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from lab_helpers.core.errors import ClusterError, MeshError, TrafficError
from lab_helpers.kube import apply, channels, credentials, kubeconfig, rollout
from lab_helpers.kube.client import Client
from lab_helpers.kube.kinds import DEPLOYMENT, POD
from lab_helpers.lab.lab import Lab
from lab_helpers.traffic import observe
from tests.web import serving


def test_a_change_is_what_a_person_changed():
    old = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "a", "resourceVersion": "1"},
        "spec": {"x": 1},
        "status": {"y": 1},
    }
    new = {**old, "metadata": {"name": "a", "resourceVersion": "2"}, "status": {"y": 2}}
    assert apply._change(None, new).action == "created" and apply._change(old, new).action == "unchanged"
    change = apply._change(old, {**new, "spec": {"x": 2}})
    assert change.action == "configured" and "-  x: 1" in change.diff and "+  x: 2" in change.diff


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ({"n": 0}, "n = 0, parallel = 1 is out of range"),
        ({"n": 1_000_000}, "out of range"),
        ({"parallel": 51}, "out of range"),
        ({"via": "tunnel"}, "no way 'tunnel' into the mesh.*mesh, plain, gateway"),
        ({"service": "unheard"}, "What to ask unheard for is not known"),
    ],
)
def test_requests_that_make_no_sense_are_refused(how, sentence):
    with pytest.raises(TrafficError, match=f"(?s){sentence}"):
        observe.observe(None, **{"service": "reviews", **how})


@pytest.mark.parametrize("page", [b"<html>It works!</html>", b"[]", b'{"kind": "Status"}', b'"text"'])
def test_a_server_that_is_no_kubernetes_says_so(page):
    with serving(lambda request: (200, page)) as (address, _):
        client = Client(kubeconfig.Context("c", {"server": address}, {}, ""))
        with pytest.raises(ClusterError, match="does not answer as a Kubernetes API server does"):
            client.version  # noqa: B018


@pytest.mark.parametrize(
    "use",
    [
        lambda lab: lab.page(),
        lambda lab: lab.apply("04_bookinfo/01-productpage"),
        lambda lab: lab.checkpoint("04_bookinfo"),
        lambda lab: lab.observe("reviews"),
        lambda lab: lab.calls(),
    ],
)
def test_an_api_server_that_is_gone_is_named_whatever_was_asked(use):
    with socket.socket() as held:  # bound and not listening: connections are refused
        held.bind(("127.0.0.1", 0))
        cluster = {"server": f"https://127.0.0.1:{held.getsockname()[1]}", "insecure-skip-tls-verify": True}
        client = Client(kubeconfig.Context("c", cluster, {"token": "t"}, ""))
        with pytest.raises(ClusterError, match="(?s)the API server did not answer.*meshlab status"):
            use(Lab(client))


def test_a_kept_connection_that_broke_is_opened_anew(monkeypatch):
    opened, broken = [], set()

    @contextmanager
    def connection(*_):
        opened.append(len(opened))
        yield opened[-1]

    def ask(number, *_):
        if number in broken:
            raise MeshError("broken pipe")
        return 200, b"answer"

    monkeypatch.setattr(channels, "_forwarded", connection)
    monkeypatch.setattr(channels, "_ask", ask)
    question = (SimpleNamespace(context=SimpleNamespace(name="c")), "ns", "pod", 1, "/")
    with channels.kept():
        assert channels.get(*question) == channels.get(*question) == b"answer" and opened == [0]
        broken.add(0)
        assert channels.get(*question) == b"answer" and opened == [0, 1]
        broken.update((1, 2))
        with pytest.raises(MeshError, match="broken pipe"):
            channels.get(*question)
        assert opened == [0, 1, 2], "once, not until it works"


@pytest.mark.parametrize("empty", range(4))
def test_no_output_stays_behind_the_outcome(monkeypatch, empty):
    """Whichever channel is looked at when it all comes: one look takes in what has come on every channel."""
    frames = [(1, b"a"), (2, b"e"), (1, b"b"), (1, b"c"), (3, b'{"status": "Success"}')]

    class Scripted(channels.WSClient):
        def __init__(self, *_, **__):
            self.binary, self.sock, self._channels, self._closed_channels = True, SimpleNamespace(shutdown=list), {}, set()
            self.left = [[]] * empty + [frames]  # `empty` looks at which nothing has come

        def is_open(self):
            return True

        def update(self, timeout=0):
            for number, content in self.left.pop(0) if self.left else []:
                self._channels[number] = self._channels.get(number, b"") + content

    monkeypatch.setattr(channels, "WSClient", Scripted)
    monkeypatch.setattr(channels, "_address", lambda *_: ())
    assert channels.execute(SimpleNamespace(namespace="ns"), "pod", "c", ["x"]) == ("abc", "e", 0)


@pytest.mark.parametrize(
    ("status", "body", "error", "sentence"),
    [
        (500, b'container not found ("app")', MeshError, "pod .app. cannot be reached: container not found"),
        (404, b'{"kind": "Status", "message": "pods \\"pod\\" not found"}', MeshError, 'cannot be reached: pods "pod" not found'),
        (502, b"{bad gateway}", MeshError, "cannot be reached: {bad gateway}"),
        (502, b"[1]", MeshError, "cannot be reached: .1."),
        (503, b"", MeshError, "cannot be reached: 503"),
        (403, b'{"message": "pods is forbidden: User ann cannot create pods/exec"}', ClusterError, "may not be asked by your account"),
        (401, b'{"message": "Unauthorized"}', ClusterError, "does not accept the credentials.*connect once more"),
    ],
)
def test_whatever_stands_in_the_way_to_a_pod_may_answer_in_any_form(status, body, error, sentence):
    with serving(lambda request: (status, body)) as (address, _):
        client = Client(kubeconfig.Context("c", {"server": address}, {"token": "t"}, ""))
        client._connected = SimpleNamespace(configuration=credentials.configuration(client.context)[0])
        with pytest.raises(error, match=f"(?s){sentence}"):
            channels.execute(client, "pod", "app", ["true"])


@pytest.mark.parametrize(
    ("outcome", "done"),
    [
        (b'{"status": "Success"}', ("a\ufffd", "", 0)),
        (b'{"status": "Failure", "details": {"causes": [{"reason": "ExitCode", "message": "3"}]}}', ("a\ufffd", "", 3)),
        (b'{"status": "Failure", "message": "no such file", "details": null}', "sh could not be run in pod: no such file"),
        (b"command terminated", "sh could not be run in pod: command terminated"),
    ],
)
def test_how_a_command_ended_may_be_told_as_text_and_what_it_printed_need_be_none(monkeypatch, outcome, done):
    channel = SimpleNamespace(sock=SimpleNamespace(shutdown=list))
    monkeypatch.setattr(channels, "WSClient", lambda *_, **__: channel)
    monkeypatch.setattr(channels, "_address", lambda *_: ())
    monkeypatch.setattr(channels, "_read", lambda *_: {channels.ERROR_CHANNEL: outcome, channels.STDOUT_CHANNEL: b"a\xff"})
    ask = lambda: channels.execute(SimpleNamespace(namespace="ns"), "pod", "c", ["sh"])  # noqa: E731
    if isinstance(done, tuple):
        assert ask() == done
        return
    with pytest.raises(MeshError, match=done):
        ask()


@pytest.mark.parametrize("answer", [b"", b"<html>", b"{", b"\xff"])
def test_a_port_on_which_somebody_else_answers_is_named(monkeypatch, answer):
    monkeypatch.setattr(channels, "get", lambda *_: answer)
    with pytest.raises(MeshError, match="ns/pod:15000/clusters answered what is no JSON"):
        channels.get_json(None, "ns", "pod", 15000, "/clusters")


def test_what_was_heard_a_moment_ago_is_remembered_only_while_connections_are_kept():
    answers = iter(range(9))

    def ask() -> int:
        return channels.remembered("who", 60, lambda: next(answers))

    assert (ask(), ask()) == (0, 1)
    with channels.kept():
        assert (ask(), ask()) == (2, 2)
        channels.forget("who")
        assert (ask(), channels.remembered("who", -1, lambda: next(answers))) == (3, 4)
    assert ask() == 5


def test_pods_are_listed_only_once_deployments_say_that_they_are_done():
    def deployment(updated: int) -> dict:
        status = {"observedGeneration": 1, "updatedReplicas": updated, "replicas": 1, "availableReplicas": 1}
        spec = {"replicas": 1, "selector": {"matchLabels": {"app": "a"}}}
        return {"metadata": {"name": "a", "generation": 1}, "spec": spec, "status": status}

    pod = {"metadata": {"labels": {"app": "a"}}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    answers = {DEPLOYMENT: iter([[deployment(0)], [deployment(1)], [deployment(1)]]), POD: iter([[], [pod]])}
    asked = []
    client = SimpleNamespace(list=lambda kind, namespace: asked.append(kind.kind) or next(answers[kind]))
    rollout.complete(client, ["a"], "default", 5)
    assert asked == ["Deployment", "Deployment", "Pod", "Deployment", "Pod"]


def test_what_comes_with_the_end_between_two_looks_is_not_lost():
    class Ending:
        """Its outcome, on channel 3, and its end come while channel 2 is looked at."""

        came, opened = {}, True

        def read_channel(self, number):
            if number == 2 and self.opened:
                self.came, self.opened = {3: b"Success"}, False
            return self.came.pop(number, b"")

        def is_open(self):
            return self.opened

    assert channels._read(Ending(), (3, 1, 2), 1) == {3: b"Success"}
