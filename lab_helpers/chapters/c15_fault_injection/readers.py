"""What becomes of requests where calls are aborted on purpose, and how somebody logs in to be among those who meet it."""

from __future__ import annotations

import pandas as pd

from lab_helpers.core.errors import TrafficError
from lab_helpers.core.wait import wait_until
from lab_helpers.istio import gateway
from lab_helpers.traffic import observe

BURST = 32  # requests, so many at a time that they use each connection that is open


def outcomes(seen: pd.DataFrame, status: int = 403) -> dict[str, int]:
    """Count the requests that were answered (200) and those that were aborted with `status`; any other is under its own number."""
    names = {200: "answered", status: "aborted"}
    counts = seen["status"].map(lambda each: names.get(each, str(each))).value_counts()
    return {"answered": 0, "aborted": 0} | {name: int(count) for name, count in counts.items()}


def until_denied(lab, service: str) -> int:
    """Ask `service` from a pod in the mesh until all answers are 403; return how many requests were still let through.

    A connection from before a policy follows the old rules until it is closed, which happens after its next answer.

    Raises
    ------
    MeshError
        Some are let through for a minute.
    """
    let_through = []

    def all_denied() -> bool:
        bursts = [observe.observe(lab, service, BURST, parallel=16) for _ in range(2)]
        let_through.append(sum(int((each["status"] != 403).sum()) for each in bursts))
        return let_through[-1] == 0

    late = lambda: f"{let_through[-1]} of {2 * BURST} were let through."  # noqa: E731
    wait_until(all_denied, f"{service} to deny every request", 60, 0.1, late, do="See kubectl get authorizationpolicy -o yaml.")
    return sum(let_through)


def log_in(lab, user: str) -> dict[str, str]:
    """Log `user` in on the product page, as its form does; return the headers by which it knows the session again.

    Raises
    ------
    TrafficError
        The page did not begin a session, or nobody answered.
    """
    address = f"{lab.url}/login"
    headers = gateway.addressed(lab, {"referer": f"{lab.url}/productpage"})
    answer = gateway.submit(address, {"username": user}, headers)
    cookie = answer.headers.get("set-cookie", "").partition(";")[0]
    if not cookie:
        do = "Does productpage run, and does its VirtualService have a route for /login? kubectl get virtualservice bookinfo -o yaml."
        raise TrafficError(f"{address} began no session for {user} (status {answer.status}).", do)
    return {"cookie": cookie}
