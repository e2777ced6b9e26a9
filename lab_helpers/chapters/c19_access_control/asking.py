"""Questions put to services one by one: by whom, by which method, for which path, and with what status they were answered."""

from __future__ import annotations

import re
from urllib.parse import urlencode, urlsplit

import pandas as pd
import urllib3

from lab_helpers.core.errors import TrafficError
from lab_helpers.istio import gateway
from lab_helpers.kube import channels, objects, pods

OUTSIDE = "a reader"  # who asks through the ingress gateway
QUESTION = re.compile(r"(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) (http://([a-z0-9.-]+)(:\d+)?)?(/[^\s\"\\#]*)")
COLUMNS = ["caller", "service", "method", "path", "status"]
PATIENCE = 10  # seconds for an answer
ANSWERED = re.compile(r"\n#@ (\d{3})\n")
REFERER = "http://productpage:9080/productpage"  # where Bookinfo leads back to after a login
FORM = {"username": "reader"}  # what a POST carries: the form of Bookinfo's login


@objects.sentences("Asking")
def ask(lab, caller: str, *questions: str) -> pd.DataFrame:
    """Ask each question once, one after the other.

    Parameters
    ----------
    caller : str
        ``a reader``, who comes through the ingress gateway; or the label ``app`` of a pod of the lab's namespace that has curl, such as
        ``client``, ``plain-client`` or ``ratings``.
    *questions : str
        Method and address as they go over the wire: ``GET http://details:9080/details/0``; a reader's are paths: ``HEAD /productpage``.

    Returns
    -------
    pandas.DataFrame
        One row a question: ``caller``, ``service`` (``gateway`` for a reader's), ``method``, ``path``, and ``status``; 0 where nobody
        answered.

    Raises
    ------
    TrafficError
        A question cannot be read, or nobody is there to ask it.
    """
    read = [_read(each, caller) for each in questions]
    if not read:
        raise TrafficError("There is no question to ask.", 'Such as ask(lab, "client", "GET http://details:9080/details/0").')
    if caller == OUTSIDE:
        rows = [(caller, "gateway", method, path, _through_gateway(lab, method, path)) for method, _, path in read]
    else:
        told = _from_pod(lab, caller, [(method, f"{address}{path}") for method, address, path in read])
        asked = zip(read, told, strict=True)
        rows = [(caller, urlsplit(address).hostname, method, path, status) for (method, address, path), status in asked]
    return pd.DataFrame(rows, columns=COLUMNS)


def _read(question: str, caller: str) -> tuple[str, str, str]:
    """Method, address without its path, and path of a question."""
    found = QUESTION.fullmatch(question) if isinstance(question, str) else None
    if not found:
        do = 'Write method and address, such as "GET http://details:9080/details/0"; a reader\'s are paths: "HEAD /productpage".'
        raise TrafficError(f"{question!r} is no question.", do)
    if bool(found[2]) == (caller == OUTSIDE):
        do = "A reader knows the gateway only and asks for paths; a pod asks a service: http://details:9080/details/0."
        raise TrafficError(f"{caller} cannot ask {question!r}.", do)
    return found[1], found[2] or "", found[5]


def _through_gateway(lab, method: str, path: str) -> int:
    headers = gateway.addressed(lab, {"referer": f"{lab.url}/productpage"})
    form = {"fields": FORM, "encode_multipart": False} if method == "POST" else {}
    # No connection is kept from one question to the next: it would follow the rules of the day on which it was opened.
    with urllib3.PoolManager(retries=False, timeout=PATIENCE) as connections:
        try:
            return connections.request(method, f"{lab.url}{path}", headers=headers, redirect=False, **form).status
        except urllib3.exceptions.HTTPError:
            return 0


def _from_pod(lab, app: str, asked: list[tuple[str, str]]) -> list[int]:
    pod = pods.require_ready(lab.client, app, "kubectl get pods --show-labels lists them.")
    # One curl asks all of it.
    command = ["sh", "-c", 'printf %s "$1" | curl --config -', "sh", "\nnext\n".join(_options(*each) for each in asked)]
    done = channels.execute(lab.client, pod["metadata"]["name"], app, command, deadline=PATIENCE * len(asked))
    told = [int(status) for status in ANSWERED.findall(done.stdout.replace("\r\n", "\n"))]
    if len(told) != len(asked):
        what = f"curl in {app} told of {len(told)} answers to {len(asked)} questions: {done.stderr.strip()[:200]}"
        raise TrafficError(what, "Ask them one by one.")
    return told


def _options(method: str, url: str) -> str:
    """One question in curl's own file of options. A path goes out as it is written: by itself curl would take dots out of it."""
    written = url.replace("[", "%5B").replace("{", "%7B")  # to curl they are lists
    lines = [f'url = "{written}"', 'output = "/dev/null"', "path-as-is", "silent", f"max-time = {PATIENCE}", f'referer = "{REFERER}"']
    lines += ["head"] if method == "HEAD" else [f'request = "{method}"']
    lines += [f'data = "{urlencode(FORM)}"'] if method == "POST" else []
    return "\n".join([*lines, r'write-out = "\n#@ %{http_code}\n"'])


def both_ways(lab) -> pd.DataFrame:
    """Ask ``productpage`` to read, to log in and to delete: as a reader, through the gateway, and as ``client``, past it. As of `ask`."""
    questions = ("GET /productpage", "POST /login", "DELETE /productpage")
    direct = [each.replace(" ", " http://productpage:9080") for each in questions]
    return pd.concat([ask(lab, OUTSIDE, *questions), ask(lab, "client", *direct)], ignore_index=True)
