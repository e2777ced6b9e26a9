"""How sound a version is, by what the proxies have counted: failures among the requests that it was given, and no others."""

from __future__ import annotations

from lab_helpers.core.statistics import rate_at_most
from lab_helpers.traffic import graph
from lab_helpers.traffic.prometheus import Window

FAILED = r"5\d\d|0"  # 5xx, or no answer at all; what a client asks wrongly (4xx) is no fault of the version


def health(lab, window: Window, version: str, service: str = "reviews", confidence: float = 0.99) -> dict[str, int | str]:
    """Count what a version was asked and how much of it failed, and bound its true failure rate.

    The sender's proxy knows where it has sent each request, also one that failed, which its answer does not tell the client.

    Parameters
    ----------
    window : Window
        From ``lab.window()``.
    version : str
        Label of the pods. A request that reached no pod belongs to no version, and is not counted here.
    confidence : float
        Of the bound: a true rate above it would have shown more failures in that share of all runs.

    Returns
    -------
    dict
        ``requests``, ``failed``, and ``failure rate below (99 % confidence)``, a text in percent; where nothing was asked, it is 100 %.

    Raises
    ------
    QueryError
        Prometheus is not there.
    """
    labels = ("destination_service_name", "destination_version", "response_code")
    counted = graph.requests(lab, window, *labels)
    own = counted[(counted["destination_service_name"] == service) & (counted["destination_version"] == version)]
    n, failed = int(own["requests"].sum()), int(own.loc[own["response_code"].str.fullmatch(FAILED), "requests"].sum())
    return {
        "requests": n,
        "failed": failed,
        f"failure rate below ({100 * confidence:g} % confidence)": f"{rate_at_most(failed, n, confidence) if n else 1:.1%}",
    }
