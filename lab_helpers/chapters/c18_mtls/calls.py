"""One call, with the answer and what was heard of it; and calls that go on while other things happen."""

from __future__ import annotations

import json
from typing import NamedTuple

import pandas as pd

from lab_helpers.kube import channels, pods
from lab_helpers.lab.asking.curl import INSIDE, Answer, curl
from lab_helpers.lab.asking.wire import overhear

TOLD = "X-Forwarded-Client-Cert"  # in which a server proxy tells its application whose certificate it has seen
CALLED = "httpbin"
RATE, MOST = 4, 480  # requests a second, and in all: they end by themselves after two minutes
KEPT = "/answers/kept"
START = f"""
nohup curl --silent --rate {RATE}/s --output /dev/null --write-out '%{{stderr}}%{{http_code}}\\n' "$1#[1-{MOST}]" > {KEPT} 2>&1 &
echo $!
"""
STOP = f'kill "$1" 2> /dev/null; cat {KEPT}'


class Call(NamedTuple):
    """What came of one call.

    Attributes
    ----------
    answer : Answer
        What curl has printed.
    heard : pandas.DataFrame
        The packets of it, as ``overhear`` returns them.
    """

    answer: Answer
    heard: pd.DataFrame

    @property
    def told(self) -> str:
        """What httpbin was told of the caller's certificate; nothing, if it was told nothing."""
        if self.answer.code or not self.answer.stdout.startswith("{"):
            return ""
        return ", ".join(json.loads(self.answer.stdout)["headers"].get(TOLD, []))


def call(lab, app: str, url: str = "http://httpbin:8000/headers") -> Call:
    """Have the pod of `app` ask httpbin for the headers that it was sent, while the eavesdropper listens.

    Raises
    ------
    TrafficError
        No such pod, or nobody eavesdrops.
    """
    answers: list[Answer] = []
    heard = overhear(lab, lambda: answers.append(curl(lab, url, app)), at="httpbin")
    ends = zip(heard["source"], heard["destination"], strict=True)
    own = [any(end.startswith(f"{app}-") for end in pair) and any(end.startswith(CALLED) for end in pair) for pair in ends]
    return Call(answers[0], heard[own].reset_index(drop=True))


class Going:
    """Requests from the pod of ``client``, four a second and over one connection, that go on until they are stopped (or for two minutes).

    Parameters
    ----------
    lab : Lab
    url : str

    Raises
    ------
    TrafficError
        There is no ready pod of ``client``.
    """

    def __init__(self, lab, url: str = "http://httpbin:8000/status/200"):
        pod = pods.require_ready(lab.client, INSIDE, "Run the checkpoint's cell again.")
        self.lab, self.pod = lab, pod["metadata"]["name"]
        self.process = channels.execute(lab.client, self.pod, INSIDE, ["sh", "-c", START, "sh", url]).stdout.strip()

    def stop(self) -> pd.Series:
        """Stop them; how many were answered how, by HTTP status."""
        done = channels.execute(self.lab.client, self.pod, INSIDE, ["sh", "-c", STOP, "sh", self.process])
        return pd.Series(done.stdout.split(), dtype=object).value_counts().rename_axis("status").rename("requests")
