"""How far a rate or a quantile that was seen may lie from the true one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy  # its parts load when they are first used: stats takes seconds, and most chapters do without

from lab_helpers.core.errors import LabError


def rate_interval(hits: int, n: int, confidence: float = 0.99) -> tuple[float, float]:
    """Clopper-Pearson interval of a rate: `hits` of `n` requests. Exact, so never narrower than it claims.

    Raises
    ------
    LabError
        `n` is 0, or `hits` is not between 0 and `n`.
    """
    interval = _seen(hits, n).proportion_ci(confidence, method="exact")
    return float(interval.low), float(interval.high)


def rate_at_most(hits: int, n: int, confidence: float = 0.99) -> float:
    """The upper bound of a rate of which `hits` of `n` requests were seen (Clopper-Pearson, one-sided).

    A true rate above it would have shown more hits, in a share `confidence` of all such runs. Without a hit and at 95 % it is
    about 3/n: the rule of three.

    Raises
    ------
    LabError
        `n` is 0, or `hits` is not between 0 and `n`.
    """
    return float(_seen(hits, n, "less").proportion_ci(confidence, method="exact").high)


def _seen(hits: int, n: int, alternative: str = "two-sided"):
    if n <= 0 or not 0 <= hits <= n:
        raise LabError(
            f"{hits} of {n} is not a rate.",
            "Count some requests first." if n <= 0 else "Hits lie between 0 and the number of requests.",
        )
    return scipy.stats.binomtest(int(hits), int(n), alternative=alternative)


def quantile_interval(
    values: Sequence[float], quantile: float, confidence: float = 0.95, resamples: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """Bootstrap interval (percentile method) of a quantile, in the unit of `values`.

    Raises
    ------
    LabError
        Fewer than 20 values, or so few that the quantile lies beyond the last one.
    """
    needed = max(20, int(np.ceil(1 / min(quantile, 1 - quantile)))) if 0 < quantile < 1 else None
    if needed is None:
        raise LabError(f"{quantile} is not a quantile.", "Give a number between 0 and 1, such as 0.95.")
    if len(values) < needed:
        raise LabError(f"{len(values)} values are too few for the {quantile:g} quantile.", f"Measure at least {needed}.")
    result = scipy.stats.bootstrap(
        (np.asarray(values, float),), lambda sample, axis: np.quantile(sample, quantile, axis=axis), confidence_level=confidence,
        n_resamples=resamples, method="percentile", rng=np.random.default_rng(seed), vectorized=True, batch=200,
    )  # fmt: skip
    return float(result.confidence_interval.low), float(result.confidence_interval.high)
