"""Many requests, one row each: what answered, how, how fast."""

from __future__ import annotations

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from numbers import Integral

import pandas as pd
from urllib3.exceptions import HTTPError

from lab_helpers.core import http
from lab_helpers.core.errors import TrafficError
from lab_helpers.istio import gateway, proxies
from lab_helpers.kube import channels, pods
from lab_helpers.kube.kinds import POD, SERVICE

COLUMNS = ["version", "status", "latency_ms", "pod"]
MESH_PATHS = {"reviews": "/reviews/0", "ratings": "/ratings/0", "details": "/details/0", "productpage": "/productpage"}
GATEWAY_PATHS = {
    "reviews": "/api/v1/products/0/reviews", "ratings": "/api/v1/products/0/ratings",
    "details": "/api/v1/products/0", "productpage": "/productpage",
}  # fmt: skip
CLIENTS = {"mesh": "client", "plain": "plain-client"}
MOST = 10_000  # a burst is a question asked of the mesh, not a load test


def observe(
    lab,
    service: str,
    n: int = 100,
    path: str | None = None,
    via: str = "mesh",
    parallel: int = 1,
    headers: dict[str, str] | None = None,
) -> pd.DataFrame:
    """Send `n` requests to `service` and note for each what answered.

    Parameters
    ----------
    service : str
        Name of a Service in the lab's namespace.
    n : int
        Number of requests, at most 10,000.
    path : str, optional
        What to ask for, beginning with a slash; known for Bookinfo's services. A character that may not stand in it, such
        as a space, is sent percent-encoded.
    via : {"mesh", "plain", "gateway"}
        From a pod with a sidecar, from a pod without one (both over one connection for each of `parallel`), or from
        here through the ingress gateway.
    parallel : int
        Requests under way at a time, 1 to 50.
    headers : dict of str to str, optional
        Sent along.

    Returns
    -------
    pandas.DataFrame
        One row a request, in the order of completion:

        - version: label ``version`` of the pod that answered; None where the answer does not tell
        - status: HTTP status; 0 where the connection failed
        - latency_ms: from sending to the last byte, in milliseconds
        - pod: its name; None where the answer does not tell (only ``reviews`` does, or a Service with one pod)

    Raises
    ------
    TrafficError
        No path known, a path or a header that cannot be sent, the client pod missing, or not a single request answered.
    """
    for name, number in (("n", n), ("parallel", parallel)):
        if isinstance(number, bool) or not isinstance(number, Integral):
            raise TrafficError(f"{name} is {number!r}, which is no whole number.", f"Write one without quotes, such as {name}=10.")
    if not isinstance(service, str):
        raise TrafficError(f"{service!r} is not the name of a Service.", "Write it in quotes, such as lab.observe('reviews').")
    if not 1 <= n <= MOST or not 1 <= parallel <= 50:
        raise TrafficError(f"n = {n}, parallel = {parallel} is out of range.", f"n may be 1 to {MOST:,}, parallel 1 to 50.")
    if via not in (*CLIENTS, "gateway"):
        raise TrafficError(f"There is no way {via!r} into the mesh.", f"Use one of: {', '.join((*CLIENTS, 'gateway'))}.")
    path = path if path is not None else (GATEWAY_PATHS if via == "gateway" else MESH_PATHS).get(str(service))
    if path is None:
        raise TrafficError(f"What to ask {service} for is not known.", "Give a path, such as path='/'.")
    path, headers = http.target(path), http.fields(headers)
    found = find_service(lab, service)
    if via == "gateway":
        rows = _through_gateway(lab, n, path, parallel, headers)
    else:
        rows = _from_pod(lab, CLIENTS[via], f"http://{service}:{found['spec']['ports'][0]['port']}{path}", n, parallel, headers)
    if not any(row["status"] for row in rows):
        raise TrafficError(f"None of {n} requests to {service}{path} was answered.", f"See whether {service} runs: kubectl get pods.")
    labels = gateway.versions(lab)
    only = _only_pod(lab, found)
    for row in rows:
        row["pod"] = row["pod"] or (only if row["status"] == 200 and via != "gateway" else None)
        row["version"] = labels.get(row["pod"]) if row["pod"] else None
    return pd.DataFrame(rows, columns=COLUMNS)


def _from_pod(lab, client: str, url: str, n: int, parallel: int, headers: dict[str, str]) -> list[dict]:
    # One curl sends them all, so that what is timed is the mesh and not the start of n processes. Each body goes to a
    # file of its own: parallel answers would mingle on stdout. What counts them stands behind a #, and so is not sent.
    config = [
        f'url = "{url}#[1-{n}]"',
        'output = "#1"',
        r'write-out = "%{json}\n"',
        "silent",
        "max-time = 30",
    ]
    config += [http.option(name, value) for name, value in headers.items()]
    config += ["parallel", "parallel-immediate", f"parallel-max = {parallel}"] if parallel > 1 else []
    script = 'd=$(mktemp -d /answers/XXXXXX) && cd "$d" && printf %s "$1" | curl --config -; echo; grep -rH podname .; cd /; rm -rf "$d"'
    name = _client_pod(lab, client)["metadata"]["name"]
    command = ["sh", "-c", script, "sh", "\n".join(config)]
    answer = channels.execute(lab.client, name, client, command, deadline=60 + n / 10)
    lines = answer.stdout.splitlines()
    told = [json.loads(line) for line in lines if line.startswith("{")]
    bodies = dict(line.removeprefix("./").split(":", 1) for line in lines if line.startswith("./"))
    if not told:
        raise TrafficError(f"curl in pod {name} sent nothing: {answer.stderr.strip()[:200]}", "Correct the path.")
    return [
        {
            "status": each["http_code"],
            "latency_ms": 1000 * each["time_total"],
            "pod": _told_pod(bodies.get(each["filename_effective"] or "", "")) if each["http_code"] == 200 else None,
        }
        for each in told
    ]


def _through_gateway(lab, n: int, path: str, parallel: int, headers: dict[str, str]) -> list[dict]:
    address, headers = f"{lab.url}{path}", gateway.addressed(lab, headers)

    def one(_) -> dict:
        start = time.perf_counter()
        try:
            answer = gateway.fetch(address, headers)
        except HTTPError:
            return {"status": 0, "latency_ms": 1000 * (time.perf_counter() - start), "pod": None}
        pod = (_told_pod(answer.text) or gateway.served_by(answer.text)) if answer.status == 200 else None
        return {"status": answer.status, "latency_ms": 1000 * (time.perf_counter() - start), "pod": pod}

    with ThreadPoolExecutor(parallel) as pool:
        return list(pool.map(one, range(n)))


def _told_pod(body: str) -> str | None:
    try:
        return json.loads(body).get("podname")
    except (ValueError, AttributeError):
        return None


def has_sidecar(lab) -> bool:
    """Whether the pod that sends requests from within the mesh has a proxy, which is who follows the mesh's rules."""
    return proxies.has_proxy(_client_pod(lab, CLIENTS["mesh"]))


def _client_pod(lab, app: str) -> dict:
    return pods.require_ready(lab.client, app, f'lab.apply("shared/{app}.yaml")')


def find_service(lab, name: str) -> dict:
    """The Service `name` of the lab's namespace.

    Raises
    ------
    TrafficError
        There is none.
    """
    named = isinstance(name, str) and re.fullmatch(r"[a-z0-9-]+", name)  # anything else would be another path of the API
    found = lab.client.get(SERVICE, name) if named else None
    if found is None:
        raise TrafficError(f"Namespace {lab.namespace} has no Service {name!r}.", "kubectl get services lists them.")
    return found


def _only_pod(lab, service: dict) -> str | None:
    there = [pod for pod in lab.client.list(POD, labels=service["spec"].get("selector")) if not pods.leaving(pod)]
    return there[0]["metadata"]["name"] if len(there) == 1 else None
