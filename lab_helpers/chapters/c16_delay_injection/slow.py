"""Two looks at one slow mesh at the same time: each of them takes as long as the slowest answer."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pandas as pd

from lab_helpers.traffic import observe, pages


def together(lab, n: int = 40, n_pages: int = 10) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Ask `reviews` from a pod in the mesh, all at once, and meanwhile for the page from outside.

    Parameters
    ----------
    n : int
        Requests to ``reviews``, at most 50.
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
    with ThreadPoolExecutor(2) as pool:
        direct = pool.submit(observe.observe, lab, "reviews", n, parallel=n)
        read = pool.submit(pages.read, lab, n_pages, parallel=n_pages)
        return direct.result(), read.result()
