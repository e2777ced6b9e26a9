"""Whatever stands at the address of the cluster: each helper tells in a sentence what came, and never falls over."""

import re
from itertools import count
from types import SimpleNamespace

import pytest

from lab_helpers.core import wait
from lab_helpers.core.errors import LabError
from lab_helpers.istio import istiod
from lab_helpers.kube import kubeconfig
from lab_helpers.kube.client import Client
from lab_helpers.lab import connection
from lab_helpers.lab.lab import Lab
from lab_helpers.traffic.prometheus import Window
from tests.web import serving

RULE = "12_traffic_shifting/01-subsets.yaml"
HELPERS = {
    "connect": lambda lab: connection._ask(lab, True),
    "url": lambda lab: lab.url,
    "run": lambda lab: unmarked(lab).run("kubectl delete pods --all"),
    "checkpoint": lambda lab: lab.checkpoint("04_bookinfo"),
    "checkpoint of the installation": lambda lab: lab.checkpoint("03_install"),
    "apply": lambda lab: lab.apply(RULE),
    "delete": lambda lab: lab.delete(RULE),
    "diff": lambda lab: lab.diff(RULE),
    "page": lambda lab: lab.page(),
    "observe": lambda lab: lab.observe("reviews", n=1),
    "observe by the gateway": lambda lab: lab.observe("reviews", n=1, via="gateway"),
    "calls": lambda lab: lab.calls(),
    "uis": lambda lab: lab.uis(),
    "promql": lambda lab: lab.promql("up"),
    "requests": lambda lab: lab.requests(Window(1.0, 2.0, 3.0)),
    "graph": lambda lab: lab.graph("1m"),
    "traces": lambda lab: lab.traces(),
    "trace": lambda lab: lab.trace("0" * 32),
}


def unmarked(lab: Lab) -> Lab:
    """The lab, whose cluster is asked first whether it carries the mark: kubectl is not even started."""
    lab.client._permitted = False
    return lab


KINDS = {
    "v1": ("Pod", "Service", "Namespace", "ConfigMap", "ServiceAccount", "Secret", "Node"),
    "apps/v1": ("Deployment", "ReplicaSet"),
    "autoscaling/v2": ("HorizontalPodAutoscaler",),
    "discovery.k8s.io/v1": ("EndpointSlice",),
    "networking.k8s.io/v1": ("NetworkPolicy",),
    "rbac.authorization.k8s.io/v1": ("Role", "RoleBinding"),
    "networking.istio.io/v1": ("VirtualService", "DestinationRule", "Gateway", "ServiceEntry"),
    "apiextensions.k8s.io/v1": ("CustomResourceDefinition",),
    "admissionregistration.k8s.io/v1": ("MutatingWebhookConfiguration",),
    "authorization.k8s.io/v1": ("SelfSubjectAccessReview",),
}
ALONE = ("Namespace", "Node", "CustomResourceDefinition", "MutatingWebhookConfiguration", "SelfSubjectAccessReview")
STATUS = {"kind": "Status", "status": "Failure", "message": 'pods is forbidden: User "ann" cannot list resource "pods"'}
ANSWERS = {
    "a page": (200, b"<html>It works!</html>"),
    "nothing": (200, b""),
    "a list": (200, b"[]"),
    "an object without anything": (200, b"{}"),
    "text": (200, b'"text"'),
    "none": (200, b"null"),
    "a list of nothing": (200, {"kind": "PodList", "metadata": {}, "items": []}),
    "unauthorized": (401, STATUS),
    "forbidden": (403, STATUS),
    "forbidden by something else": (403, b"<html>This page is blocked.</html>"),
    "not found": (404, b"404 page not found"),
    "too many": (429, b"slow down"),
    "broken": (500, b"\xff\xfe"),
    "away": (503, {"kind": "Status", "message": None}),
}


def plural(kind: str) -> str:
    return kind.lower() + ("es" if kind.endswith("s") else "s")


def discovery() -> dict[str, dict]:
    """What an API server says of its kinds."""
    verbs = ["get", "list", "create", "patch", "delete"]
    of = lambda kinds: [{"name": plural(each), "kind": each, "namespaced": each not in ALONE, "verbs": verbs} for each in kinds]  # noqa: E731
    lists = {each: {"kind": "APIResourceList", "groupVersion": each, "resources": of(kinds)} for each, kinds in KINDS.items()}
    versions = {each: {"groupVersion": each, "version": each.partition("/")[2]} for each in KINDS if "/" in each}
    groups = [{"name": each.partition("/")[0], "versions": [it], "preferredVersion": it} for each, it in versions.items()]
    return {
        "/version": {"gitVersion": "v1.36.3"},
        "/apis": {"kind": "APIGroupList", "groups": groups},
        **{f"/{'apis' if '/' in each else 'api'}/{each}": page for each, page in lists.items()},
    }


def lab(address: str) -> Lab:
    client = Client(kubeconfig.Context("c", {"server": address}, {"token": "t"}, "none"), patience=2.0)
    client._permitted = True  # the mark is not what this is about
    return Lab(client)


def told(use, lab) -> str:
    """What a helper says, or nothing; anything else that is raised is a traceback."""
    try:
        use(lab)
    except LabError as error:
        assert error.what and error.do, f"{error} says not what to do"
        return str(error)
    return ""


@pytest.mark.parametrize("known", [False, True], ids=["to all questions", "to all but what kinds there are"])
@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_no_helper_falls_over(monkeypatch, answer, known):
    # A deadline passes at the second look: what comes then is what this is about.
    now = count(step=1000.0)
    monkeypatch.setattr(wait, "time", SimpleNamespace(monotonic=lambda: next(now), sleep=lambda seconds: None))
    pages = discovery() if known else {}
    with serving(lambda request: (200, pages[request.path]) if request.path in pages else answer) as (address, _):
        wrong = {}
        for name, use in HELPERS.items():
            for opened in (True, False):
                mesh = lab(address)
                monkeypatch.setattr(istiod, "open_to", lambda client, opened=opened: opened)
                try:
                    told(use, mesh)
                except Exception as error:  # noqa: BLE001
                    wrong[f"{name}{'' if opened else ', in a namespace'}"] = f"{type(error).__name__}: {error}"
        assert not wrong, "\n".join(f"{name}: {error}" for name, error in wrong.items())


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ("a page", "does not answer as a Kubernetes API server does.*a page to log in"),
        ("unauthorized", "does not accept the credentials.*fetch new ones"),
        ("forbidden", "your account may not do that. pods is forbidden"),
        ("forbidden by something else", "a web page came back .403., and not from a Kubernetes API server. <html>This page is blocked"),
        ("not found", "a web page came back .404."),
        ("too many", "could not do it .429.. slow down.*Wait a moment"),
        ("away", "could not do it .503.. Service Unavailable"),
    ],
)
def test_what_came_is_told(answer, sentence):
    with serving(lambda request: ANSWERS[answer]) as (address, _):
        assert re.search(sentence, told(HELPERS["apply"], lab(address)), re.DOTALL)
        assert told(HELPERS["connect"], lab(address)).startswith("The cluster of context c at")
