"""Two looks at one slow mesh at the same time: each of them takes as long as the slowest answer."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pandas as pd

from lab_helpers.kube import pods
from lab_helpers.kube.kinds import POD
from lab_helpers.traffic import observe
from lab_helpers.traffic.pages import read

ROUNDS = 6  # a version that nobody has met in so many is not there


def together(lab, n: int = 12, n_pages: int = 10) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Ask ``reviews`` from a pod in the mesh until each of its versions has answered, and meanwhile for the page from outside.

    Parameters
    ----------
    n : int
        Requests to ``reviews`` at a time: as many as its programs can have under way without a queue of their own.
    n_pages : int
        Pages, at most 20.

    Returns
    -------
    DataFrame, DataFrame
        What ``lab.observe`` tells of the requests, and what ``pages`` tells of the pages.

    Raises
    ------
    TrafficError
        Nobody answers.
    """
    there = {pods.labels(pod).get("version") for pod in lab.client.list(POD, labels={"app": "reviews"}) if pods.ready(pod)}

    def asked() -> pd.DataFrame:
        found = observe.observe(lab, "reviews", n, parallel=n)
        for _ in range(ROUNDS - 1):
            if there <= set(found["version"]):
                break
            found = pd.concat([found, observe.observe(lab, "reviews", n, parallel=n)], ignore_index=True)
        return found

    with ThreadPoolExecutor(2) as pool:
        direct, pages = pool.submit(asked), pool.submit(read, lab, n_pages, parallel=n_pages)
        return direct.result(), pages.result()
