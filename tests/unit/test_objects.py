"""Objects in the cluster: what kubectl's apply had set is handed over to the course, and nothing else is."""

import json

import pytest
from kubernetes.client.rest import ApiException

from lab_helpers.core.errors import ClusterError, ManifestError
from lab_helpers.kube import objects


def entry(manager: str, operation: str, fields: dict, **more) -> dict:
    return {"manager": manager, "operation": operation, "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": fields, **more}


def rule(*entries: dict) -> dict:
    metadata = {"name": "r", "namespace": "n", "resourceVersion": "7", "managedFields": list(entries)}
    return {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": metadata}


class Client:
    def __init__(self):
        self.patches = []

    def patch(self, *arguments):
        self.patches.append(arguments)


HTTP, HOSTS = {"f:spec": {".": {}, "f:http": {}}}, {"f:spec": {"f:hosts": {}}}


@pytest.mark.parametrize("by", [("kubectl-client-side-apply", "Update"), ("kubectl", "Apply")])
def test_what_kubectl_had_applied_is_the_courses_as_well(by):
    client, edit = Client(), entry("kubectl-edit", "Update", {"f:spec": {"f:gateways": {}}})
    status = entry("kubectl", "Apply", {"f:status": {}}, subresource="status")
    objects.hand_over(client, rule(entry(*by, HTTP), edit, status, entry("meshlab", "Apply", HOSTS)))
    [(kind, name, change, namespace)] = client.patches
    assert (kind.kind, name, namespace) == ("VirtualService", "r", "n")
    assert change["metadata"]["resourceVersion"] == "7", "nobody may have changed it meanwhile"
    both = {"f:spec": {".": {}, "f:http": {}, "f:hosts": {}}}
    assert change["metadata"]["managedFields"] == [edit, status, entry("meshlab", "Apply", both)]


@pytest.mark.parametrize(
    "entries", [[], [entry("kubectl-edit", "Update", HTTP)], [entry("meshlab", "Apply", HTTP)], [entry("kubectl", "Update", HTTP)]]
)
def test_what_somebody_has_edited_stays_theirs(entries):
    client = Client()
    objects.hand_over(client, rule(*entries))
    assert not client.patches and not objects.applied_by_kubectl(rule(*entries))


# As API servers of 1.32 to 1.36 say it.
FORBIDDEN = 'pods is forbidden: User "ann" cannot list resource "pods" in API group "" at the cluster scope'
QUOTA = 'pods "a" is forbidden: exceeded quota: small, requested: pods=1, used: pods=5, limited: pods=5'
ENDING = 'pods "a" is forbidden: unable to create new content in namespace ann because it is being terminated'
WEBHOOK = 'Internal error occurred: failed calling webhook "rev.namespace.sidecar-injector.istio.io": connection refused'
CHANGED = 'Operation cannot be fulfilled on services "a": the object has been modified'
TYPED = (
    "failed to create typed patch object (default/r; networking.istio.io/v1, Kind=VirtualService): .spec.htp: field not declared in schema"
)
INVALID = 'Service "a" is invalid: spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive'


@pytest.mark.parametrize(
    ("status", "said", "kind", "do"),
    [
        (401, "Unauthorized", ClusterError, "fetch new ones"),
        (403, FORBIDDEN, ClusterError, "Ask whoever runs the cluster for that right"),
        (403, QUOTA, ManifestError, "Correct what it names"),
        (403, ENDING, ManifestError, "Wait until it has gone"),
        (404, 'namespaces "ann" not found', ManifestError, "create namespace"),
        (409, CHANGED, ManifestError, "Somebody has changed or made it meanwhile: try again"),
        (422, INVALID, ManifestError, "Correct what it names"),
        (429, "Too many requests, please try again later.", ClusterError, "Wait a moment"),
        (500, TYPED, ManifestError, "Correct what it names"),
        (500, TYPED.replace("htp", "http[0].timeout"), ManifestError, "Correct what it names"),
        (403, 'pods "a" is forbidden: violates PodSecurity: the pod cannot run as root', ManifestError, "Correct what it names"),
        (400, TYPED, ManifestError, "Correct what it names"),
        (400, 'admission webhook "rev.validation.istio.io" denied the request: no', ManifestError, "Correct what it names"),
        (500, WEBHOOK, ManifestError, "does not answer: kubectl get pods --namespace istio-system"),
        (500, "etcdserver: request timed out", ClusterError, "Wait a moment"),
        (503, "service unavailable", ClusterError, "Wait a moment"),
    ],
)
def test_what_to_do_depends_on_why_the_api_server_refused(status, said, kind, do):
    """Whatever it was, one was to correct what it names."""
    error = ApiException(status)
    error.body = json.dumps({"kind": "Status", "message": said})
    with pytest.raises(kind) as caught, objects.sentences("Service a"):
        raise error
    assert (said in caught.value.what or status == 401) and do in caught.value.do
