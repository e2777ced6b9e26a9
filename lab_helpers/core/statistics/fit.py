"""Whether counts could come from the shares that are expected, and whether versions were drawn or had their turns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import scipy  # its parts load when they are first used: stats takes seconds, and most chapters do without

from lab_helpers.core.errors import LabError
from lab_helpers.core.statistics import exact
from lab_helpers.core.statistics.shares import shares

# A hundred checks of this kind in a run of the course make one false alarm in a thousand runs.
ALPHA = 1e-5
SMALL = 1e-8  # below it, one less a sum says nothing any more, and nobody needs a p-value to the digit


@dataclass(frozen=True)
class Fit:
    """Verdict of a goodness-of-fit test.

    Attributes
    ----------
    n : int
        Requests counted.
    statistic : float
        Pearson's chi-square: how far the counts are from what is expected.
    p_value : float
        How often a right mesh would be at least this far off.
    alpha : float
        The false-alarm rate that was agreed on.
    """

    n: int
    statistic: float
    p_value: float
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
        verdict = f"{'agrees with' if self.passed else 'contradicts'} the expected shares (α = {self.alpha:g})"
        return f"χ² = {self.statistic:.2f} over n = {self.n:,}: p = {self.p_value:.2g}, which {verdict}"


def goodness_of_fit(counts: Mapping[str, int], expected: Mapping[str, float], alpha: float = ALPHA) -> Fit:
    """Test whether `counts` could come from the shares `expected`, by Pearson's chi-square statistic.

    Of two and three versions the p-value is exact: the sum of the probabilities of all counts that are at least this far off. (So it never
    accuses a right mesh more often than `alpha`, which the usual approximation by the chi-square curve does, by some per cent.)

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
        No requests, a version seen that `expected` does not name, or too few requests for a test to be worth it
        (an expected count below 5).
    """
    wanted = shares(expected)
    strangers = sorted(str(name) for name, count in counts.items() if count and name not in wanted)
    if strangers:
        raise LabError(
            f"Requests were answered by {', '.join(strangers)}, which nobody expected.",
            f"Expected: {', '.join(wanted)}.",
        )
    n = int(sum(counts.values()))
    if n == 0:
        raise LabError(
            "There is nothing to test: no request was counted.",
            "Send some traffic first, for example lab.observe('reviews', n=400).",
        )
    possible = {name: share for name, share in wanted.items() if share > 0}
    smallest = min(possible.values())
    if n < fewest(smallest):
        raise LabError(f"{n} requests are too few to test a share of {smallest:.1%}.", f"Send at least {fewest(smallest)}.")
    if any(counts.get(name, 0) for name in wanted if name not in possible):
        return Fit(n, float("inf"), 0.0, alpha)
    if len(possible) == 1:
        return Fit(n, 0.0, 1.0, alpha)
    right = tuple(possible.values())
    seen, due = np.array([counts.get(name, 0) for name in possible]), n * np.array(right)
    statistic = float(((seen - due) ** 2 / due).sum())
    return Fit(n, statistic, _p_value(n, right, statistic), alpha)


def _p_value(n: int, right: tuple[float, ...], statistic: float) -> float:
    usual = float(scipy.stats.chi2.sf(statistic, len(right) - 1))
    if not exact.known(n, right) or usual < SMALL:
        return usual
    return exact.at_least(n, right, statistic)


def fewest(share: float) -> int:
    """Requests of which a share makes five: with fewer, a test could find nothing."""
    return int(np.ceil(5 / share - 1e-9))


def in_turn(order: Sequence, versions: int) -> float:
    """How often chance alone would repeat itself as faithfully as `order`: near 0 means that versions had their turns, and were not drawn.

    Counted are the requests that went to the same version as the one `versions` before them. Where each version is drawn with equal
    chances, that happens to one in `versions` of them, to each independently of all others.

    Parameters
    ----------
    order : sequence
        Versions in the order in which they answered, one request at a time.
    versions : int
        How many there are.

    Raises
    ------
    LabError
        No request has one so far before it.
    """
    if len(order) <= versions:
        raise LabError(f"{len(order)} requests have no order to speak of.", f"Send many more than {versions}.")
    same = sum(now == before for before, now in zip(order, order[versions:], strict=False))
    return float(scipy.stats.binom.sf(same - 1, len(order) - versions, 1 / versions))
