"""The statistics that judge the mesh, judged themselves: by scipy, by simulation, and by what they say to wrong input."""

import numpy as np
import pytest
from scipy import stats

from lab_helpers.core.errors import LabError
from lab_helpers.core.statistics import (
    ALPHA,
    failure_rate,
    goodness_of_fit,
    power,
    quantile_interval,
    rate_interval,
    required_n,
    validate_weights,
    within_points,
)

THIRDS = {"v1": 1, "v2": 1, "v3": 1}


def simulated_rejections(true_shares, n, runs=50_000, expected=THIRDS):
    draws = np.random.default_rng(7).multinomial(n, true_shares, size=runs)
    shares = np.array(list(expected.values())) / sum(expected.values())
    statistic = ((draws - n * shares) ** 2 / (n * shares)).sum(axis=1)
    return (stats.chi2.sf(statistic, len(shares) - 1) < ALPHA).mean()


def test_fit_is_scipys_chisquare():
    fit = goodness_of_fit({"v1": 120, "v2": 90, "v3": 90}, THIRDS)
    reference = stats.chisquare([120, 90, 90])
    assert fit.statistic == pytest.approx(reference.statistic) and fit.p_value == pytest.approx(reference.pvalue)
    assert fit.n == 300 and fit.degrees == 2 and fit.passed


def test_fit_rejects_a_wrong_mesh_and_says_so():
    fit = goodness_of_fit({"v1": 300, "v2": 150, "v3": 150}, THIRDS)
    assert not fit.passed and "contradicts" in str(fit)


def test_dealt_counts_are_told_from_drawn_ones():
    assert goodness_of_fit({"v1": 200, "v2": 200, "v3": 200}, THIRDS).p_even < ALPHA
    assert goodness_of_fit({"v1": 185, "v2": 207, "v3": 208}, THIRDS).p_even > ALPHA


def test_a_version_with_weight_zero_must_not_be_seen():
    assert goodness_of_fit({"v1": 100}, {"v1": 100, "v2": 0}).passed
    assert goodness_of_fit({"v1": 99, "v2": 1}, {"v1": 100, "v2": 0}).p_value == 0


def test_false_alarm_rate_is_what_is_stated():
    assert simulated_rejections([1 / 3] * 3, 400) <= 3 * ALPHA


def test_a_hundred_requests_and_ten_points_are_worth_little():
    """By simulation, and by the exact binomial: a right 50/50 mesh lies more than ten points off in 3.5 % of runs."""
    fair = {"v1": 50, "v2": 50}
    alarms = failure_rate(lambda counts: within_points(counts, fair, 10), fair, 100, times=20_000)
    assert alarms == pytest.approx(2 * stats.binom.cdf(39, 100, 0.5), abs=0.005)


def test_the_check_of_the_traffic_shifting_chapter_keeps_its_word():
    right, fault = {"v1": 15, "v2": 25, "v3": 60}, {"v1": 20, "v2": 25, "v3": 55}
    n = required_n(right, fault, wanted_power=0.995)

    def passes(counts):
        return goodness_of_fit(counts, right).passed

    assert failure_rate(passes, right, n, times=2000) == 0
    assert failure_rate(passes, fault, n, times=2000) > 0.99


@pytest.mark.parametrize("wanted", [0.9, 0.99])
def test_required_n_gives_the_power_it_promises(wanted):
    wrong = {"v1": 50, "v2": 25, "v3": 25}
    n = required_n(THIRDS, wrong, wanted_power=wanted)
    assert power(n, THIRDS, wrong) >= wanted > power(n - 1, THIRDS, wrong)
    assert simulated_rejections([0.5, 0.25, 0.25], n) == pytest.approx(wanted, abs=0.03)


def test_clopper_pearson_covers():
    low, high = rate_interval(30, 100)
    assert low == pytest.approx(stats.beta.ppf(0.005, 30, 71)) and high == pytest.approx(stats.beta.ppf(0.995, 31, 70))
    assert rate_interval(0, 50)[0] == 0 and rate_interval(50, 50)[1] == 1


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
