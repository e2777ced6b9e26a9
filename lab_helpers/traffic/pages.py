"""Pages that people look at: Bookinfo's, as its readers see it, and those of the add-ons."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pandas as pd
from urllib3.exceptions import HTTPError

from lab_helpers.core.errors import TrafficError
from lab_helpers.istio import gateway
from lab_helpers.istio.gateway import Page
from lab_helpers.kube.client import Answer
from lab_helpers.traffic import addons

# The words in place of what a page has to do without.
NO_RATINGS, NO_DETAILS = "Ratings service is currently unavailable", "product details are currently unavailable"
COLUMNS = ["status", "latency_ms", "version", "ratings", "details"]
MOST = 2_000


def read(lab, n: int = 100, headers: dict[str, str] | None = None, parallel: int = 4) -> pd.DataFrame:
    """Ask for Bookinfo's page `n` times through the ingress gateway, and note what a reader sees on each.

    Parameters
    ----------
    n : int
        Number of pages, at most 2,000.
    headers : dict of str to str, optional
        Sent along, such as the cookie of who has logged in.
    parallel : int
        Pages under way at a time, 1 to 20.

    Returns
    -------
    pandas.DataFrame
        One row a page:

        - status: HTTP status of the page
        - latency_ms: from asking to the last byte, in milliseconds
        - version: label ``version`` of the pod whose reviews it shows; None where it shows none
        - ratings: ``stars``, ``unavailable`` (it says so in their place), or ``none`` (it has no room for them)
        - details: whether the book's details are there

    Raises
    ------
    TrafficError
        `n` or `parallel` out of range, a header that cannot be sent, or nobody answered.
    """
    if not 1 <= n <= MOST or not 1 <= parallel <= 20:
        raise TrafficError(f"n = {n}, parallel = {parallel} is out of range.", f"n may be 1 to {MOST:,}, parallel 1 to 20.")
    address, sent = f"{lab.url}/productpage", gateway.addressed(lab, headers)

    def one(_) -> tuple[Page, float]:
        start = time.perf_counter()
        try:
            answer = gateway.fetch(address, sent)
        except HTTPError as error:
            raise gateway.unreachable(address, error) from error
        took = 1000 * (time.perf_counter() - start)
        return Page(address, answer.status, answer.headers, answer.text, gateway.served_by(answer.text)), took

    with ThreadPoolExecutor(parallel) as pool:
        found = list(pool.map(one, range(n)))
    labels = gateway.versions(lab)
    return pd.DataFrame([(page.status, took, labels.get(page.reviews_pod), *seen(page)) for page, took in found], columns=COLUMNS)


def seen(page: Page) -> tuple[str, bool]:
    """What stands for the ratings on a page, and whether the book's details are there."""
    ratings = "stars" if page.stars != "none" else "unavailable" if NO_RATINGS in page.text else "none"
    return ratings, page.status == 200 and NO_DETAILS not in page.text


def uis(lab) -> pd.DataFrame:
    """Which add-ons are there, and where a browser finds their pages.

    Returns
    -------
    pandas.DataFrame
        One row each of Kiali, Grafana, Jaeger, Zipkin and Prometheus:

        - name
        - state: ``up``, ``up, without pages`` (it answers programs, and was built without its pages), ``no ready pod`` or
          ``not installed``
        - address: of its pages, where they are open to the outside; empty where they are not
        - command: that opens them otherwise, or installs it
    """
    return pd.DataFrame([_row(lab, name) for name in ("kiali", "grafana", "jaeger", "zipkin", "prometheus")])


def _row(lab, name: str) -> dict:
    service = addons.find(lab.client, name, lab.addons_namespace)
    if service is None:
        return {"name": name, "state": "not installed", "address": "", "command": f"meshlab addons {name}"}
    if not addons.running(lab, service):
        command = f"kubectl get pods -n {lab.addons_namespace}"
        return {"name": name, "state": "no ready pod", "address": "", "command": command}
    if not _pages(addons.ask(lab, name, f"{addons.ADDONS[name].path}/{addons.ADDONS[name].page}")):
        return {"name": name, "state": "up, without pages", "address": "", "command": ""}
    command = f"kubectl port-forward -n {lab.addons_namespace} service/zipkin 9411" if name == "zipkin" else f"istioctl dashboard {name}"
    there = addons.addresses(lab.client, lab.addons_namespace).get(name, "")
    return {"name": name, "state": "up", "address": there and f"{there}{addons.ADDONS[name].path}/", "command": command}


def _pages(answer: Answer) -> bool:
    # Jaeger built without its pages still has one, to say so.
    return answer.status in (200, 302) and "not compiled with the UI" not in answer.text
