"""Zipkin's dependency graph: who calls whom, put together from nothing but the spans that it has stored."""

from __future__ import annotations

import pandas as pd

from lab_helpers.core.errors import QueryError
from lab_helpers.kube import objects
from lab_helpers.traffic import addons
from lab_helpers.traffic.prometheus import Window

COLUMNS = ["source", "destination", "requests", "failed"]


@objects.sentences("Reading Zipkin's dependency graph")
def dependencies(lab, window: Window) -> pd.DataFrame:
    """Links of Zipkin's dependency graph, as its page *Dependencies* draws them, of the namespace's services.

    Parameters
    ----------
    window : Window
        From ``lab.window()``: of the traces that began then.

    Returns
    -------
    pandas.DataFrame
        One row a link, busiest first:

        - source, destination: services, without the namespace where it is the lab's own
        - requests: calls that Zipkin knows both ends of
        - failed: those of them whose span is marked as failed

    Raises
    ------
    QueryError
        The window has not ended, or Zipkin is not there.
    """
    window.require_end()
    asked = {"endTs": int(1000 * window.end) + 1, "lookback": int(1000 * window.seconds) + 2}
    answer = addons.ask(lab, "zipkin", "/zipkin/api/v2/dependencies", asked)
    if answer.status != 200:
        raise QueryError(f"Zipkin answered {answer.status}: {answer.text.strip()[:200]}", "See its log.")
    own = f".{lab.namespace}"
    links = [each for each in answer.json() if own in (_behind(each["parent"]), _behind(each["child"]))]
    rows = [(_name(each["parent"], own), _name(each["child"], own), each["callCount"], each.get("errorCount", 0)) for each in links]
    return pd.DataFrame(rows, columns=COLUMNS).sort_values(["requests", "source", "destination"], ascending=False, ignore_index=True)


def _behind(service: str) -> str:
    return "." + service.partition(".")[2]


def _name(service: str, own: str) -> str:
    return service.removesuffix(own) if _behind(service) == own else service.removesuffix(".istio-system")
