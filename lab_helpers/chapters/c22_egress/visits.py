"""Requests to sites outside, from a pod of the lab: how they ended, which way the pod's proxy sent them, and whom the site saw."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pandas as pd

from lab_helpers.istio import envoy
from lab_helpers.kube import channels, objects, pods
from lab_helpers.kube.commands import Output
from lab_helpers.kube.kinds import POD
from lab_helpers.lab import outside
from lab_helpers.lab.asking.curl import words

PATIENCE = 10  # seconds
TRUSTED = "/tmp/outside-ca.pem"
TRUST = {"istio-proxy": "/etc/istio/proxy/outside-ca.pem"}  # a proxy's container has few places to write to
# What curl says by its exit code, in the words of this chapter.
ENDS = {6: "no such name", 7: "refused", 28: "no answer", 35: "reset", 52: "reset", 55: "reset", 56: "reset", 60: "not trusted"}
NOWHERE, PASSED = "–", "PassthroughCluster"
SPANS = "istio-system.svc"  # where proxies send the spans of traces
COLUMNS = ["caller", "asks", "outcome", "by", "seen as"]
# Whatever the image has: productpage's has Python, and may have no curl. The certificate is written each time: a pod may be a new one.
SEND = """
printf %s "$1" >"$2"
if command -v curl >/dev/null; then exec curl -sS -i --max-time "$3" --cacert "$2" "$4"; fi
exec python3 - "$@" <<'END'
import sys, requests
_, certificate, patience, url = sys.argv[1:]
try:
    answer = requests.get(url, verify=certificate, timeout=float(patience), allow_redirects=False)
except requests.exceptions.SSLError as error:
    sys.exit(60 if "CERTIFICATE_VERIFY_FAILED" in str(error) else 35)
except requests.exceptions.ConnectionError as error:
    sys.exit(6 if "resolve" in str(error) else 35)
print(f"HTTP/1.1 {answer.status_code} {answer.reason}\\n\\n{answer.text}")
END
"""


@dataclass(frozen=True, repr=False)
class Visit(Output):
    """What curl has printed, and what it means.

    Attributes
    ----------
    status : int
        0 if there was no answer.
    outcome : str
        The status, or in a word or two why there was none.
    told : dict
        What the site says that it has seen: ``site``, ``seen_from``, ``sni``, ``asked``, ``protocol``; empty where no site has answered.
    """

    @property
    def status(self) -> int:
        found = re.findall(r"^HTTP/[\d.]+ (\d+)", self.stdout, re.MULTILINE)
        return int(found[-1]) if found else 0

    @property
    def outcome(self) -> str:
        return str(self.status) if self.status else ENDS.get(self.code, f"curl: ({self.code})")

    @property
    def told(self) -> dict[str, str]:
        found = re.search(r'^\{.*"site".*\}\s*$', self.stdout, re.MULTILINE)
        return json.loads(found[0]) if found else {}


@objects.sentences("curl")
def curl(lab, options: str, app: str = "client", container: str = "") -> Visit:
    """Run curl in a pod of `app`; that nobody answers is an answer, too.

    Parameters
    ----------
    options : str
        As in a terminal: what to ask for.
    app : str
        A pod's label ``app``.
    container : str
        Another one of that pod than that of `app`, such as ``istio-proxy``.

    Raises
    ------
    TrafficError
        The options cannot be read, or there is no such pod.
    """
    read = words(options)
    container = container or app
    file = TRUST.get(container, TRUSTED)
    script = f'printf %s "$1" >{file}; shift; exec curl -sS -i --max-time {PATIENCE} --cacert {file} "$@"'
    pod = _pod(lab, app)
    done = channels.execute(lab.client, pod, container, ["sh", "-c", script, "sh", outside.authority(lab), *read])
    of, where = "" if container == app else f" -c {container}", "" if not _visitors(lab) else f" --namespace {lab.namespace}"
    command = f"kubectl exec{where} deployment/{pod.rsplit('-', 2)[0]}{of} -- curl -sS -i --cacert {file} {options}"
    return Visit(command, done.stdout.replace("\r\n", "\n").rstrip("\n"), done.stderr, done.code)


@objects.sentences("Asking the sites")
def reach(lab, asks: Iterable[str], callers: Iterable[str] = ("client",)) -> pd.DataFrame:
    """Have each caller ask for each address once.

    Parameters
    ----------
    asks : iterable of str
        Such as ``https://coffee.example``.
    callers : iterable of str
        Labels ``app`` of pods of the namespace.

    Returns
    -------
    pandas.DataFrame
        One row a request:

        - caller, asks
        - outcome: the status, or why there was none: ``reset``, ``not trusted``, ``no such name``, ``refused``, ``no answer``
        - by: the cluster to which the caller's proxy has sent it; ``–`` where it sent it nowhere
        - seen as: whose address the site has seen, by the label ``app`` of the pod that has it; ``–`` where no site has told

    Raises
    ------
    TrafficError
        A caller has no ready pod.
    """
    asks, callers = list(asks), list(callers)
    names = {caller: _pod(lab, caller) for caller in callers}
    certificate = outside.authority(lab)

    def ask(caller: str) -> list[tuple[str, ...]]:
        rows, before = [], _sent(lab, names[caller])
        for url in asks:
            command = ["sh", "-c", SEND, "sh", certificate, TRUSTED, str(PATIENCE), url]
            done = channels.execute(lab.client, names[caller], caller, command)
            visit, after = Visit("", done.stdout.replace("\r\n", "\n"), done.stderr, done.code), _sent(lab, names[caller])
            ways = [cluster for cluster, count in after.items() if count > before.get(cluster, 0)]
            rows.append((caller, url, visit.outcome, ways[0] if ways else NOWHERE, visit.told.get("seen_from", NOWHERE)))
            before = after
        return rows

    with ThreadPoolExecutor(4) as pool, channels.kept():
        found = list(pool.map(ask, callers))
    whose = {each["status"].get("podIP"): pods.labels(each).get("app", "") for each in lab.client.list(POD)}
    rows = [(*row[:-1], whose.get(row[-1], row[-1])) for rows in found for row in rows]
    return pd.DataFrame(rows, columns=COLUMNS)


def _sent(lab, pod: str) -> dict[str, int]:
    """How many requests or connections the proxy of a pod has sent to hosts of each cluster."""
    found = {each["name"]: sum(host["requests"] for host in envoy.hosts(each)) for each in envoy.clusters(lab, pod)}
    return {name: count for name, count in found.items() if name.startswith("outbound|") and SPANS not in name or name == PASSED}


def _pod(lab, app: str) -> str:
    return pods.require_ready(lab.client, app, "Run the checkpoint's cell again.")["metadata"]["name"]


def _visitors(lab) -> bool:
    return lab.namespace.endswith("-visitor")
