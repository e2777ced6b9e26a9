"""Who may ask whom: requests from inside pods, each with that pod's address and identity, until all answers are by the rules of today."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import pandas as pd

from lab_helpers.core.errors import MeshError, TrafficError
from lab_helpers.core.wait import wait_until
from lab_helpers.istio import apply, envoy, gateway, proxies
from lab_helpers.kube import channels, commands, objects, pods
from lab_helpers.kube.kinds import POD, SERVICE
from lab_helpers.traffic.observe import GATEWAY_PATHS

CALLERS = ("client", "productpage", "reviews", "ratings")
PATHS = {"productpage": "/api/v1/products", "details": "/details/0", "reviews": "/reviews/0", "ratings": "/ratings/0"}
PROXY = "istio-proxy"
READER = "a reader"
BY_GATEWAY = {**GATEWAY_PATHS, "productpage": PATHS["productpage"]}
FEW = 8  # requests to each service, spread over all threads of the proxy
DEADLINE = 30.0  # seconds for answers to be all alike

# Each request over a connection of its own to the caller's proxy, so that each of its threads is met. Whatever tool the image has.
SEND = """
n=$1; shift
if command -v curl >/dev/null; then
  for url in "$@"; do
    curl --silent --parallel --parallel-immediate --parallel-max 2 --max-time 10 --header 'Connection: close' --output /dev/null \
      --write-out "$url %{http_code}\\n" "$url#[1-$n]"
  done
elif command -v python3 >/dev/null; then python3 -c "$PROGRAM" "$n" "$@"
else exit 127
fi
"""
PROGRAM = """
import sys, urllib.error, urllib.request
from concurrent.futures import ThreadPoolExecutor
def ask(url):
    try: return urllib.request.urlopen(url, timeout=10).status
    except urllib.error.HTTPError as error: return error.code
    except OSError: return 0
urls = [url for url in sys.argv[2:] for _ in range(int(sys.argv[1]))]
with ThreadPoolExecutor(2) as pool:
    for url, status in zip(urls, pool.map(ask, urls)): print(url, status)
"""


@objects.sentences("Asking from pods")
def who_may(lab, callers: Iterable[str] = CALLERS, services: Iterable[str] = ("details", "reviews", "ratings")) -> pd.DataFrame:
    """Have each caller ask each service, and go on until all of its answers are alike.

    A connection from before a rule lives by the old ones until its next answer. So each caller asks several times, and more often the more
    connections its proxy has open; whoever still gets two kinds of answers asks again.

    Parameters
    ----------
    callers : iterable of str
        ``app`` labels of pods. ``APP/istio-proxy`` is the container of the proxy itself, in the same pod: what it sends does not pass the
        proxy. ``a reader`` asks from outside, through the ingress gateway.
    services : iterable of str
        Of Bookinfo.

    Returns
    -------
    pandas.DataFrame
        One row a caller (the index), one column a service: the HTTP status, or 0 where no answer came.

    Raises
    ------
    TrafficError
        There is no such service or no ready pod of a caller, or its image has nothing to send with.
    MeshError
        The answers are still of two kinds after half a minute.
    """
    callers, services = list(callers), list(services)
    if unknown := [each for each in services if each not in PATHS]:
        raise TrafficError(f"{unknown[0]!r} is not a service of Bookinfo.", f"Choose among: {', '.join(PATHS)}.")
    senders = {caller: _sender(lab, caller) for caller in callers}
    numbers = {caller: _enough(lab, *senders[caller]) for caller in callers}
    found: dict[tuple[str, str], Counter] = {}
    mixed: dict[tuple[str, str], Counter] = {}
    left = {caller: services for caller in callers}

    def alike() -> bool:
        with ThreadPoolExecutor(4) as pool:
            rounds = list(pool.map(lambda caller: _answers(lab, *senders[caller], left[caller], numbers[caller]), left))
        mixed.clear()
        for caller, answers in zip(left, rounds, strict=True):
            for service, statuses in answers.items():
                (found if len(statuses) == 1 else mixed)[caller, service] = statuses
        again = {caller: [service for each, service in mixed if each == caller] for caller, _ in mixed}
        left.clear()
        left.update(again)
        return not mixed

    late = lambda: "; ".join(f"{caller} gets {dict(each)} from {service}" for (caller, service), each in mixed.items()) + "."  # noqa: E731
    wait_until(alike, "all answers to be alike", DEADLINE, 0.05, late, do="See what changes the rules meanwhile.")
    rows = [[next(iter(found[caller, service])) for service in services] for caller in callers]
    return pd.DataFrame(rows, index=pd.Index(callers, name="caller"), columns=services)


@objects.sentences("Asking once")
def ask_once(lab, by_gateway: bool = False) -> commands.Output:
    """Have `client` ask productpage for its list of products, once: its Service, or the ingress gateway's; curl prints the status."""
    where, host = "productpage:9080", ""
    if by_gateway:
        found = lab.client.list(SERVICE, "*", {"istio": "ingressgateway"})
        if not found:
            raise TrafficError("The cluster has no ingress gateway.", "kubectl get services -A lists what there is.")
        where = f"{found[0]['metadata']['name']}.{found[0]['metadata']['namespace']}"
        host = f"--header 'Host: {gateway.host(lab)}' " if gateway.host(lab) else ""
    line = f"curl -s -o /dev/null -w %{{http_code}} {host}http://{where}{PATHS['productpage']}"
    return commands.run(lab.client, f"kubectl exec deploy/client -c client -- {line}")


def _answers(lab, namespace: str, pod: str, container: str, services: list[str], n: int) -> dict[str, Counter]:
    if namespace != lab.namespace:
        return {service: _through_gateway(lab, BY_GATEWAY[service], n) for service in services}
    urls = {f"http://{service}:9080{PATHS[service]}": service for service in services}
    command = ["env", f"PROGRAM={PROGRAM}", "sh", "-c", SEND, "sh", str(n), *urls]
    done = channels.execute(lab.client, pod, container, command)
    if done.code == 127:
        raise TrafficError(f"The image of {container} has neither curl nor Python.", "Ask from another pod, such as client.")
    answers: dict[str, Counter] = {service: Counter() for service in services}
    for line in done.stdout.splitlines():
        url, _, status = line.rpartition(" ")
        answers[urls[url]][int(status)] += 1
    if silent := [service for service, each in answers.items() if not each]:
        raise MeshError(f"{pod} has sent nothing to {silent[0]}: {done.stderr.strip()[:200]}", "Look at the pod: kubectl get pods.")
    return answers


def _through_gateway(lab, path: str, n: int) -> Counter:
    address, headers = f"{lab.url}{path}", gateway.addressed(lab, None)
    with ThreadPoolExecutor(2) as pool:
        return Counter(pool.map(lambda _: gateway.fetch(address, headers).status, range(n)))


def _sender(lab, caller: str) -> tuple[str, str, str]:
    """Namespace, pod and container that a caller's requests come from."""
    app, _, container = caller.partition("/")
    namespace, app = (apply.ROOT, "istio-ingressgateway") if caller == READER else (lab.namespace, app)
    return namespace, pods.require_ready(lab.client, app, namespace=namespace)["metadata"]["name"], container or app


def _enough(lab, namespace: str, name: str, container: str) -> int:
    """How often to ask, so that none of the connections that the pod's proxy has open is left out."""
    pod = lab.client.get(POD, name, namespace)
    if container == PROXY or pod is None or not proxies.has_proxy(pod):
        return FEW
    ours = [each for each in envoy.clusters(lab, name, namespace) if envoy.service_of(each["name"])[1] == lab.namespace]
    return FEW + 3 * max(map(_connections, ours), default=0)


def _connections(cluster: dict) -> int:
    stats = [stat for host in cluster.get("host_statuses", []) for stat in host.get("stats", [])]
    return sum(int(each.get("value", 0)) for each in stats if each["name"] == "cx_active")
