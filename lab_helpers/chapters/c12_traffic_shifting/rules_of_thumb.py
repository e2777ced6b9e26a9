"""What rules that judge shares are worth, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from lab_helpers.core.statistics import ALPHA, power


def worth(
    weights: Mapping[str, float], fault: Mapping[str, float], sizes: Sequence[int], points: Sequence[float], alpha: float = ALPHA
) -> pd.DataFrame:
    """Compare the chi-square test with rules of thumb ("no share is further off than so many points"), for several numbers of requests.

    Parameters
    ----------
    weights, fault : mapping of str to float
        What the mesh should do; what it does where it is wrong.
    sizes : sequence of int
        Numbers of requests.
    points : sequence of float
        Percentage points that each rule of thumb allows.
    alpha : float
        Of the test.

    Returns
    -------
    pandas.DataFrame
        One row for each rule and number of requests: how often it accuses a right mesh, and how often it misses the fault, both exact
        and between 0 and 1.
    """
    rules: dict[str, float | None] = {"χ² test": None, **{f"± {each:g} points": each for each in points}}
    rows = {
        (name, size): (power(size, weights, weights, alpha, limit), 1 - power(size, weights, fault, alpha, limit))
        for name, limit in rules.items()
        for size in sizes
    }
    index = pd.MultiIndex.from_tuples(rows, names=["rule", "requests"])
    return pd.DataFrame(rows.values(), index, ["accuses a right mesh", f"misses {' : '.join(map(str, fault.values()))}"])
