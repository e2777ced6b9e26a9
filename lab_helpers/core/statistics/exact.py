"""The exact distribution of Pearson's chi-square statistic of `n` requests to two or three versions.

What `n` requests may do is a finite number of counts, and each has a known probability. The counts whose statistic is at most c are those
within an ellipse; of two versions, within an interval.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import scipy  # its parts load when they are first used: stats takes seconds, and most chapters do without

MOST = 2_000_000  # counts that are looked at one by one
TIE = 1e-9  # two statistics that are closer are the same


def known(n: int, right: tuple[float, ...]) -> bool:
    """Whether the distribution is computed exactly: for two or three shares, as long as there are not too many counts to look at."""
    return len(right) == 2 or (len(right) == 3 and 150 * n * np.sqrt(np.prod(right)) <= MOST)


def within(n: int, right: tuple[float, ...], upto: float, true: tuple[float, ...]) -> float:
    """Probability that `n` requests of a mesh with the shares `true` have a statistic of at most `upto` against the shares `right`."""
    if upto < 0:
        return 0.0
    first, low, high = _region(n, right, upto)
    if len(right) == 2:
        return float(_pmf(first, n, true[0]).sum())
    rest = min(true[1] / (1 - true[0]), 1.0) if true[0] < 1 else 0.0  # of those that do not go to the first version
    left = n - first
    return float((_pmf(first, n, true[0]) * (_cdf(high, left, rest) - _cdf(low - 1, left, rest))).sum())


def at_least(n: int, right: tuple[float, ...], statistic: float) -> float:
    """The p-value: probability that a mesh which is right has at least this statistic."""
    return max(0.0, 1 - within(n, right, statistic - TIE * (1 + statistic), right))


@lru_cache(maxsize=20_000)
def critical(n: int, right: tuple[float, ...], alpha: float) -> float:
    """The largest statistic that is not yet a contradiction: of a right mesh, at least a share `alpha` of all runs reach it."""
    usual = float(scipy.stats.chi2.isf(alpha, len(right) - 1))
    if not known(n, right):
        return usual
    beyond, upto = 0.8 * usual, 1.25 * usual + 1  # it lies between these, but for few requests
    while True:
        statistic, chance = _counts(n, right, beyond, upto)
        order = np.argsort(statistic)
        statistic = statistic[order]
        below = within(n, right, beyond, right) + np.concatenate([[0.0], np.cumsum(chance[order])])
        ties = np.searchsorted(statistic, statistic - TIE * (1 + statistic))  # the first one that is the same
        reached = 1 - below[ties] >= alpha
        if not reached.any() and beyond >= 0:
            beyond = -1.0
        elif reached.all() and upto <= n / min(right):
            upto *= 1.5
        else:
            return float(statistic[reached][-1]) * (1 + TIE) + TIE


def _counts(n: int, right: tuple[float, ...], beyond: float, upto: float) -> tuple[np.ndarray, np.ndarray]:
    """Statistic and probability, if the mesh is right, of all counts whose statistic is above `beyond` and at most `upto`."""
    first, low, high = _region(n, right, upto)
    if len(right) == 2:
        seen = np.array([first, n - first])
    else:
        number = np.maximum(high - low + 1, 0).astype(int)
        start = np.concatenate([[0], np.cumsum(number)[:-1]])
        second = np.arange(number.sum()) - np.repeat(start - low, number)
        first = np.repeat(first, number)
        seen = np.array([first, second, n - first - second])
    share = np.array(right)[:, None]
    statistic = ((seen - n * share) ** 2 / (n * share)).sum(axis=0)
    outer = statistic > beyond
    statistic, seen = statistic[outer], seen[:, outer].astype(int)
    logs = scipy.special.gammaln(np.arange(n + 1) + 1.0)
    return statistic, np.exp(logs[n] + (seen * np.log(share) - logs[seen]).sum(axis=0))


def _region(n: int, right: tuple[float, ...], upto: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The counts of the first version for which a statistic of at most `upto` is possible; of the second, the least and the most."""
    due = n * np.array(right)
    reach = np.sqrt(upto * due[0] * (1 - right[0]))
    first = np.arange(max(0, np.ceil(due[0] - reach)), min(n, np.floor(due[0] + reach)) + 1)
    if len(right) == 2:
        return first, n - first, n - first
    # (second - b)²/b + (left - second - c)²/c = what the first has left over of `upto`: a quadratic equation
    left, (b, c) = n - first, due[1:]
    middle = left * b / (b + c)
    over = np.maximum(upto - (first - due[0]) ** 2 / due[0] - (left - b - c) ** 2 / (b + c), 0)
    half = np.sqrt(over * b * c / (b + c))
    return first, np.maximum(np.ceil(middle - half), 0), np.minimum(np.floor(middle + half), left)


def _pmf(hits: np.ndarray, n: int, share: float) -> np.ndarray:
    gammaln, xlogy, xlog1py = scipy.special.gammaln, scipy.special.xlogy, scipy.special.xlog1py
    ways = gammaln(n + 1) - gammaln(hits + 1) - gammaln(n - hits + 1)
    return np.exp(ways + xlogy(hits, share) + xlog1py(n - hits, -share))


def _cdf(hits: np.ndarray, n: np.ndarray, share: float) -> np.ndarray:
    """Binomial: probability of at most `hits` of `n`."""
    some = np.clip(hits, 0, np.maximum(n - 1, 0))
    inner = scipy.special.betainc(np.maximum(n - some, 1), some + 1, 1 - share)
    return np.where(hits < 0, 0.0, np.where(hits >= n, 1.0, inner))
