"""The statistics that judge the mesh, judged themselves: by scipy, by simulation, and by what they say to wrong input."""

import numpy as np
import pytest
from scipy import stats

from lab_helpers.core.errors import LabError
from lab_helpers.core.statistics import (
    ALPHA,
    failure_rate,
    goodness_of_fit,
    in_turn,
    peeking,
    power,
    quantile_interval,
    rate_at_most,
    rate_interval,
    required_n,
    validate_weights,
    within_points,
)

THIRDS = {"v1": 1, "v2": 1, "v3": 1}


WEIGHTS, FAULT = {"v1": 15, "v2": 25, "v3": 60}, {"v1": 20, "v2": 25, "v3": 55}


def every_outcome(n, versions):
    """All counts that `n` requests to so many versions may have."""
    if versions == 1:
        return [[n]]
    return [[first, *rest] for first in range(n + 1) for rest in every_outcome(n - first, versions - 1)]


def by_brute_force(n, expected, actual, alpha):
    """How often the test accuses: every outcome asked for its p-value, and no cleverness."""
    right, true = (np.array([*each.values()]) / sum(each.values()) for each in (expected, actual))
    outcomes = np.array(every_outcome(n, len(right)))
    statistic = ((outcomes - n * right) ** 2 / (n * right)).sum(axis=1).round(9)
    if_right, in_fact = (stats.multinomial.pmf(outcomes, n, shares) for shares in (right, true))
    p_values = np.array([if_right[statistic >= each].sum() for each in statistic])
    return in_fact[p_values < alpha].sum()


def test_the_statistic_is_pearsons_and_p_is_what_its_curve_comes_close_to():
    fit = goodness_of_fit({"v1": 120, "v2": 90, "v3": 90}, THIRDS)
    reference = stats.chisquare([120, 90, 90])
    assert fit.statistic == pytest.approx(reference.statistic) and fit.p_value == pytest.approx(reference.pvalue, rel=0.1)
    assert fit.n == 300 and fit.passed and "agrees with" in str(fit)


@pytest.mark.parametrize(
    "counts", [{"v1": 9, "v2": 11}, {"v1": 3, "v2": 4, "v3": 13}, {"v1": 5, "v2": 5, "v3": 5}, {"v1": 1, "v2": 9, "v3": 11}]
)
def test_p_is_the_sum_over_all_counts_that_are_as_far_off(counts):
    n, right = sum(counts.values()), np.full(len(counts), 1 / len(counts))
    outcomes = np.array(every_outcome(n, len(counts)))
    far = ((outcomes - n * right) ** 2).sum(axis=1).round(9) >= ((np.array([*counts.values()]) - n * right) ** 2).sum().round(9)
    exact = stats.multinomial.pmf(outcomes[far], n, right).sum()
    assert goodness_of_fit(counts, dict.fromkeys(counts, 1)).p_value == pytest.approx(exact, abs=1e-12)


@pytest.mark.parametrize(
    ("n", "expected", "actual", "alpha"),
    [
        (60, {"v1": 80, "v2": 20}, {"v1": 70, "v2": 30}, 0.01),
        (60, {"v1": 80, "v2": 20}, {"v1": 80, "v2": 20}, 0.01),
        (45, WEIGHTS, FAULT, 0.05),
        (45, WEIGHTS, WEIGHTS, 0.001),
        (45, THIRDS, {"v1": 2, "v2": 1, "v3": 0}, 0.001),
        (48, THIRDS, THIRDS, 1e-5),
    ],
)
def test_power_is_exact(n, expected, actual, alpha):
    assert power(n, expected, actual, alpha) == pytest.approx(by_brute_force(n, expected, actual, alpha), abs=1e-12)


def test_of_four_versions_power_is_drawn_and_comes_close():
    fair, wrong = dict.fromkeys("abcd", 1), {"a": 2, "b": 1, "c": 1, "d": 1}
    drawn = np.random.default_rng(9).multinomial(200, [0.4, 0.2, 0.2, 0.2], size=100_000)
    other = (((drawn - 50) ** 2 / 50).sum(axis=1) > stats.chi2.isf(0.001, 3)).mean()
    assert power(200, fair, wrong, 0.001) == pytest.approx(other, abs=0.01)


def test_one_request_to_where_none_should_go_is_enough():
    assert power(100, {"v1": 100, "v2": 0}, {"v1": 99, "v2": 1}) == pytest.approx(1 - 0.99**100)
    assert power(100, {"v1": 1}, {"v1": 99, "v2": 1}) == pytest.approx(1 - 0.99**100)
    assert power(100, {"v1": 50, "v2": 50}, {"v9": 1}) == 1
    assert required_n({"v1": 100, "v3": 0}, {"v1": 98, "v3": 2}, wanted_power=0.995) == 263  # the first with 0.98ⁿ ≤ 0.005


def test_a_wrong_mesh_is_contradicted():
    fit = goodness_of_fit({"v1": 300, "v2": 150, "v3": 150}, THIRDS)
    assert not fit.passed and "contradicts" in str(fit) and "contradict the" in fit.words


def test_turns_are_told_from_draws():
    assert in_turn("123" * 100, 3) < ALPHA
    assert in_turn("123" * 50 + "23" + "123" * 50, 3) < ALPHA, "a turn that was left out"
    rng = np.random.default_rng(5)
    told = [in_turn(list(rng.integers(0, 3, 300)), 3) for _ in range(2000)]
    assert min(told) > ALPHA and np.mean(np.array(told) < 0.05) == pytest.approx(0.05, abs=0.02)


def test_equal_counts_alone_do_not_tell_turns_from_draws():
    """Of drawn versions, 300 requests are 100 : 100 : 100 once in some 360 runs: less even than one would think."""
    assert stats.multinomial.pmf([100, 100, 100], 300, [1 / 3] * 3) > 1 / 400


def test_a_version_with_weight_zero_must_not_be_seen():
    assert goodness_of_fit({"v1": 100}, {"v1": 100, "v2": 0}).passed
    assert goodness_of_fit({"v1": 99, "v2": 1}, {"v1": 100, "v2": 0}).p_value == 0


@pytest.mark.parametrize(("n", "shares"), [(512, THIRDS), (2734, WEIGHTS), (881, {"v1": 80, "v2": 20}), (100, WEIGHTS)])
def test_a_right_mesh_is_never_accused_more_often_than_agreed(n, shares):
    """Which the approximation by the curve does: 1.04e-5 of 80 : 20."""
    assert 0.5 * ALPHA < power(n, shares, shares) <= ALPHA


def test_a_hundred_requests_and_ten_points_are_worth_little():
    """Exactly, and by simulation: a right 50/50 mesh lies more than ten points off in 3.5 % of runs."""
    fair = {"v1": 50, "v2": 50}
    exact = 2 * stats.binom.cdf(39, 100, 0.5)
    assert power(100, fair, fair, points=10) == pytest.approx(exact)
    assert failure_rate(lambda counts: within_points(counts, fair, 10), fair, 100, times=20_000) == pytest.approx(exact, abs=0.005)


@pytest.mark.parametrize(("n", "points"), [(100, 10), (400, 2.5)])
def test_the_rule_of_thumb_of_three_versions_is_exact_too(n, points):
    for actual in (WEIGHTS, FAULT):
        drawn = failure_rate(lambda counts: within_points(counts, WEIGHTS, points), actual, n, times=20_000)
        assert power(n, WEIGHTS, actual, points=points) == pytest.approx(drawn, abs=0.012)


def test_points_count_a_version_that_nobody_expects():
    assert not within_points({"v1": 80, "v9": 20}, {"v1": 100}, 10)


@pytest.mark.parametrize(
    ("expected", "actual", "wanted"),
    [
        (WEIGHTS, FAULT, 0.995),
        (THIRDS, {"v1": 2, "v2": 1, "v3": 1}, 0.999),
        ({"v1": 80, "v2": 20}, {"v1": 70, "v2": 30}, 0.995),
        ({"v1": 1, "v3": 3}, {"v1": 2, "v3": 3}, 0.995),
        (THIRDS, {"v1": 1, "v2": 1, "v3": 0}, 0.9),
    ],
)
def test_required_n_keeps_its_promise_from_there_on_and_no_sooner(expected, actual, wanted):
    n = required_n(expected, actual, wanted_power=wanted)
    assert power(n - 1, expected, actual) < wanted
    later = [*range(n, n + 60), *range(n + 60, 2 * n, max(1, n // 40))]
    assert min(power(each, expected, actual) for each in later) >= wanted


def test_of_four_versions_required_n_is_on_the_safe_side():
    fair, wrong = dict.fromkeys("abcd", 1), {"a": 2, "b": 1, "c": 1, "d": 1}
    n = required_n(fair, wrong, wanted_power=0.99)
    drawn = np.random.default_rng(11).multinomial(n, [0.4, 0.2, 0.2, 0.2], size=200_000)
    accused = (((drawn - n / 4) ** 2 / (n / 4)).sum(axis=1) > stats.chi2.isf(ALPHA, 3)).mean()
    assert 0.9895 < accused < 0.9935


def test_who_peeks_accuses_more_often():
    once, always = (peeking(WEIGHTS, 400, 0.01, every, times=4000) for every in (400, 1))
    assert once == pytest.approx(0.01, abs=0.005) and 0.08 < always < 0.12


def test_clopper_pearson_covers():
    low, high = rate_interval(30, 100)
    assert low == pytest.approx(stats.beta.ppf(0.005, 30, 71)) and high == pytest.approx(stats.beta.ppf(0.995, 31, 70))
    assert rate_interval(0, 50)[0] == 0 and rate_interval(50, 50)[1] == 1
    assert rate_at_most(30, 100) == pytest.approx(stats.beta.ppf(0.99, 31, 70))
    assert rate_at_most(0, 300) == pytest.approx(1 - 0.01 ** (1 / 300))
    assert rate_at_most(0, 300, 0.95) == pytest.approx(3 / 300, rel=0.01), "the rule of three"


def test_quantile_interval_holds_the_quantile_as_often_as_it_says():
    rng = np.random.default_rng(3)
    truth = stats.expon.ppf(0.5)
    intervals = [quantile_interval(rng.exponential(size=200), 0.5, resamples=300, seed=run) for run in range(200)]
    held = np.mean([low <= truth <= high for low, high in intervals])
    assert 0.90 <= held <= 0.99


def test_weights_of_a_route():
    assert validate_weights({"v1": 15, "v2": 25, "v3": 60}) == {"v1": 15, "v2": 25, "v3": 60}


@pytest.mark.parametrize(
    ("weights", "sentence"),
    [
        ({}, "No weights"),
        ({"v1": 50, "v2": 60}, "add up to 110 .*Take 10 away"),
        ({"v1": 50, "v2": 40}, "add up to 90 .*Add 10"),
        ({"v1": -10, "v2": 110}, "v1 is -10, which is negative"),
        ({"v1": 33.3, "v2": 66.7}, "v1 is 33.3, which is not a whole number"),
        ({"v1": True, "v2": 99}, "v1 is True"),
        ({"v1": "50", "v2": 50}, "v1 is '50'"),
    ],
)
def test_wrong_weights_get_a_sentence(weights, sentence):
    with pytest.raises(LabError, match=f"(?s){sentence}"):
        validate_weights(weights)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: goodness_of_fit({}, THIRDS), "no request was counted"),
        (lambda: goodness_of_fit({"v1": 4, "v2": 4, "v3": 4}, THIRDS), "12 requests are too few .*Send at least 15"),
        (lambda: goodness_of_fit({"v1": 50, "v9": 50}, THIRDS), "answered by v9"),
        (lambda: goodness_of_fit({"v1": 50}, {"v1": 0}), "are not shares"),
        (lambda: required_n(THIRDS, THIRDS), "the same"),
        (lambda: required_n(THIRDS, {"v1": 2, "v2": 1, "v3": 1}, wanted_power=1), "1 is not a power"),
        (lambda: in_turn("123", 3), "3 requests have no order"),
        (lambda: peeking(THIRDS, 10, 0.01), "10 requests are too few"),
        (lambda: rate_at_most(2, 1), "2 of 1 is not a rate"),
        (lambda: rate_interval(0, 0), "0 of 0 is not a rate"),
        (lambda: rate_interval(5, 4), "5 of 4 is not a rate"),
        (lambda: quantile_interval([1.0] * 10, 0.5), "10 values are too few"),
        (lambda: quantile_interval([1.0] * 50, 0.99), "50 values are too few .*at least 100"),
        (lambda: quantile_interval([1.0] * 50, 95), "95 is not a quantile"),
    ],
)
def test_wrong_input_gets_a_sentence(call, sentence):
    with pytest.raises(LabError, match=f"(?s){sentence}"):
        call()
