"""Whatever Istio's API accepts this Envoy takes, or `apply` passes on in Envoy's own words what it refuses.

A proxy that refuses a listener goes on with the old one, without the policies that came since: accepted, and not enforced.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from lab_helpers.core.errors import MeshError
from lab_helpers.core.manifests import title
from lab_helpers.istio import apply
from lab_helpers.lab import checkpoint, connect
from lab_helpers.lab.chapters import CLIENTS
from tests.live import kubectl

pytestmark = pytest.mark.lab
NAMESPACE = "accepted"
ACCEPTED = list(yaml.safe_load_all(Path(__file__).with_name("accepted.yaml").read_text()))
NOT_COMPILED_IN = """
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: golang}
spec:
  configPatches:
    - applyTo: HTTP_FILTER
      match: {context: SIDECAR_INBOUND, listener: {filterChain: {filter: {name: envoy.filters.network.http_connection_manager}}}}
      patch:
        operation: INSERT_FIRST
        value: {name: golang, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.golang.v3alpha.Config}}
"""


@pytest.fixture(scope="module")
def lab():
    found = connect(namespace=NAMESPACE, quiet=True)
    checkpoint.reach(found, "a client", CLIENTS[:1])
    yield found
    kubectl("delete", "namespace", NAMESPACE, "--wait=false")


@pytest.fixture
def write(lab):
    """A function that applies an object; it is gone after the test."""
    given = []

    def applied(document: dict):
        given.append(document)
        return apply.write(lab, [document])

    yield applied
    apply.erase(lab, given)


@pytest.mark.parametrize("document", ACCEPTED, ids=[f"{title(each)}-{number}" for number, each in enumerate(ACCEPTED)])
def test_every_proxy_takes_it(write, document):
    done = write(document)
    assert done.proxies and not done.warnings


def test_what_a_proxy_refuses_is_told_in_its_own_words(write):
    with pytest.raises(MeshError, match="(?s)client-.*refused Listener.*golang.*Undo the last change"):
        write(yaml.safe_load(NOT_COMPILED_IN))
