"""The Gateway API's kinds, which no cluster has of itself: those of the version that Istio is built on."""

from __future__ import annotations

import yaml

from lab_helpers.core import paths
from lab_helpers.core.errors import ClusterError
from lab_helpers.core.wait import wait_until_none
from lab_helpers.kube.apply import Change, put
from lab_helpers.kube.kinds import CUSTOM_RESOURCE_DEFINITION

ESTABLISHED = 30.0  # seconds


def ensure(lab) -> list[Change]:
    """Have the cluster know the kinds of the standard channel; those that it knows already stay as they are. What was done.

    Raises
    ------
    ClusterError
        It knows none, and they were never fetched.
    """
    wanted = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted(paths.GATEWAY_API.glob("*.yaml"))]
    there = {each["metadata"]["name"] for each in lab.client.list(CUSTOM_RESOURCE_DEFINITION)}
    if not wanted and "gateways.gateway.networking.k8s.io" not in there:
        raise ClusterError(
            "The cluster has no Gateway API.", "`meshlab up` fetches its kinds, `meshlab up --context NAME` for another cluster."
        )
    missing = [each for each in wanted if each["metadata"]["name"] not in there]
    changes = [change for change, _ in put(lab.client, missing)]
    names = {each["metadata"]["name"] for each in missing}
    wait_until_none(
        lambda: [
            each["metadata"]["name"]
            for each in lab.client.list(CUSTOM_RESOURCE_DEFINITION)
            if each["metadata"]["name"] in names and not _known(each)
        ],
        "the API server to serve the Gateway API's kinds",
        "See kubectl get crd.",
        ESTABLISHED,
        0.1,
    )
    return changes


def _known(definition: dict) -> bool:
    return any(each["type"] == "Established" and each["status"] == "True" for each in definition.get("status", {}).get("conditions") or [])
