"""Several readers, each of whom asks more than once: who met which version."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

import pandas as pd

from lab_helpers.core import http
from lab_helpers.core.errors import LabError, TrafficError
from lab_helpers.istio import gateway
from lab_helpers.kube import channels, pods
from lab_helpers.traffic import observe

# So many that they would not all be sent to one pod of three by chance: not once in a million times.
READERS = (
    "ann", "ben", "cleo", "dan", "eva", "fred", "gina", "hugo", "ida", "jim",
    "kim", "leo", "mia", "ned", "ola", "pam", "quin", "rosa", "sam", "tess",
)  # fmt: skip
CLIENT = "client"
# One curl asks for all of them, one after the other: to start one for each reader takes far longer than the answers.
NAMED = """grep -rHo '"podname": *"[^"]*"' ."""
SCRIPT = f'd=$(mktemp -d /answers/XXXXXX) && cd "$d" && printf %s "$1" | curl --config -; echo; {NAMED}; cd /; rm -rf "$d"'


def by_reader(lab, readers: Mapping[str, dict], n: int = 4, service: str = "reviews") -> pd.DataFrame:
    """Have each reader ask `n` times, from the pod of the client.

    Parameters
    ----------
    readers : mapping of str to dict
        By name, by what a reader is known: ``headers`` (dict of str to str), ``path``, or both.
    n : int
        Requests of each.

    Returns
    -------
    pandas.DataFrame
        One row a request: ``reader``; and ``version``, ``status``, ``latency_ms`` and ``pod`` as ``lab.observe`` has them.

    Raises
    ------
    TrafficError
        Nobody to ask, a name that is none, a path or a header that cannot be sent, or no client.
    """
    found = observe.find_service(lab, service)
    if not readers or n < 1 or len(readers) * n > observe.MOST:
        raise TrafficError(f"{len(readers)} readers with {n} requests each cannot be sent.", f"Send 1 to {observe.MOST:,} in all.")
    strange = next((name for name in readers if not re.fullmatch(r"[\w-]+", str(name))), None)
    if strange is not None:
        raise TrafficError(f"A reader cannot be called {strange!r}.", "Take letters, digits and hyphens.")
    url = f"http://{service}:{found['spec']['ports'][0]['port']}"
    config = "\nnext\n".join("\n".join(_asking(url, name, n, **known)) for name, known in readers.items())
    pod = pods.require_ready(lab.client, CLIENT, 'lab.apply("shared/client.yaml")')
    answer = channels.execute(lab.client, pod["metadata"]["name"], CLIENT, ["sh", "-c", SCRIPT, "sh", config], deadline=120)
    return _visits(answer.stdout, gateway.versions(lab))


def _asking(url: str, name: str, n: int, path: str = "/reviews/0", headers: dict[str, str] | None = None) -> list[str]:
    options = [http.option(field, value) for field, value in http.fields(headers).items()]
    body = f'output = "{name}.#1"'
    return [f'url = "{url}{http.target(path)}#[1-{n}]"', body, r'write-out = "%{json}\n"', "silent", "max-time = 30", *options]


def _visits(printed: str, labels: dict[str, str]) -> pd.DataFrame:
    lines = printed.splitlines()
    told = [json.loads(line) for line in lines if line.startswith("{")]
    names = (re.fullmatch(r'\./([^:]+):"podname": *"([^"]*)"', line) for line in lines)
    answered = {each[1]: each[2] for each in names if each}
    rows = []
    for each in told:
        pod = answered.get(each["filename_effective"] or "") if each["http_code"] == 200 else None
        reader = (each["filename_effective"] or each["url"]).rpartition(".")[0]
        rows.append((reader, labels.get(pod) if pod else None, each["http_code"], 1000 * each["time_total"], pod))
    return pd.DataFrame(rows, columns=["reader", *observe.COLUMNS])


def met(visits: pd.DataFrame) -> pd.DataFrame:
    """Which versions a reader has met, and which readers met just these.

    Parameters
    ----------
    visits : pandas.DataFrame
        Of `by_reader`.

    Returns
    -------
    pandas.DataFrame
        By versions, such as ``v1`` or ``v1, v2``: ``readers``, how many, and ``who``.
    """
    answered = visits.dropna(subset=["version"])
    versions = answered.groupby("reader")["version"].agg(lambda seen: ", ".join(sorted(set(seen))))
    rows = {each: list(versions.index[versions == each]) for each in sorted(set(versions))}
    table = pd.DataFrame({"readers": [len(who) for who in rows.values()], "who": [", ".join(who) for who in rows.values()]}, list(rows))
    table.index.name = "versions met"
    return table


def cookie_of(answer) -> str:
    """The cookie that an answer sets, as a browser sends it back: ``NAME=VALUE``.

    Parameters
    ----------
    answer : Output
        Of ``curl`` with the headers of the answer (``-i`` or ``-D -``).

    Raises
    ------
    LabError
        It sets none.
    """
    found = re.search(r"^set-cookie: ([^;\s]+)", answer.stdout, re.MULTILINE | re.IGNORECASE)
    if not found:
        raise LabError("This answer sets no cookie.", "Is a DestinationRule with httpCookie and ttl in effect?")
    return found[1].replace('"', "")
