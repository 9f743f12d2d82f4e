"""Metrics of weighted samples: scikit-learn's of samples that are repeated as often as their weight says."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk

from aam_train.evaluation.metrics import classification_metrics, interval_metrics, regression_metrics
from aam_train.options import metrics as metric_options
from aam_train.options.metrics import Metric
from aam_train.statistics.bootstrap import GroupBootstrap
from aam_train.statistics.weighted_metrics import (
    weighted_auc,
    weighted_classification,
    weighted_intervals,
    weighted_regression,
)

N, DRAWS = 60, 50


def drawn_rows(weights: np.ndarray) -> np.ndarray:
    return np.repeat(np.arange(len(weights)), weights.astype(np.int64))


@pytest.fixture
def weights() -> np.ndarray:
    groups = [f"g{row // 4}" for row in range(N)]
    bootstrap = GroupBootstrap.draw(groups, [str(row) for row in range(N)], seed=5, draws=DRAWS)
    return bootstrap.counts[:, bootstrap.group_of].astype(np.float64)


def check(
    found: dict[str, np.ndarray], weights: np.ndarray, expected: Callable[[np.ndarray], dict[str, float]]
) -> None:
    for draw, row in enumerate(weights):
        for name, value in expected(drawn_rows(row)).items():
            assert found[name][draw] == pytest.approx(value, rel=1e-12, abs=1e-12, nan_ok=True), (name, draw)


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_numbers(weights: np.ndarray, offset: float) -> None:
    random = np.random.default_rng(0)
    truth = random.normal(size=N) + offset
    prediction = truth + random.normal(size=N)
    found = weighted_regression(weights, truth, prediction)
    tolerance = 1e-12 if offset == 0 else 1e-8
    for draw, row in enumerate(weights):
        rows = drawn_rows(row)
        expected = regression_metrics(truth[rows], prediction[rows])
        for name in expected:
            assert found[name][draw] == pytest.approx(expected[name], rel=tolerance, abs=tolerance)


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("decimals", [1, 15])
def test_classes_with_and_without_ties(weights: np.ndarray, n_classes: int, decimals: int) -> None:
    random = np.random.default_rng(1)
    truth = random.integers(0, n_classes, N)
    shares = random.dirichlet(np.ones(n_classes), N).round(decimals)
    found = weighted_classification(weights, truth, shares)
    check(found, weights, lambda rows: classification_metrics(truth[rows], shares[rows]))


def test_intervals(weights: np.ndarray) -> None:
    random = np.random.default_rng(2)
    truth, lower = random.normal(size=N), random.normal(size=N) - 1
    upper = lower + random.random(N) * 3
    found = weighted_intervals(weights, truth, lower, upper)
    check(found, weights, lambda rows: interval_metrics(truth[rows], lower[rows], upper[rows]))


def test_what_a_draw_does_not_define_is_nan() -> None:
    only_one_class = np.array([[2.0, 1.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]])
    area = weighted_auc(only_one_class, np.array([1.0, 1.0, 0.0, 0.0]), np.array([0.9, 0.8, 0.3, 0.1]))
    np.testing.assert_array_equal(area, [np.nan, 1.0])
    equal = weighted_regression(np.array([[3.0, 0.0], [1.0, 1.0]]), np.array([1.0, 2.0]), np.array([1.5, 2.0]))
    assert np.isnan(equal["r2"][0])
    assert equal["r2"][1] == sk.r2_score([1.0, 2.0], [1.5, 2.0])


def test_the_area_is_that_of_scipy() -> None:
    """The Mann-Whitney statistic over the number of pairs."""
    random = np.random.default_rng(3)
    positive, scores = random.integers(0, 2, N), random.normal(size=N).round(1)
    u = stats.mannwhitneyu(scores[positive == 1], scores[positive == 0]).statistic
    expected = u / (positive.sum() * (N - positive.sum()))
    assert weighted_auc(np.ones((1, N)), positive, scores)[0] == pytest.approx(expected, rel=1e-12)


def test_other_metrics_of_scikit_learn(weights: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    added = {"mcc": Metric("class", higher_is_better=True, sklearn="matthews_corrcoef")}
    monkeypatch.setattr(metric_options, "METRICS", metric_options.METRICS | added)
    monkeypatch.setattr("aam_train.statistics.weighted_metrics.METRICS", metric_options.METRICS)
    random = np.random.default_rng(4)
    truth, shares = random.integers(0, 2, N), random.dirichlet(np.ones(2), N)
    found = weighted_classification(weights[:5], truth, shares)["mcc"]
    expected = [sk.matthews_corrcoef(truth[rows], shares[rows].argmax(1)) for rows in map(drawn_rows, weights[:5])]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
