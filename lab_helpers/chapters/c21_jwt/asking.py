"""Requests with a token, or with none, from the pod outside of the mesh; each over a connection that knows no older rule."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from lab_helpers.core import http
from lab_helpers.istio import gateway
from lab_helpers.kube import channels, objects, pods
from lab_helpers.kube.commands import Output

CLIENT, SERVER = "plain-client", "productpage:9080"
PATIENCE = 10  # seconds that curl waits for an answer
BETWEEN = "\x1e"  # between the answers to several requests
SCRIPT = (
    'd=$(mktemp -d /answers/XXXXXX) && cd "$d" && printf %s "$1" | curl --config -; '
    r'for i in $(seq 1 "$2"); do printf "\036"; head -c 4000 "$i" 2> /dev/null; done; cd /; rm -rf "$d"'
)


@dataclass(frozen=True, repr=False)
class Answer(Output):
    """One answer.

    Attributes
    ----------
    status : int
        0 if there was none.
    said : str
        Its body, if that is a sentence and no page.
    """

    @property
    def status(self) -> int:
        found = re.match(r"HTTP/[\d.]+ (\d+)", self.stdout)
        return int(found[1]) if found else 0

    @property
    def said(self) -> str:
        body = self.stdout.partition("\n\n")[2].strip()
        return body if self.status and len(body) < 200 and not body.startswith(("<", "{", "[")) else ""

    @property
    def shown(self) -> str:
        head, _, body = self.stdout.partition("\n\n")
        return f"{head}\n\n{body if len(body) < 200 else f'… {len(body):,} characters or more …'}".rstrip() if self.stdout else self.stderr


@objects.sentences("Asking")
def ask(
    lab,
    token: str | None = None,
    path: str = "/productpage",
    at: str = SERVER,
    host: str = "",
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Send one request with `token`, and return the answer.

    Parameters
    ----------
    token : str, optional
        It goes into the header ``authorization``, behind the word Bearer.
    path, method : str
    at : str
        Service and port that are asked.
    host : str
        Another ``Host`` than that.
    headers : mapping, optional
        Sent along.

    Raises
    ------
    TrafficError
        There is no pod to send from, or the path or the token cannot be sent.
    """
    (found,) = _asked(lab, [token], path, at, host, method, headers)
    return found


@objects.sentences("Asking")
def ask_each(
    lab, tokens: Mapping[str, str | None], path: str = "/productpage", at: str = SERVER, host: str = "", method: str = "GET"
) -> pd.DataFrame:
    """Send one request with each token, as `ask` does, all within a fraction of a second.

    Returns
    -------
    pandas.DataFrame
        One row a token: ``token`` (its name), ``status``, ``said`` (the body, where that is a sentence).
    """
    answers = _asked(lab, list(tokens.values()), path, at, host, method)
    rows = [{"token": name, "status": each.status, "said": each.said} for name, each in zip(tokens, answers, strict=True)]
    return pd.DataFrame(rows, columns=["token", "status", "said"])


@objects.sentences("Asking")
def ask_routes(lab, tokens: Mapping[str, str | None], path: str, at: str, host: str) -> pd.DataFrame:
    """As `ask_each`, of a service that tells which of its pods has answered.

    Returns
    -------
    pandas.DataFrame
        One row a token: ``token``, ``status``, ``version`` (the pod's; a dash where the answer does not tell).
    """
    answers = _asked(lab, list(tokens.values()), path, at, host, "GET")
    versions = gateway.versions(lab)
    told = [re.search(r'"podname": ?"([^"]+)"', each.stdout) for each in answers]
    rows = [(name, each.status, versions.get(pod[1], "–") if pod else "–") for name, each, pod in zip(tokens, answers, told, strict=True)]
    return pd.DataFrame(rows, columns=["token", "status", "version"])


@objects.sentences("Asking")
def repeat(lab, token: str, n: int, path: str) -> list[int]:
    """Send `n` requests with one token over one connection; the status of each."""
    lines = [f'url = "http://{SERVER}{path}#[1-{n}]"', http.option("authorization", f"Bearer {token}"), 'output = "/dev/null"', "silent"]
    config = "\n".join([*lines, r'write-out = "%{http_code}\n"', f"max-time = {PATIENCE}"])
    done = channels.execute(lab.client, _client(lab), CLIENT, ["sh", "-c", 'printf %s "$1" | curl --config -', "sh", config])
    return [int(each) for each in done.stdout.split()]


def beside(seen: pd.DataFrame, mine: Mapping[str, object]) -> pd.DataFrame:
    """What was seen, with a column ``predicted`` beside it: a status for each token, or nothing where none was predicted."""
    predicted = [mine.get(name, ...) for name in seen["token"]]
    table = seen.copy()
    table.insert(1, "predicted", ["–" if each is ... else each for each in predicted])
    return table


def _asked(
    lab, tokens: list[str | None], path: str, at: str, host: str, method: str, headers: Mapping[str, str] | None = None
) -> list[Answer]:
    url = f"http://{at}{http.target(path)}"
    config = "\nnext\n".join(_request(number, url, token, host, method, headers or {}) for number, token in enumerate(tokens, 1))
    command = ["sh", "-c", SCRIPT, "sh", config, str(len(tokens))]
    done = channels.execute(lab.client, _client(lab), CLIENT, command)
    bodies = [each.replace("\r\n", "\n") for each in done.stdout.split(BETWEEN)[1:]]
    return [Answer(_line(url, token, host, method), body, done.stderr) for token, body in zip(tokens, bodies, strict=True)]


def _client(lab) -> str:
    return pods.require_ready(lab.client, CLIENT, "Run the checkpoint's cell again.")["metadata"]["name"]


def _request(number: int, url: str, token: str | None, host: str, method: str, headers: Mapping[str, str]) -> str:
    named = {**({} if token is None else {"authorization": f"Bearer {token}"}), **({"host": host} if host else {})}
    sent = http.fields({**named, **headers})
    lines = [f'url = "{url}"', f'output = "{number}"', "include", "silent", "show-error", f"max-time = {PATIENCE}", f"request = {method}"]
    return "\n".join([*lines, *(http.option(name, value) for name, value in sent.items())])


def _line(url: str, token: str | None, host: str, method: str) -> str:
    named = f' -H "Host: {host}"' if host else ""
    shown = ' -H "Authorization: Bearer $TOKEN"' if token is not None else ""
    return f"kubectl exec deploy/{CLIENT} -- curl -sS -i{'' if method == 'GET' else f' -X {method}'}{named}{shown} {url}"
