"""Judging a mesh by numbers: whether a share, a rate or a latency is what it should be, as far as chance lets us tell.

A share is judged by Pearson's chi-square goodness-of-fit test with a stated false-alarm rate `alpha`, a rate by its
Clopper-Pearson interval, a latency by the bootstrap interval of its quantile. Whoever asks for a verdict also says how
small a fault it must find (`required_n`), so that no check has to be repeated until it passes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import scipy  # its parts load when they are first used: stats takes seconds, and most chapters do without

from lab_helpers.core.errors import LabError

# A hundred checks of this kind in a run of the course make one false alarm in a thousand runs.
ALPHA = 1e-5


@dataclass(frozen=True)
class Fit:
    """Verdict of a goodness-of-fit test.

    Attributes
    ----------
    n : int
        Requests counted.
    statistic, degrees : float, int
        Pearson's chi-square and its degrees of freedom.
    p_value : float
        How often a right mesh would be at least this far off.
    p_even : float
        How often chance alone would be at least this *close*: near 0 means the counts were dealt out, not drawn.
    alpha : float
        The false-alarm rate that was agreed on.
    """

    n: int
    statistic: float
    degrees: int
    p_value: float
    p_even: float
    alpha: float

    @property
    def passed(self) -> bool:
        """Whether the counts are such as the expected shares produce."""
        return self.p_value >= self.alpha

    @property
    def words(self) -> str:
        """The verdict without its numbers."""
        return f"{self.n:,} requests, which {'agree with' if self.passed else 'contradict'} the expected shares"

    def __str__(self) -> str:
        verdict = "agrees with" if self.passed else "contradicts"
        return (
            f"χ² = {self.statistic:.2f} with {self.degrees} degrees of freedom over n = {self.n:,}: p = {self.p_value:.2g}, "
            f"which {verdict} the expected shares (α = {self.alpha:g})"
        )


def validate_weights(weights: Mapping[str, int]) -> dict[str, int]:
    """Check that `weights` are percentages: Istio itself takes any whole numbers that are not all 0, and their ratio counts.

    Raises
    ------
    LabError
        None given, one not a whole number, one negative, or their sum not 100.
    """
    if not weights:
        raise LabError("No weights were given.", "Give one whole number for each version, adding up to 100.")
    for name, weight in weights.items():
        if isinstance(weight, bool) or not isinstance(weight, int | np.integer):
            raise LabError(
                f"The weight of {name} is {weight!r}, which is not a whole number.",
                "Istio takes whole numbers only.",
            )
        if weight < 0:
            raise LabError(f"The weight of {name} is {weight}, which is negative.", "Use 0 for a version that shall get nothing.")
    total = sum(weights.values())
    if total != 100:
        listed = " + ".join(f"{weight}" for weight in weights.values())
        raise LabError(
            f"The weights add up to {total} ({listed}), not to 100.",
            f"Take {total - 100} away." if total > 100 else f"Add {100 - total}.",
        )
    return dict(weights)


def goodness_of_fit(counts: Mapping[str, int], expected: Mapping[str, float], alpha: float = ALPHA) -> Fit:
    """Test whether `counts` could come from the shares `expected` (Pearson's chi-square).

    Parameters
    ----------
    counts : mapping of str to int
        Requests seen, by version.
    expected : mapping of str to float
        Weights in any unit (thirds, percent …), by version; a version with weight 0 must not have been seen at all.
    alpha : float
        False-alarm rate.

    Raises
    ------
    LabError
        No requests, a version seen that `expected` does not name, or too few requests for the test to be valid
        (an expected count below 5).
    """
    shares = _shares(expected)
    strangers = sorted(str(name) for name, count in counts.items() if count and name not in shares)
    if strangers:
        raise LabError(
            f"Requests were answered by {', '.join(strangers)}, which nobody expected.",
            f"Expected: {', '.join(shares)}.",
        )
    n = int(sum(counts.values()))
    if n == 0:
        raise LabError(
            "There is nothing to test: no request was counted.",
            "Send some traffic first, for example lab.observe('reviews', n=400).",
        )
    possible = {name: share for name, share in shares.items() if share > 0}
    smallest = min(possible.values())
    if n * smallest < 5:
        raise LabError(
            f"{n} requests are too few to test a share of {smallest:.1%}.",
            f"Send at least {int(np.ceil(5 / smallest))}.",
        )
    degrees = len(possible) - 1
    if any(counts.get(name, 0) for name in shares if name not in possible):
        return Fit(n, float("inf"), max(degrees, 1), 0.0, 1.0, alpha)
    if degrees == 0:
        return Fit(n, 0.0, 0, 1.0, 1.0, alpha)
    seen = np.array([counts.get(name, 0) for name in possible])
    statistic = float(((seen - n * np.array(list(possible.values()))) ** 2 / (n * np.array(list(possible.values())))).sum())
    return Fit(
        n,
        statistic,
        degrees,
        float(scipy.stats.chi2.sf(statistic, degrees)),
        float(scipy.stats.chi2.cdf(statistic, degrees)),
        alpha,
    )


def power(n: int, expected: Mapping[str, float], actual: Mapping[str, float], alpha: float = ALPHA) -> float:
    """Probability that the test of `n` requests finds out that the mesh does `actual` and not `expected`."""
    supposed, true = _shares(expected), _shares(actual)
    effect = sum((true.get(name, 0) - share) ** 2 / share for name, share in supposed.items() if share > 0)
    degrees = sum(share > 0 for share in supposed.values()) - 1
    return float(scipy.stats.ncx2.sf(scipy.stats.chi2.isf(alpha, degrees), degrees, n * effect)) if effect else alpha


def required_n(expected: Mapping[str, float], actual: Mapping[str, float], alpha: float = ALPHA, wanted_power: float = 0.99) -> int:
    """The fewest requests with which the test finds a mesh that does `actual` with probability `wanted_power`.

    Raises
    ------
    LabError
        `actual` is the same as `expected`: no number of requests can tell them apart.
    """
    if power(1, expected, actual, alpha) == alpha:
        raise LabError("The two sets of shares are the same.", "Name a fault that the test shall find.")
    upper = 8
    while power(upper, expected, actual, alpha) < wanted_power:
        upper *= 2
    return int(np.ceil(scipy.optimize.brentq(lambda n: power(n, expected, actual, alpha) - wanted_power, 1, upper)))


def within_points(counts: Mapping[str, int], expected: Mapping[str, float], points: float) -> bool:
    """Whether no share is further than `points` percentage points off: the rule of thumb that a test replaces."""
    n = sum(counts.values())
    return all(abs(100 * counts.get(name, 0) / n - 100 * share) <= points for name, share in _shares(expected).items())


def failure_rate(
    passes: Callable[[dict[str, int]], bool], shares: Mapping[str, float], n: int, times: int = 10_000, seed: int = 0
) -> float:
    """How often a rule fails a mesh that really has these `shares`, by simulating `times` runs of `n` requests.

    Parameters
    ----------
    passes : callable
        The rule: counts by version in, verdict out.

    Returns
    -------
    float
        Between 0 and 1: the false-alarm rate if the mesh is right, the power if it is wrong.
    """
    true = _shares(shares)
    drawn = np.random.default_rng(seed).multinomial(n, list(true.values()), size=times)
    return sum(not passes(dict(zip(true, map(int, counts), strict=True))) for counts in drawn) / times


def rate_interval(hits: int, n: int, confidence: float = 0.99) -> tuple[float, float]:
    """Clopper-Pearson interval of a rate: `hits` of `n` requests. Exact, so never narrower than it claims.

    Raises
    ------
    LabError
        `n` is 0, or `hits` is not between 0 and `n`.
    """
    if n <= 0 or not 0 <= hits <= n:
        raise LabError(
            f"{hits} of {n} is not a rate.",
            "Count some requests first." if n <= 0 else "Hits lie between 0 and the number of requests.",
        )
    interval = scipy.stats.binomtest(int(hits), int(n)).proportion_ci(confidence, method="exact")
    return float(interval.low), float(interval.high)


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


def _shares(weights: Mapping[str, float]) -> dict[str, float]:
    total = sum(weights.values())
    if total <= 0 or any(weight < 0 for weight in weights.values()):
        raise LabError(f"{dict(weights)} are not shares.", "Give one number of at least 0 for each version, not all 0.")
    return {name: weight / total for name, weight in weights.items()}
