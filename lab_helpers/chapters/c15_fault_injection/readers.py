"""What becomes of requests and of whole pages where calls are aborted on purpose."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import urllib3
from urllib3.exceptions import HTTPError

from lab_helpers.core.errors import TrafficError
from lab_helpers.istio import gateway
from lab_helpers.istio.gateway import Page

UNAVAILABLE = "Ratings service is currently unavailable"  # the words of reviews, where a rating should be
COLUMNS = ["status", "version", "ratings"]
MOST = 2_000


def outcomes(seen: pd.DataFrame, status: int = 403) -> dict[str, int]:
    """Count the requests that were answered (200) and those that were aborted with `status`; any other is under its own number."""
    names = {200: "answered", status: "aborted"}
    counts = seen["status"].map(lambda each: names.get(each, str(each))).value_counts()
    return {"answered": 0, "aborted": 0} | {name: int(count) for name, count in counts.items()}


def pages(lab, n: int = 100, headers: dict[str, str] | None = None, parallel: int = 4) -> pd.DataFrame:
    """Ask for the product page `n` times through the ingress gateway, and note what a reader sees on each.

    Parameters
    ----------
    n : int
        Number of pages, at most 2,000.
    headers : dict of str to str, optional
        Sent along, such as the cookie of `log_in`.
    parallel : int
        Pages under way at a time, 1 to 16.

    Returns
    -------
    pandas.DataFrame
        One row a page:

        - status: HTTP status of the page
        - version: label ``version`` of the pod whose reviews it shows; None where it shows none
        - ratings: ``stars``, ``unavailable`` (it says so in their place), or ``none`` (the page has no room for them)

    Raises
    ------
    TrafficError
        `n` or `parallel` out of range, a header that cannot be sent, or nobody answered.
    """
    if not 1 <= n <= MOST or not 1 <= parallel <= 16:
        raise TrafficError(f"n = {n}, parallel = {parallel} is out of range.", f"n may be 1 to {MOST:,}, parallel 1 to 16.")
    address, sent = f"{lab.url}/productpage", gateway.addressed(lab, headers)

    def one(_) -> Page:
        try:
            answer = gateway.fetch(address, sent)
        except HTTPError as error:
            raise gateway.unreachable(address, error) from error
        return Page(address, answer.status, answer.headers, answer.text, gateway.served_by(answer.text))

    with ThreadPoolExecutor(parallel) as pool:
        found = list(pool.map(one, range(n)))
    labels = gateway.versions(lab)
    return pd.DataFrame([(each.status, labels.get(each.reviews_pod), _ratings(each)) for each in found], columns=COLUMNS)


def _ratings(page: Page) -> str:
    if page.stars != "none":
        return "stars"
    return "unavailable" if UNAVAILABLE in page.text else "none"


def log_in(lab, user: str) -> dict[str, str]:
    """Log `user` in on the product page, as its form does; return the headers by which it knows the session again.

    Raises
    ------
    TrafficError
        The page did not begin a session, or nobody answered.
    """
    address = f"{lab.url}/login"
    headers = gateway.addressed(lab, {"referer": f"{lab.url}/productpage"})
    try:
        with urllib3.PoolManager(retries=False, timeout=15.0) as connections:
            answer = connections.request(
                "POST", address, fields={"username": user}, encode_multipart=False, headers=headers, redirect=False
            )
    except HTTPError as error:
        raise gateway.unreachable(address, error) from error
    cookie = answer.headers.get("set-cookie", "").partition(";")[0]
    if not cookie:
        do = "Does productpage run, and does its VirtualService have a route for /login? kubectl get virtualservice bookinfo -o yaml."
        raise TrafficError(f"{address} began no session for {user} (status {answer.status}).", do)
    return {"cookie": cookie}
