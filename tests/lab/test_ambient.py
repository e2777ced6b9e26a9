"""Ambient mode beside sidecars: who is enrolled stays as it is, is encrypted, and is governed by layer 4 and by a waypoint; and it goes again."""

from __future__ import annotations

import json
import subprocess
from contextlib import contextmanager

import psutil
import pytest
import yaml

from lab_helpers.core.wait import wait_until
from lab_helpers.istio import installation
from lab_helpers.istio.installation import ambient, gateway_api
from lab_helpers.kube import pods
from lab_helpers.kube.kinds import NAMESPACE, POD
from lab_helpers.lab import checkpoint, connect
from lab_helpers.lab.chapters import BOOKINFO, CLIENTS
from lab_helpers.node import machine
from lab_helpers.node.machine import MACHINE
from tests import live

pytestmark = [pytest.mark.lab, pytest.mark.alone("it gives the mesh another mode, and takes it away again")]
POLICY = """
apiVersion: security.istio.io/v1
kind: {kind}
metadata: {{name: tried}}
spec: {spec}
"""


@pytest.fixture(scope="module")
def lab():
    """Bookinfo without sidecars, in ambient mode, with a client that is in it and one that is not."""
    lab = connect(quiet=True, namespace=live.NAMESPACE)
    try:
        gateway_api.ensure(lab)
        installation.undo_changes(lab, ambient=True)
        checkpoint.reach(lab, "ambient mode", (*CLIENTS, *BOOKINFO), injection=False)
        before = {pod["metadata"]["uid"] for pod in lab.client.list(POD)}
        live.kubectl("label", "namespace", lab.namespace, "istio.io/dataplane-mode=ambient")
        wait_until(lambda: len(enrolled(lab)) == len(before) - 1, "pods to be enrolled", 30)
        assert {pod["metadata"]["uid"] for pod in lab.client.list(POD)} == before, "a pod was restarted"
        yield lab
    finally:
        lab.checkpoint("01_service_mesh")


def enrolled(lab) -> list[dict]:
    return [pod for pod in ambient.redirected(lab, lab.namespace) if pod["metadata"]["annotations"][ambient.REDIRECTION] == "enabled"]


def ask(lab, url: str, by: str = "client", *more: str) -> str:
    """The status of a request from a pod; 000 without an answer."""
    pod = pods.require_ready(lab.client, by, "")["metadata"]["name"]
    line = ["curl", "--silent", "--max-time", "10", "--output", "/dev/null", "--write-out", "%{http_code}", *more, url]
    return live.sh(*live.KUBECTL, "exec", pod, "--namespace", lab.namespace, "--container", by, "--", *line, check=False).stdout


@contextmanager
def applied(lab, kind: str, spec: str):
    text = POLICY.format(kind=kind, spec=spec)
    live.kubectl("apply", "--namespace", lab.namespace, "--filename", "-", stdin=text)
    try:
        yield
    finally:
        live.kubectl("delete", kind, "tried", "--namespace", lab.namespace)
