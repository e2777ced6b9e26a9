"""What a rule is worth before it is used: how often it accuses a right mesh, how often it misses a fault, how many requests it takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

import numpy as np
import scipy  # its parts load when they are first used: stats takes seconds, and most chapters do without

from lab_helpers.core.errors import LabError
from lab_helpers.core.statistics import exact
from lab_helpers.core.statistics.fit import ALPHA, fewest
from lab_helpers.core.statistics.intervals import rate_interval
from lab_helpers.core.statistics.shares import shares

DRAWS = 100_000  # where nothing exact is known
SURE = 0.999  # that a drawn power is not less than promised


def power(n: int, expected: Mapping[str, float], actual: Mapping[str, float], alpha: float = ALPHA, points: float | None = None) -> float:
    """Probability that a rule, given `n` requests, accuses a mesh that does `actual` of not doing `expected`.

    Of a fault it is the power, 1 less the miss rate; where `actual` is `expected`, the false-alarm rate. Exact for up to three versions;
    for more, from draws with a fixed seed.

    Parameters
    ----------
    alpha : float
        The rule is the chi-square test with this false-alarm rate …
    points : float, optional
        … or, where given, that no share may be further off than so many percentage points.
    """
    right, true, stray = _kept(expected, actual)
    if not true:
        return 1.0
    accepted = 1.0 if len(right) == 1 else _accepted(int(n), right, true, alpha, points)
    return 1 - accepted * (1 - stray) ** n if points is None or stray else 1 - accepted


def required_n(expected: Mapping[str, float], actual: Mapping[str, float], alpha: float = ALPHA, wanted_power: float = 0.99) -> int:
    """The fewest requests such that the test of so many, or of more, finds a mesh that does `actual` with probability `wanted_power`.

    Exact for up to three versions; for more, from draws with a fixed seed, and a little more than needed.

    Raises
    ------
    LabError
        `actual` is the same as `expected`: no number of requests can tell them apart; or `wanted_power` is none.
    """
    if not 0 < wanted_power < 1:
        raise LabError(f"{wanted_power} is not a power.", "Give a probability between 0 and 1, such as 0.99.")
    right, true, stray = _kept(expected, actual)
    if stray == 0 and np.allclose(right, true, rtol=0, atol=1e-12):
        raise LabError("The two sets of shares are the same.", "Name a fault that the test should find.")
    return _required(right, true, stray, alpha, wanted_power)


@lru_cache(maxsize=1000)
def _required(right: tuple, true: tuple, stray: float, alpha: float, wanted: float) -> int:
    least = fewest(min(right))
    if not true:
        return least

    def kept(n: int) -> bool:
        accepted = 1.0 if len(right) == 1 else _accepted(n, right, true, alpha, None, SURE)
        return 1 - accepted * (1 - stray) ** n >= wanted

    # Where to look: where the usual approximation, off by a tenth or so, has the power that is wanted.
    high = max(least, int(1.1 * _usual(right, true, stray, alpha, wanted)))
    while not kept(high):
        high += high // 4
    low, fine = least, 1 if len(right) <= 3 else max(1, high // 200)
    step = max(1, high // 5)
    while low < high - step and kept(high - step):
        high -= step
    low = max(least, high - step)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if kept(middle) else (middle + fine, max(high, middle + fine))
    # Counts are whole numbers, so a few requests more may find a little less: the promise begins after the last that breaks it.
    some = {1: 0, 2: 30 + high // 10, 3: 8}.get(len(right), 0)
    broken = [n for n in range(max(least, high - some), high + some + 1) if not kept(n)]
    return max(broken) + 1 if broken else max(least, high - some)


def _usual(right: tuple, true: tuple, stray: float, alpha: float, wanted: float) -> float:
    """Requests by the noncentral chi-square curve, or until one goes where none should, whichever are fewer."""
    found = np.log(1 - wanted) / np.log1p(-stray) if 0 < stray < 1 else np.inf
    effect, degrees = sum((a - e) ** 2 / e for a, e in zip(true, right, strict=True)), len(right) - 1
    if not degrees or effect < 1e-12:
        return found
    limit, ncx2 = scipy.stats.chi2.isf(alpha, degrees), scipy.stats.ncx2
    most = 8.0
    while ncx2.sf(limit, degrees, most) < wanted:
        most *= 2
    return min(found, scipy.optimize.brentq(lambda each: ncx2.sf(limit, degrees, each) - wanted, 1e-9, most) / effect)


def _kept(expected: Mapping[str, float], actual: Mapping[str, float]) -> tuple[tuple, tuple, float]:
    """Shares that are expected, those that the same versions have in fact, and the share of versions that should get nothing.

    One request to such a one is enough to tell. The second is empty where all requests are of that kind.
    """
    supposed, true = shares(expected), shares(actual)
    right = {name: share for name, share in supposed.items() if share > 0}
    rest = sum(true.get(name, 0.0) for name in right)
    stray = 1 - rest if any(share for name, share in true.items() if name not in right) else 0.0
    return tuple(right.values()), tuple(true.get(name, 0.0) / rest for name in right) if rest else (), stray


@lru_cache(maxsize=20_000)
def _accepted(n: int, right: tuple, true: tuple, alpha: float, points: float | None, confidence: float | None = None) -> float:
    """Probability that the rule has nothing against `n` requests; where it is drawn and `confidence` is given, its upper bound."""
    if points is None and exact.known(n, right):
        return exact.within(n, right, exact.critical(n, right, alpha), true)
    drawn = np.random.default_rng(0).multinomial(n, true, size=DRAWS)
    if points is not None:
        return _boxed(n, right, true, points) if len(right) <= 3 else float(_near(drawn / n, right, points).mean())
    due = n * np.array(right)
    passed = int((((drawn - due) ** 2 / due).sum(axis=1) <= exact.critical(n, right, alpha)).sum())
    return rate_interval(passed, DRAWS, confidence)[1] if confidence else passed / DRAWS


def _boxed(n: int, right: tuple, true: tuple, points: float) -> float:
    """Probability that no share of two or three is further than `points` percentage points off."""
    reach = n * points / 100 + 1e-9
    first, *_ = (np.arange(max(0, np.ceil(n * share - reach)), min(n, np.floor(n * share + reach)) + 1) for share in right)
    if len(right) == 2:
        return float(scipy.stats.binom.pmf(first, n, true[0]).sum())
    left, rest = n - first, true[1] / (1 - true[0])
    low = np.maximum(np.ceil(n * right[1] - reach), left - np.floor(n * right[2] + reach))
    high = np.minimum(np.floor(n * right[1] + reach), left - np.ceil(n * right[2] - reach))
    held = scipy.stats.binom.cdf(high, left, rest) - scipy.stats.binom.cdf(low - 1, left, rest)
    return float((scipy.stats.binom.pmf(first, n, true[0]) * np.maximum(held, 0)).sum())


def _near(seen: np.ndarray, right, points: float) -> np.ndarray:
    return (np.abs(100 * seen - 100 * np.array(right)) <= points + 1e-9).all(axis=1)


def within_points(counts: Mapping[str, int], expected: Mapping[str, float], points: float) -> bool:
    """Whether no share is further than `points` percentage points off: the rule of thumb that a test replaces."""
    n, wanted = sum(counts.values()), shares(expected)
    names = {*wanted, *counts}
    return all(abs(100 * counts.get(name, 0) / n - 100 * wanted.get(name, 0)) <= points + 1e-9 for name in names)


def failure_rate(
    passes: Callable[[dict[str, int]], bool], weights: Mapping[str, float], n: int, times: int = 10_000, seed: int = 0
) -> float:
    """How often any rule fails a mesh that really has these shares, by simulating `times` runs of `n` requests.

    Parameters
    ----------
    passes : callable
        The rule: counts by version in, verdict out.

    Returns
    -------
    float
        Between 0 and 1: the false-alarm rate if the mesh is right, the power if it is wrong.
    """
    true = shares(weights)
    drawn = np.random.default_rng(seed).multinomial(n, list(true.values()), size=times)
    return sum(not passes(dict(zip(true, map(int, counts), strict=True))) for counts in drawn) / times


def peeking(weights: Mapping[str, float], n: int, alpha: float, every: int = 1, times: int = 5_000, seed: int = 0) -> float:
    """How often a right mesh is accused by somebody who looks on the way to `n` requests, and believes the first p below `alpha`.

    Simulated. The test is the exact one at each look, so that nothing but the looking is to blame.

    Parameters
    ----------
    weights : mapping of str to float
        What the mesh should do, and does.
    every : int
        Requests between two looks; with `n`, the only look is the one at the end.

    Returns
    -------
    float
        Share of the `times` runs in which at least one look accuses.

    Raises
    ------
    LabError
        `n` are too few for a single look.
    """
    right = tuple(share for share in shares(weights).values() if share > 0)
    looks = [look for look in range(every, n + 1, every) if look >= fewest(min(right))]
    if not looks:
        raise LabError(f"{n} requests are too few to test a share of {min(right):.1%}.", f"Send at least {fewest(min(right))}.")
    limits = np.array([exact.critical(look, right, alpha) for look in looks])
    at, rng, accused = np.array(looks), np.random.default_rng(seed), 0
    for start in range(0, times, 1000):
        drawn = np.searchsorted(np.cumsum(right)[:-1], rng.random((min(1000, times - start), n)), side="right").astype(np.int8)
        statistic = -at.astype(float)
        for version, share in enumerate(right):
            counts = np.cumsum(drawn == version, axis=1, dtype=np.int32)[:, at - 1]
            statistic = statistic + counts.astype(float) ** 2 / (at * share)
        accused += int((statistic > limits).any(axis=1).sum())
    return accused / times
