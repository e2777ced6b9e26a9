"""Who got which version: pages asked for by several browsers, one row a visitor."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import pandas as pd

from lab_helpers.chapters.c13_ab_testing.browser import PHONE, Browser
from lab_helpers.core.errors import TrafficError

NAME = re.compile(r'text-gray-50">\s*([^<]+?)\s*</p>')  # where a page greets whom it knows
COLUMNS = ["visitor", "name on the page", "version", "stars", "pages"]
PAGES = 12  # of a mesh that takes any of three versions, so many look right by chance once in 177,147 times


def who_got_what(visitors: Mapping[str, Browser], n: int = PAGES) -> pd.DataFrame:
    """Have each visitor open `n` pages.

    Returns
    -------
    pandas.DataFrame
        One row a visitor:

        - visitor: the name by which it was given
        - name on the page: whom the application takes the visitor for; empty where it knows nobody
        - version: of ``reviews``, in the order of their names where there were several; ``none`` where a page had no reviews
        - stars: their colours, in the same way
        - pages: how many were opened

    Raises
    ------
    TrafficError
        Nobody visits, or no page is to be opened.
    """
    if not visitors or n < 1:
        raise TrafficError("No page is to be opened.", "Name a visitor at least, and n of 1 or more.")
    rows = []
    for visitor, browser in visitors.items():
        pages = [browser.page() for _ in range(n)]
        names = {found[1] if (found := NAME.search(page.text)) else "" for page in pages}
        versions = {page.reviews_version or "none" for page in pages}
        rows.append((visitor, _listed(names), _listed(versions), _listed(page.stars for page in pages), n))
    return pd.DataFrame(rows, columns=COLUMNS)


def logged_in(lab, users: Iterable[str], devices: Mapping[str, str]) -> dict[str, Browser]:
    """A browser for each user on each device, ``quentin, phone``, logged in but for ``nobody``.

    Parameters
    ----------
    users : iterable of str
    devices : mapping of str to str
        What each device's browser says it is.
    """
    found = {f"{user}, {device}": Browser(lab, says) for user in users for device, says in devices.items()}
    for visitor, browser in found.items():
        if not visitor.startswith("nobody,"):
            browser.login(visitor.partition(",")[0])
    return found


def newcomers(lab, number: int = 20, n: int = 4) -> pd.DataFrame:
    """Have so many people, who have never been here, open `n` pages each.

    Returns
    -------
    pandas.DataFrame
        One row a visitor: ``visitor``, ``group`` (of the cookie that was given; empty where there was none), ``versions`` (of each
        page, in order) and ``changed`` (whether they differ).
    """
    rows = []
    for visitor in range(1, number + 1):
        browser = Browser(lab, PHONE if visitor % 2 else Browser(lab).user_agent)
        versions = [browser.page().reviews_version or "none" for _ in range(n)]
        rows.append((visitor, browser.cookies.get("group", ""), ", ".join(versions), len(set(versions)) > 1))
    return pd.DataFrame(rows, columns=["visitor", "group", "versions", "changed"])


def _listed(values: Iterable[str]) -> str:
    return ", ".join(sorted(set(values)))
