"""Conformal calibration of intervals: by hand, and coverage as promised."""

from __future__ import annotations

import math

import numpy as np
import pytest
from mapie.regression import ConformalizedQuantileRegressor, SplitConformalRegressor
from sklearn.base import BaseEstimator, RegressorMixin

from aam_data.preprocessing.conformal import ascending, fit_widening, min_groups, widen

LEVELS = (0.1, 0.25, 0.5, 0.75, 0.9)


def test_the_widening_is_a_rank_of_the_distances_outside() -> None:
    # the truth lies 1, 2, ..., 9 above the upper end, or inside by 1 to 9 from the nearer end
    outputs = np.tile([-10.0, 0.0, 10.0], (9, 1))
    truth = 10.0 + np.arange(1, 10)
    # ceil(10 * 0.8) = 8th smallest
    assert fit_widening(outputs, truth, (0.1, 0.5, 0.9)) == (8.0,)
    assert fit_widening(outputs, -truth, (0.1, 0.5, 0.9)) == (8.0,)
    assert fit_widening(outputs, truth - 20, (0.1, 0.5, 0.9)) == (
        -2.0,
    )  # 1, 2, ..., 9 inside: 8th smallest of -9 to -1
    with_missing = np.append(truth, np.nan)
    assert fit_widening(np.tile([-10.0, 0.0, 10.0], (10, 1)), with_missing, (0.1, 0.5, 0.9)) == (8.0,)


def test_too_few_samples_give_the_largest_distance_and_none_gives_0() -> None:
    outputs = np.tile([-1.0, 0.0, 1.0], (3, 1))
    assert fit_widening(outputs, np.array([2.0, 5.0, 0.0]), (0.1, 0.5, 0.9)) == (4.0,)
    assert fit_widening(outputs[:0], np.zeros(0), (0.1, 0.5, 0.9)) == (0.0,)
    assert fit_widening(outputs[:, :1], np.zeros(3), (0.5,)) == ()


def test_each_pair_has_its_own_widening() -> None:
    random = np.random.default_rng(0)
    outputs, truth = np.tile([-0.1, -0.05, 0.0, 0.05, 0.1], (999, 1)), random.normal(size=999)
    outer, inner = fit_widening(outputs, truth, LEVELS)
    distances = np.sort(np.abs(truth))
    assert outer == pytest.approx(distances[math.ceil(1000 * 0.8) - 1] - 0.1)
    assert inner == pytest.approx(distances[math.ceil(1000 * 0.5) - 1] - 0.05)


class Column(RegressorMixin, BaseEstimator):
    """A fitted model that predicts a column of its input."""

    def __init__(self, column: int = 0) -> None:
        self.column = column
        self.fitted_ = True

    def fit(self, x: np.ndarray, y: np.ndarray) -> Column:
        return self

    def predict(self, x: np.ndarray) -> np.ndarray:
        return x[:, self.column]


@pytest.mark.parametrize("n", [19, 20, 57, 200])
@pytest.mark.parametrize(("low", "high"), [(0.1, 0.9), (0.05, 0.95), (0.25, 0.75)])
def test_intervals_without_groups_are_those_of_mapie(n: int, low: float, high: float) -> None:
    """Around a mean with one residual quantile, and around quantiles whose width differs from sample to sample."""
    random = np.random.default_rng(n)
    middle, width = random.normal(size=n + 9), random.uniform(0.1, 1.0, n + 9)
    truth = middle + random.normal(size=n + 9)
    ends = np.stack([middle - width, middle + width, middle], axis=1)
    known, new = slice(0, n), slice(n, None)
    levels, outputs = (low, 0.5, high), ends[:, [0, 2, 1]]

    (by,) = fit_widening(np.repeat(middle[known, None], 3, axis=1), truth[known], levels)
    split = SplitConformalRegressor(Column(2), confidence_level=high - low).conformalize(ends[known], truth[known])
    _, intervals = split.predict_interval(ends[new])
    np.testing.assert_allclose(np.diff(intervals[:, :, 0], axis=1)[:, 0] / 2, by, rtol=1e-12)

    (by,) = fit_widening(outputs[known], truth[known], levels)
    quantiles = ConformalizedQuantileRegressor([Column(0), Column(1), Column(2)], high - low, prefit=True)
    _, intervals = quantiles.conformalize(ends[known], truth[known]).predict_interval(
        ends[new], symmetric_correction=True
    )
    np.testing.assert_allclose(intervals[:, 0, 0], ends[new, 0] - by, rtol=1e-12)
    np.testing.assert_allclose(intervals[:, 1, 0], ends[new, 1] + by, rtol=1e-12)


def test_widened_quantiles_stay_on_their_side_of_the_median_and_ascend() -> None:
    outputs = np.array([[-2.0, -1.0, 0.0, 1.0, 2.0], [-3.0, 0.0, 0.5, 4.0, 4.0]])
    np.testing.assert_allclose(widen(outputs, (1.0, 0.5), 2), [[-3, -1.5, 0, 1.5, 3], [-4, -0.5, 0.5, 4.5, 5]])
    narrow = widen(outputs, (-5.0, -0.25), 2)
    assert (np.diff(narrow, axis=1) >= 0).all()
    np.testing.assert_array_equal(narrow[:, 2], outputs[:, 2])
    np.testing.assert_array_equal(widen(outputs, (), 2), outputs)
    np.testing.assert_allclose(widen(np.array([[1.0, 2.0]]), (0.5,), 0), [[1.0, 2.5]])  # 0.5 and 0.9: the median stays


@pytest.mark.parametrize("factor", [0.2, 1.0, 3.0])
def test_calibrated_intervals_have_nominal_coverage_of_new_samples(factor: float) -> None:
    """Whatever the width was before: too narrow, about right or too wide."""
    random = np.random.default_rng(1)
    outputs = random.normal(size=(9000, 1)) + factor * np.array([-1.28, -0.67, 0.0, 0.67, 1.28])
    truth = outputs[:, 2] + random.normal(size=9000)
    widening = fit_widening(outputs[:4000], truth[:4000], LEVELS)
    found = widen(outputs[4000:], widening, 2)
    for k, nominal in ((0, 0.8), (1, 0.5)):
        inside = (found[:, k] <= truth[4000:]) & (truth[4000:] <= found[:, -1 - k])
        assert inside.mean() == pytest.approx(nominal, abs=0.025)


def test_ascending() -> None:
    assert ascending((0.1, 0.5, 0.9))
    assert not any(ascending(levels) for levels in ((0.5, 0.1), (0.5, 0.5), (0.0, 0.5), (0.5, 1.0)))


def test_groups_are_the_units_of_chance() -> None:
    """Four groups weigh a fifth each, whatever their size: the share of 0.8 is reached by the largest distance of all;
    a share of 0.5 by the half of the third group."""
    truth = np.array([11.0, 12.0, 13.0, 14.0, 15.0, 16.0, 17.0, 18.0])  # 1 to 8 above the upper end
    groups = np.array([7, 2, 2, 5, 5, 9, 9, 9])
    outputs = np.tile([-10.0, 0.0, 10.0], (8, 1))
    assert fit_widening(outputs, truth, (0.1, 0.5, 0.9), groups) == (8.0,)
    assert fit_widening(outputs, truth, (0.25, 0.5, 0.75), groups) == (4.0,)  # 0.2 + 0.2 + 0.1
    assert fit_widening(outputs[:5], truth[:5], (0.1, 0.5, 0.9), groups[:5]) == (5.0,)  # three groups: the largest


def test_new_samples_of_new_groups_are_covered_where_those_of_a_group_are_alike() -> None:
    """Half of the variance is between groups of 20; counted by samples, few groups would seem like many samples."""
    random, inside = np.random.default_rng(0), []
    for _ in range(400):
        truth = np.repeat(random.normal(size=12), 20) + random.normal(size=240)
        groups, outputs = np.repeat(np.arange(12), 20), np.tile([-0.5, 0.0, 0.5], (240, 1))
        (by,) = fit_widening(outputs[:-20], truth[:-20], (0.1, 0.5, 0.9), groups[:-20])
        inside.append(np.mean(np.abs(truth[-20:]) <= 0.5 + by))
    assert np.mean(inside) == pytest.approx(0.86, abs=0.06)  # at least 0.8, and a little more for 11 groups


def test_the_number_of_groups_that_guarantees_coverage() -> None:
    assert [min_groups(q) for q in ((0.1, 0.5, 0.9), (0.05, 0.5, 0.95), (0.25, 0.75))] == [4, 9, 1]
