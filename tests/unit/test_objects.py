"""Objects in the cluster: what kubectl's apply had set is handed over to the course, and nothing else is."""

import pytest

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
