"""Several readers, each of whom asks more than once: who met which version."""

from __future__ import annotations

import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import pandas as pd

from lab_helpers.core.errors import LabError
from lab_helpers.traffic import observe

# So many that they would not all be sent to one pod of two by chance: not once in a hundred thousand times.
READERS = (
    "ann", "ben", "cleo", "dan", "eva", "fred", "gina", "hugo", "ida", "jim",
    "kim", "leo", "mia", "ned", "ola", "pam", "quin", "rosa", "sam", "tess",
)  # fmt: skip
AT_A_TIME = 4


def by_reader(lab, readers: Mapping[str, dict], n: int = 4, service: str = "reviews") -> pd.DataFrame:
    """Have each reader ask `n` times, over a connection of his own.

    Parameters
    ----------
    readers : mapping of str to dict
        By name, by what a reader is known: ``headers``, ``path``, what ``lab.observe`` takes.
    n : int
        Requests of each.

    Returns
    -------
    pandas.DataFrame
        What ``lab.observe`` gives, and before it a column ``reader``.
    """

    def asked(name: str) -> pd.DataFrame:
        return observe.observe(lab, service, n=n, **readers[name]).assign(reader=name)

    with ThreadPoolExecutor(AT_A_TIME) as pool:
        found = list(pool.map(asked, readers))
    return pd.concat(found, ignore_index=True)[["reader", *observe.COLUMNS]]


def met(visits: pd.DataFrame) -> pd.DataFrame:
    """Which versions a reader has met, and which readers met just these.

    Parameters
    ----------
    visits : pandas.DataFrame
        Of `by_reader`.

    Returns
    -------
    pandas.DataFrame
        By versions, such as ``v1`` or ``v1, v2``: ``readers``, how many, and ``who``.
    """
    answered = visits.dropna(subset=["version"])
    versions = answered.groupby("reader")["version"].agg(lambda seen: ", ".join(sorted(set(seen))))
    rows = {each: list(versions.index[versions == each]) for each in sorted(set(versions))}
    table = pd.DataFrame({"readers": [len(who) for who in rows.values()], "who": [", ".join(who) for who in rows.values()]}, list(rows))
    table.index.name = "versions met"
    return table


def cookie_of(answer) -> str:
    """The cookie that an answer sets, as a browser sends it back: ``NAME=VALUE``.

    Parameters
    ----------
    answer : Output
        Of ``curl`` with the headers of the answer (``-i`` or ``-D -``).

    Raises
    ------
    LabError
        It sets none.
    """
    found = re.search(r"^set-cookie: ([^;\s]+)", answer.stdout, re.MULTILINE | re.IGNORECASE)
    if not found:
        raise LabError("This answer sets no cookie.", "Is a DestinationRule with httpCookie and ttl in effect?")
    return found[1].replace('"', "")
