"""Why a request was turned away, and what would have been: as the proxy in front of a service tells it."""

from __future__ import annotations

import re
import secrets
from collections import Counter

from lab_helpers.chapters.c19_access_control.asking import ask
from lab_helpers.core.errors import TrafficError
from lab_helpers.core.wait import wait_until
from lab_helpers.istio import envoy
from lab_helpers.kube import channels, pods

LINE = re.compile(r'\] "(?P<request>[^"]*)" (?P<status>\d+) (?P<flags>\S+) (?P<details>\S+) ')  # Istio's default format
WRITTEN = 30.0  # seconds: Envoy writes its log once in a second or in ten
COUNTER = re.compile(r"\.rbac\.(?:istio_dry_run_(?P<of>allow|deny)_)?[.;]?(?P<shadow>shadow_)?(?P<what>allowed|denied)$")


def why(lab, caller: str, question: str, app: str) -> str:
    """Ask once, and return the details that the proxy of `app` has logged of it: Envoy's response code details.

    The request carries a query that nobody else uses, by which its line is found again; policies do not look at queries.

    Raises
    ------
    TrafficError
        The question cannot be asked; see `ask`.
    MeshError
        It is not logged in time.
    """
    token = f"asked={secrets.token_hex(4)}"
    (status,) = ask(lab, caller, f"{question}?{token}").status
    found: list[str] = []

    def logged() -> bool:
        found[:] = [each["details"] for each in _lines(lab, app) if token in each["request"] and each["status"] == str(status)]
        return bool(found)

    do = "Does it write an access log? Istio's demo profile has it do so; else see meshConfig.accessLogFile."
    wait_until(logged, f"the request to be in the access log of {app}'s proxy", WRITTEN, every=0.2, do=do)
    return found[-1]


def verdicts(lab, app: str) -> Counter[str]:
    """What the proxy of `app` has counted of its policies, by Envoy's names.

    ``allowed`` and ``denied`` are of those that are enforced, ``shadow_allowed`` and ``shadow_denied`` of those that are only tried.

    Raises
    ------
    TrafficError
        No pod of `app` is ready.
    """
    answer = channels.get_json(lab.client, lab.namespace, _pod(lab, app), envoy.ADMIN, "/stats?format=json&filter=rbac")
    counted: Counter[str] = Counter()
    for each in answer["stats"]:
        if found := COUNTER.search(each.get("name", "")):
            counted[f"{found['shadow'] or ''}{found['what']}"] += each["value"]
    return counted


def _lines(lab, app: str) -> list[re.Match]:
    path = f"/api/v1/namespaces/{lab.namespace}/pods/{_pod(lab, app)}/log"
    answer = lab.client.raw(path, {"container": "istio-proxy", "tailLines": "200"})
    return [found for line in answer.text.splitlines() if (found := LINE.search(line))]


def _pod(lab, app: str) -> str:
    if pod := pods.ready_pod(lab.client, app):
        return pod["metadata"]["name"]
    raise TrafficError(f"No pod of {app} is ready in namespace {lab.namespace}.", "kubectl get pods --show-labels lists them.")
