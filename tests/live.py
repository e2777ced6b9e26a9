"""What a test may ask of the machine and of the live lab."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lab_helpers.core import paths
from lab_helpers.node import machine
from lab_helpers.node.machine import MACHINE

MESHLAB = Path(sys.executable).with_name("meshlab")
KUBECTL = (paths.BIN / "kubectl", "--kubeconfig", paths.KUBECONFIG)
ISTIOCTL = (paths.BIN / "istioctl", "--kubeconfig", paths.KUBECONFIG)
# Beside other workers of pytest-xdist, each has a namespace of its own, with a name as long as "default": columns stay where they are.
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
NAMESPACE = "default" if WORKER == "gw0" else WORKER.replace("gw", "beside")


def sh(
    *command, check: bool = True, timeout: float = 120, stdin: str | None = None, env: dict | None = None
) -> subprocess.CompletedProcess:
    """Run a command of this machine; fail with its own words."""
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=timeout, input=stdin, env=env)
    if check and done.returncode:
        pytest.fail(f"`{' '.join(map(str, command))}` exited with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done


def kubectl(*arguments, **more) -> str:
    return sh(*KUBECTL, *arguments, **more).stdout


def kubectl_json(*arguments) -> dict:
    return json.loads(kubectl(*arguments, "--output", "json"))


def on_node(*command, **more) -> subprocess.CompletedProcess:
    return sh(*machine.inside(MACHINE, command), **more)


def meshlab(*arguments, check: bool = True, timeout: float = 900, **more) -> subprocess.CompletedProcess:
    return sh(MESHLAB, *arguments, check=check, timeout=timeout, **more)


# What somebody writes all the time, without being told to: not a change.
RESTLESS = ("componentstatuses", "endpoints", "events", "leases", "nodes.metrics", "pods.metrics")
NOTES = {"managedFields", "resourceVersion", "generation"}
ELECTED = "control-plane.alpha.kubernetes.io/leader"


def objects() -> dict[tuple[str, ...], dict]:
    """Every object of the cluster as it was asked for, by kind, namespace and name; two that are equal mean that nothing was changed."""
    kinds = kubectl("api-resources", "--verbs=list", "--output=name", check=False).split()  # incomplete while metrics-server starts
    asked = ",".join(kind for kind in kinds if not kind.startswith(RESTLESS))
    return {_place(each): _asked_for(each) for each in kubectl_json("get", asked, "--all-namespaces")["items"]}


def _place(document: dict) -> tuple[str, ...]:
    return (document["apiVersion"], document["kind"], document["metadata"].get("namespace", ""), document["metadata"]["name"])


def _asked_for(document: dict) -> dict:
    if document["kind"] == "Node":  # the kubelet's own
        return {}
    metadata = {key: value for key, value in document["metadata"].items() if key not in NOTES}
    notes = {key: value for key, value in metadata.get("annotations", {}).items() if key != ELECTED}
    return {key: value for key, value in document.items() if key != "status"} | {"metadata": {**metadata, "annotations": notes}}
