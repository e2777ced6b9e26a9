"""By which label a namespace's pods get sidecars, on clusters whose webhooks are as Istio makes them with and without revisions."""

import pytest
from kubernetes.client.rest import ApiException

from lab_helpers.kube.kinds import MUTATING_WEBHOOKS, NAMESPACE, POD
from lab_helpers.lab.checkpoint import labels
from tests.objects import Cluster, named, pod

INJECTION = {"key": "istio-injection", "operator": "DoesNotExist"}


def rev(operator: str, *values: str) -> dict:
    return {"key": "istio.io/rev", "operator": operator, **({"values": list(values)} if values else {})}


def webhook(name: str, *expressions: dict) -> dict:
    return {"name": f"{name}.sidecar-injector.istio.io", "namespaceSelector": {"matchExpressions": list(expressions)}}


# As `istioctl manifest generate` of 1.31 writes them, those for single pods included.
OF_DEFAULT = named(
    "istio-sidecar-injector",
    webhooks=[
        webhook("rev.namespace", rev("In", "default"), INJECTION),
        webhook("rev.object", rev("DoesNotExist"), INJECTION),
        webhook("namespace", {"key": "istio-injection", "operator": "In", "values": ["enabled"]}),
        webhook("object", INJECTION, rev("DoesNotExist")),
    ],
)


def of_revision(value: str) -> dict:
    """Of a revision, or of a tag; the one for a default tag has those of the default revision instead."""
    webhooks = [webhook("rev.namespace", rev("In", value), INJECTION), webhook("rev.object", rev("DoesNotExist"), INJECTION)]
    return named(f"istio-sidecar-injector-{value}", webhooks=webhooks)


OFF = {"name": "namespace.sidecar-injector.istio.io", "namespaceSelector": {"matchLabels": {"istio.io/deactivated": "never-match"}}}
STRANGER = {"name": "inject.linkerd.example", "namespaceSelector": {}}


@pytest.mark.parametrize(
    ("webhooks", "running", "has", "wanted"),
    [
        ([OF_DEFAULT], ["default"], {}, {"istio-injection": "enabled"}),
        ([OF_DEFAULT, of_revision("canary")], ["default", "canary"], {"istio.io/rev": "canary"}, {"istio-injection": "enabled"}),
        ([of_revision("1-31")], ["1-31"], {}, {"istio.io/rev": "1-31"}),  # got none, and was late after 60 s
        ([of_revision("1-30"), of_revision("1-31")], ["1-31"], {}, {"istio.io/rev": "1-31"}),  # the webhook of one that has gone
        ([of_revision("prod"), of_revision("1-31")], ["1-31"], {"istio.io/rev": "prod"}, {"istio.io/rev": "prod"}),  # a tag
        ([of_revision("1-31")], ["1-31"], {"istio.io/rev": "1-30"}, {"istio.io/rev": "1-31"}),  # of a revision that has gone
        ([of_revision("prod")], ["1-31"], {}, {"istio.io/rev": "prod"}),
        ([named("off", webhooks=[OFF]), of_revision("1-31")], ["1-31"], {}, {"istio.io/rev": "1-31"}),
        ([named("other", webhooks=[STRANGER])], [], {}, {"istio-injection": "enabled"}),
        ([], [], {}, {"istio-injection": "enabled"}),
    ],
)
def test_pods_get_sidecars_by_the_label_to_which_some_istiod_listens(webhooks, running, has, wanted):
    istiods = [pod(f"istiod-{each}", app="istiod", **{"istio.io/rev": each}) for each in running]
    assert labels.injecting(Cluster({MUTATING_WEBHOOKS: webhooks, POD: istiods}), has) == wanted


@pytest.mark.parametrize("has", [{}, {"istio.io/rev": "prod"}])
def test_whoever_may_not_look_leaves_it_as_it_was_made_for_them(has):
    class Shut(Cluster):
        def list(self, kind, *_):
            raise ApiException(403)

    assert labels.injecting(Shut({}), has) == (has or {"istio-injection": "enabled"})


@pytest.mark.parametrize("injection", [True, False])
def test_a_namespace_loses_every_other_label_that_decides(monkeypatch, injection):
    has = {"istio-injection": "enabled", "istio.io/dataplane-mode": "ambient", "own": "x"}
    namespace = {"metadata": {"name": "default", "labels": has}}
    istiods = [pod("istiod", app="istiod", **{"istio.io/rev": "1-31"})]
    lab = Cluster({NAMESPACE: [namespace], MUTATING_WEBHOOKS: [of_revision("1-31")], POD: istiods})
    patches = []
    lab.patch = lambda kind, name, change: patches.append(change)
    monkeypatch.setattr(labels, "_injects", lambda _: injection)
    labels.label(lab, injection)
    [change] = patches
    gone = {"istio-injection": None, "istio.io/dataplane-mode": None}
    assert change["metadata"]["labels"] == ({"istio.io/rev": "1-31", **gone} if injection else gone)


@pytest.mark.parametrize(
    ("selector", "taken"),
    [
        ({}, True),
        ({"matchLabels": {"a": "1"}}, True),
        ({"matchLabels": {"a": "2"}}, False),
        ({"matchExpressions": [{"key": "a", "operator": "Exists"}]}, True),
        ({"matchExpressions": [{"key": "b", "operator": "NotIn", "values": ["1"]}]}, True),
        ({"matchLabels": {"a": "1"}, "matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}, False),
    ],
)
def test_a_selector_is_kubernetes_own(selector, taken):
    assert labels.selects(selector, {"a": "1"}) is taken
