"""What the API server refuses of a manifest's fields, in words about the file: by messages as they were seen, and a small schema."""

import json
from types import SimpleNamespace

import pytest

from lab_helpers.core.errors import ManifestError
from lab_helpers.kube.apply.refused import explained
from lab_helpers.kube.client import Answer

FILE = """\
# A comment first.
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: other
spec: {}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: reviews
spec:
  hosts: reviews
  http:
  - route:
    - destination:
        host: reviews
        weight: 10
      weigth: 10
http: []
"""
of = lambda **properties: {"type": "object", "properties": properties}  # noqa: E731
DESTINATION = of(host={}, subset={})
SPEC = of(hosts={}, http={"items": of(route={"items": {"allOf": [{"$ref": "#/x/route"}]}}, fault=of(percentage={}))})
IS = {"group": "networking.istio.io", "version": "v1", "kind": "VirtualService"}
SCHEMAS = {
    "whole": {**of(metadata={}, spec=SPEC), "x-kubernetes-group-version-kind": [IS]},
    "other": {**of(spec={}), "x-kubernetes-group-version-kind": [{**IS, "version": "v1beta1"}]},
    "route": of(destination=DESTINATION, weight={}),
}
START = "failed to create typed patch object (/reviews; networking.istio.io/v1, Kind=VirtualService): "


def told(message, schemas=SCHEMAS, status=200):
    asked = []
    body = json.dumps({"components": {"schemas": schemas}}).encode()
    client = SimpleNamespace(raw=lambda path: asked.append(path) or Answer(status, {}, body))
    error = explained(client, ManifestError(f"VirtualService reviews: the API server refused. {message}", "Correct it."), {"a.yaml": FILE})
    assert asked in ([], ["/openapi/v3/apis/networking.istio.io/v1"])
    return error


@pytest.mark.parametrize(
    ("message", "what", "do"),
    [
        (
            ".spec.http[0].route[0].weigth: field not declared in schema",
            "a.yaml, line 19: there is no field weigth in spec.http[0].route[0].",
            "Did you mean weight?",
        ),
        (".http: field not declared in schema", "a.yaml, line 20: there is no field http in the object itself.", "It belongs to spec: "),
        (
            ".spec.http[0].route[0].destination.weight: field not declared in schema",
            "a.yaml, line 18: there is no field weight in spec.http[0].route[0].destination.",
            "It belongs to spec.http[0].route[0]: indent it less.",
        ),
        (".spec.http[0].xyz: field not declared in schema", "there is no field xyz in spec.http[0].", "spec.http[0] has: fault, route."),
        (".spec.hosts: expected list, got &{reviews}", "a.yaml, line 13: spec.hosts is something else", "spec.hosts is a list: "),
        (".spec.x: expected string, got &value.valueUnstructured{Value:5}", "spec.x is something else", "as in 2s"),
        (".spec.x: expected numeric (int or float), got string", "spec.x is something else", "is a number, without quotes."),
        (".spec.x: expected something new, got string", "spec.x is something else", "spec.x is something new."),
    ],
)
def test_a_field_is_found_in_the_file_and_given_its_right_name(message, what, do):
    error = told(START + message)
    assert error.what.startswith("VirtualService reviews was refused. ") and what in error.what
    assert do in error.do


def test_several_at_once_are_all_told():
    error = told(f"{START}errors:\n  .http: field not declared in schema\n  .spec.hosts: expected list, got &{{reviews}}")
    assert "line 20" in error.what and "line 13" in error.what and "belongs to spec" in error.do and "is a list" in error.do


def test_an_item_that_is_named_by_its_key_is_found():
    assert 'spec.http[name="a"]' in told(f'{START}.spec.http[name="a"].x: field not declared in schema').what


def test_whatever_else_the_api_server_says_stays():
    said = 'admission webhook "validation.istio.io" denied the request: weight -1 < 0'
    error = told(said)
    assert said in error.what and error.do == "Correct it."


@pytest.mark.parametrize(("schemas", "status"), [({}, 200), (SCHEMAS, 404)])
def test_without_a_schema_the_line_is_told_nevertheless(schemas, status):
    error = told(START + ".spec.http[0].route[0].weigth: field not declared in schema", schemas, status)
    assert "line 19" in error.what and error.do == "Take it out, or correct its name."
