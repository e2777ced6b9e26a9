"""Why a request was turned away, and what would have been: as the proxy in front of a service tells it."""

from __future__ import annotations

import re
import secrets
from collections import Counter

import pandas as pd

from lab_helpers.chapters.c19_access_control.asking import ask
from lab_helpers.core.wait import wait_until
from lab_helpers.istio import envoy
from lab_helpers.kube import channels, pods

LINE = re.compile(r'\] "\S+ \S*[?&](?P<mark>asked=\w+-\d+)[^"]*" \d+ \S+ (?P<details>\S+) ')  # Istio's default format
WRITTEN = 30.0  # seconds: Envoy writes its log once in a second or in ten
COUNTER = re.compile(r"\.rbac\.(?:istio_dry_run_(?P<of>allow|deny)_)?[.;]?(?P<shadow>shadow_)?(?P<what>allowed|denied)$")


def logged(lab, caller: str, *questions: str, app: str) -> pd.DataFrame:
    """Ask, and look for each request in the access log of `app`'s proxy, once the last of them stands there.

    Each carries a query that nobody else uses, by which its line is found again; policies do not look at queries.

    Returns
    -------
    pandas.DataFrame
        As of `ask`, and ``details``: Envoy's response code details, empty where the request is not in the log.

    Raises
    ------
    TrafficError
        A question cannot be asked (see `ask`), no pod of `app` is ready, or its log cannot be read.
    MeshError
        The last one is not logged in time.
    """
    pod = pods.require_ready(lab.client, app)
    token = secrets.token_hex(4)
    marks = [f"asked={token}-{number}" for number in range(len(questions))]
    asked = ask(lab, caller, *(f"{each}{'&' if '?' in each else '?'}{mark}" for each, mark in zip(questions, marks, strict=True)))
    found: dict[str, str] = {}

    def written() -> bool:
        lines = map(LINE.search, envoy.access_log(lab.client, pod))
        found.update({each["mark"]: each["details"] for each in lines if each})
        return marks[-1] in found

    do = "Does it write an access log? Istio's demo profile has it do so; else see meshConfig.accessLogFile."
    wait_until(written, f"the request to be in the access log of {app}'s proxy", WRITTEN, every=0.2, do=do)
    return asked.assign(path=asked["path"].str.replace(r"[?&]asked=.*", "", regex=True), details=[found.get(mark, "") for mark in marks])


def why(lab, caller: str, question: str, app: str) -> str:
    """Ask once, and return what details the proxy of `app` has logged of it; see `logged`."""
    return logged(lab, caller, question, app=app).details.iloc[0]


def verdicts(lab, app: str) -> Counter[str]:
    """What the proxy of `app` has counted of its policies, by Envoy's names.

    ``allowed`` and ``denied`` are of those that are enforced, ``shadow_allowed`` and ``shadow_denied`` of those that are only tried.

    Raises
    ------
    TrafficError
        No pod of `app` is ready.
    """
    pod = pods.require_ready(lab.client, app)
    answer = channels.get_json(lab.client, lab.namespace, pod["metadata"]["name"], envoy.ADMIN, "/stats?format=json&filter=rbac")
    counted: Counter[str] = Counter()
    for each in answer["stats"]:
        if found := COUNTER.search(each.get("name", "")):
            counted[f"{found['shadow'] or ''}{found['what']}"] += each["value"]
    return counted
