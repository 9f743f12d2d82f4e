"""Closed-form fits against scikit-learn's own pipelines and searches."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss

from aam_train.baselines.kernel import inner_folds
from aam_train.errors import TrainError
from aam_train.training.closed_form import LOGISTIC_PENALTIES, RIDGE_PENALTIES, fit_logistic, fit_ridge

R, F = 60, 90


@pytest.fixture
def x() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((R, F)) / np.sqrt(F)


GROUPS = np.repeat(np.arange(20), 3)


def numbers(x: np.ndarray) -> np.ndarray:
    return 3 + x[:, :5].sum(axis=1) + 0.1 * np.random.default_rng(1).standard_normal(len(x))


def classes(x: np.ndarray, n: int) -> np.ndarray:
    score = numbers(x)
    return np.searchsorted(np.quantile(score, np.arange(1, n) / n), score).astype(np.float64)


def test_ridge_is_scikit_learns_with_the_penalty_of_its_search(x: np.ndarray) -> None:
    y = numbers(x)
    fit = fit_ridge(x, y, GROUPS, 1)
    own = Ridge(alpha=fit.penalty * R).fit(x, y)
    np.testing.assert_allclose(x @ fit.weight[0] + fit.bias[0], own.predict(x), rtol=1e-9)
    folds = [(np.flatnonzero(~fold), np.flatnonzero(fold)) for fold in inner_folds(GROUPS, y, 1)]
    errors = [
        sum(
            np.square(Ridge(alpha=p * len(train)).fit(x[train], y[train]).predict(x[test]) - y[test]).sum()
            for train, test in folds
        )
        for p in RIDGE_PENALTIES
    ]
    assert fit.penalty == RIDGE_PENALTIES[int(np.argmin(errors))]
    assert np.square(fit.out_of_fold[:, 0] - y).sum() == pytest.approx(min(errors))


@pytest.mark.parametrize("n_classes", [2, 4])
def test_logits_are_scikit_learns_with_the_penalty_of_its_search(x: np.ndarray, n_classes: int) -> None:
    y = classes(x, n_classes)
    fit = fit_logistic(x, y, GROUPS, n_classes, 1)
    own = LogisticRegression(C=1 / fit.penalty, tol=1e-10, max_iter=10_000).fit(x, y)
    logits = x @ fit.weight.T + fit.bias
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(shares, own.predict_proba(x), atol=1e-6)
    folds, losses = inner_folds(GROUPS, y.astype(int), 1), []
    for penalty in LOGISTIC_PENALTIES:
        predicted = np.zeros((R, n_classes))
        for fold in folds:
            model = LogisticRegression(C=1 / penalty, max_iter=2000).fit(x[~fold], y[~fold])
            predicted[fold] = model.predict_proba(x[fold])
        losses.append(log_loss(y, predicted))
    assert fit.penalty == LOGISTIC_PENALTIES[int(np.argmin(losses))]


def test_samples_without_a_value_do_not_count(x: np.ndarray) -> None:
    y = numbers(x)
    known = np.arange(R) % 4 != 0
    missing = np.where(known, y, np.nan)
    fit, own = fit_ridge(x, missing, GROUPS, 1), fit_ridge(x[known], y[known], GROUPS[known], 1)
    np.testing.assert_allclose(fit.weight, own.weight, rtol=1e-9)
    assert np.array_equal(np.isfinite(fit.out_of_fold[:, 0]), known)
    codes = np.where(known, classes(x, 3), np.nan)
    some, all_known = fit_logistic(x, codes, GROUPS, 3, 1), fit_logistic(x[known], codes[known], GROUPS[known], 3, 1)
    np.testing.assert_allclose(some.weight, all_known.weight, atol=1e-7)


def test_weights_are_repetitions(x: np.ndarray) -> None:
    weights = 1.0 + (np.arange(R) % 3 == 0)
    twice = np.repeat(np.arange(R), weights.astype(int))
    y, codes = numbers(x), classes(x, 2)
    ridge = fit_ridge(x, y, GROUPS, 1, weights)
    repeated = Ridge(alpha=ridge.penalty * len(twice)).fit(x[twice], y[twice])
    np.testing.assert_allclose(ridge.weight[0], repeated.coef_, rtol=1e-6)
    own = LogisticRegression(C=1 / fit_logistic(x, codes, GROUPS, 2, 1, weights).penalty, tol=1e-10, max_iter=10_000)
    own.fit(x[twice], codes[twice])
    logits = x @ fit_logistic(x, codes, GROUPS, 2, 1, weights).weight.T
    np.testing.assert_allclose(logits[:, 1] - logits[:, 0], x @ own.coef_[0], atol=1e-4)


def test_a_class_of_a_single_group_is_all_but_impossible_in_its_fold(x: np.ndarray) -> None:
    y = np.where(GROUPS == 7, 2.0, classes(x, 2))
    fit = fit_logistic(x, y, GROUPS, 4, 1)  # the fourth class has no sample at all
    assert np.isfinite(fit.weight).all()
    shares = np.exp(x @ fit.weight.T + fit.bias)
    shares /= shares.sum(axis=1, keepdims=True)
    assert shares[:, 3].max() < 1e-4
    assert np.isfinite(fit.out_of_fold).all()


def test_a_single_group_takes_a_middle_penalty_and_a_single_class_is_refused(x: np.ndarray) -> None:
    group = np.zeros(R, dtype=int)
    assert fit_ridge(x, numbers(x), group, 1).penalty == RIDGE_PENALTIES[len(RIDGE_PENALTIES) // 2]
    assert fit_logistic(x, classes(x, 2), group, 2, 1).penalty == LOGISTIC_PENALTIES[len(LOGISTIC_PENALTIES) // 2]
    with pytest.raises(TrainError, match="the same class"):
        fit_logistic(x, np.zeros(R), GROUPS, 2, 1)


def test_samples_that_repeat_count_as_often(x: np.ndarray) -> None:
    """Features of rank 60 in 240 rows, up to noise in the last digits."""
    y, groups = numbers(x), np.tile(GROUPS, 4)
    noise = 1e-9 * np.random.default_rng(2).standard_normal((4 * R, F))
    fit = fit_ridge(np.tile(x, (4, 1)) + noise, np.tile(y, 4), groups, 1)
    own = Ridge(alpha=fit.penalty * R).fit(x, y)
    np.testing.assert_allclose(x @ fit.weight[0] + fit.bias[0], own.predict(x), rtol=1e-6)
