"""The web server on which an issuer publishes its keys, and who has come to read them."""

from __future__ import annotations

import json
import re

import pandas as pd

from lab_helpers.core.errors import TrafficError
from lab_helpers.kube import channels, objects, pods
from lab_helpers.kube.commands import Output

APP, FOLDER = "keys", "/keys"
FILE = re.compile(r"[a-z0-9-]+\.json")
PRINTED = re.compile(r"^GET (\S+) (\d+) (\S+)", re.MULTILINE)


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
    done = channels.execute(lab.client, _server(lab), APP, write)
    if done.code:
        raise TrafficError(f"{name} could not be written: {done.stderr.strip()}", "See whether the server runs: kubectl get pods.")
    return Output(f"kubectl exec -i deploy/{APP} -c {APP} -- sh -c 'cat > {FOLDER}/{name}' < {name}", "")


@objects.sentences("Reading the server's log")
def visits(lab, name: str) -> pd.DataFrame:
    """Who has asked the server for a file, as it has printed it.

    Returns
    -------
    pandas.DataFrame
        One row a request, in order: ``path``, ``status``, ``agent`` (the program that asked, as it calls itself).
    """
    address = f"/api/v1/namespaces/{lab.namespace}/pods/{_server(lab)}/log"
    printed = lab.client.raw(address, {"container": APP}).text
    rows = [each for each in PRINTED.findall(printed) if each[0].startswith(f"/{name}")]
    return pd.DataFrame(rows, columns=["path", "status", "agent"]).astype({"status": int})


def _server(lab) -> str:
    pod = pods.ready_pod(lab.client, APP)
    if pod is None:
        raise TrafficError(f"No pod of {APP} is ready in namespace {lab.namespace}.", "Run the checkpoint's cell again.")
    return pod["metadata"]["name"]
