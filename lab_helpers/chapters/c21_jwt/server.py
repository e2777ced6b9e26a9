"""The web server on which an issuer publishes its keys, and who has come to read them."""

from __future__ import annotations

import json
import re

import pandas as pd

from lab_helpers.core.errors import TrafficError
from lab_helpers.core.wait import wait_until, wait_until_none
from lab_helpers.istio import istiod
from lab_helpers.kube import channels, objects, pods
from lab_helpers.kube.commands import Output
from lab_helpers.kube.kinds import POD
from lab_helpers.lab.asking.curl import curl

APP, FOLDER = "keys", "/keys"
NO_CONNECTION = 7  # curl's exit code where nobody listens; 28 is that no answer came in time
FILE = re.compile(r"[a-z0-9-]+\.json")
FAILED = re.compile(r'Failed to fetch public key from jwks URI "([^"]*)": (.*)')
PRINTED = re.compile(r"^GET (\S+) (\d+) (\S+) (\S+)", re.MULTILINE)


@objects.sentences("Publishing")
def publish(lab, content: dict | str, name: str = "jwks.json") -> Output:
    """Put a file where the server shows it; a key set, or any text.

    Raises
    ------
    TrafficError
        The server is not there, or the file cannot have that name.
    """
    if not FILE.fullmatch(name):
        raise TrafficError(f"The server cannot show {name!r}.", "Name the file like jwks.json.")
    written = content if isinstance(content, str) else json.dumps(content)
    write = ["sh", "-c", 'printf %s "$1" > "$2.new" && mv "$2.new" "$2"', "sh", written, f"{FOLDER}/{name}"]
    done = channels.execute(lab.client, _server(lab)["metadata"]["name"], APP, write)
    if done.code:
        raise TrafficError(f"{name} could not be written: {done.stderr.strip()}", "See whether the server runs: kubectl get pods.")
    return Output(f"kubectl exec -i deploy/{APP} -c {APP} -- sh -c 'cat > {FOLDER}/{name}' < {name}", "")


@objects.sentences("Reading the server's log")
def visits(lab, name: str) -> pd.DataFrame:
    """Who has asked the server for a file, as it has printed it.

    Returns
    -------
    pandas.DataFrame
        One row a request, in order:

        - path: without its query, which may hold a token: only that there was one
        - status
        - agent: the program that asked, as it calls itself
        - user: what stood in the header ``x-user``, or None

    Raises
    ------
    TrafficError
        The server is not there, or its log cannot be read.
    """
    printed = pods.log(lab.client, _server(lab), APP)
    told = [each for each in PRINTED.findall(printed) if each[0].startswith(f"/{name}")]
    rows = [(re.sub(r"\?.*", "?…", path), *rest) for path, *rest in told]
    return pd.DataFrame(rows, columns=["path", "status", "agent", "user"]).astype({"status": int})


@objects.sentences("Shutting the server down")
def shut_down(lab) -> Output:
    """Have the server go away; return when it has, and whoever asks is refused at once.

    The rules of the node follow a moment later. Whoever asks in between gets no answer at all: istiod, too, which then tells the proxies
    late of what it was told.
    """
    done = lab.run(f"kubectl scale deployment {APP} --replicas=0")
    left = lambda: [each["metadata"]["name"] for each in lab.client.list(POD, labels={"app": APP})]  # noqa: E731
    wait_until_none(left, "the server to end", "See its pods: kubectl get pods -l app=keys.", 60, 0.1)
    refused = lambda: curl(lab, f"--max-time 1 --output /dev/null http://{APP}:8080/").code == NO_CONNECTION  # noqa: E731
    wait_until(refused, "the server's address to refuse connections", 30, 0.1, do="See what is there: kubectl get endpointslices.")
    return done


@objects.sentences("Reading the log of istiod")
def failures(lab, name: str) -> pd.DataFrame:
    """Why istiod could not read addresses of which `name` is a part, as it has logged it.

    Returns
    -------
    pandas.DataFrame
        One row an address: ``address``, ``why``.

    Raises
    ------
    TrafficError
        Its log cannot be read.
    """
    printed = [pods.log(lab.client, each, "discovery", sinceSeconds=600) for each in istiod.pods(lab.client)]
    told = dict(each for text in printed for each in FAILED.findall(text) if name in each[0])
    rows = [(address, re.sub(r'^Get "[^"]*": |, message .*', "", why)) for address, why in told.items()]
    return pd.DataFrame(rows, columns=["address", "why"])


def _server(lab) -> dict:
    return pods.require_ready(lab.client, APP, "Run the checkpoint's cell again.")
