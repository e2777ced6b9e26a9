"""One request from inside a chosen pod, with that pod's address and identity, to see whether it is let through."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import pandas as pd

from lab_helpers.core.errors import TrafficError
from lab_helpers.kube import channels, objects, pods

# Whatever tool the image has: productpage's has Python and no curl, the others have curl.
SEND = """
if command -v curl >/dev/null; then
  curl --silent --max-time 3 --output /dev/null --write-out '%{http_code}' --request "$1" --data "$3" "$2"
else
  python3 -c 'import sys, requests; print(requests.request(*sys.argv[1:3], data=sys.argv[3], timeout=3).status_code)' "$@"
fi
"""
BODY = '{"somebody": 1}'  # ratings takes it for the stars of one reader


@objects.sentences("Sending requests from pods")
def attempts(lab, callers: Iterable[str], requests: Iterable[str], service: str = "ratings", port: int = 9080) -> pd.DataFrame:
    """Have each caller send each request to `service` once.

    Parameters
    ----------
    callers : iterable of str
        ``app`` labels of pods of the namespace; where an app has several versions, any of them.
    requests : iterable of str
        Method and path, such as ``GET /ratings/0``. A POST carries a small JSON body.

    Returns
    -------
    pandas.DataFrame
        One row a caller (the index), one column a request: the HTTP status, or 0 where no answer came within 3 s.

    Raises
    ------
    TrafficError
        A caller has no ready pod, or its image has nothing to send with; or a request is not "METHOD /path".
    """
    callers, requests = list(callers), list(requests)
    for request in requests:
        if len(request.split(" ")) != 2 or not request.split(" ")[1].startswith("/"):
            raise TrafficError(f"{request!r} is not a request.", 'Write method and path: "GET /ratings/0".')
    senders = {caller: pods.require_ready(lab.client, caller)["metadata"]["name"] for caller in callers}
    every = [(caller, request) for caller in callers for request in requests]

    def send(one: tuple[str, str]) -> int:
        caller, request = one
        method, path = request.split(" ")
        body = BODY if method == "POST" else ""
        done = channels.execute(
            lab.client, senders[caller], caller, ["sh", "-c", SEND, "sh", method, f"http://{service}:{port}{path}", body]
        )
        if done.code == 127:
            raise TrafficError(f"The image of {caller} has neither curl nor Python.", "Send from another pod, such as client.")
        return int(done.stdout.strip() or 0)

    with ThreadPoolExecutor(4) as pool:
        statuses = list(pool.map(send, every))
    table = pd.DataFrame(every, columns=["caller", "request"]).assign(status=statuses)
    return table.pivot(index="caller", columns="request", values="status").loc[callers, requests].rename_axis(columns=None)
