"""The forest of the baseline: samples without a value teach it nothing."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

from aam_train.baselines.random_forest import ForestOptions, fit_forest

OPTIONS = ForestOptions(seed=3, trees=10, jobs=1)
SETTINGS = {"n_estimators": 10, "max_features": "sqrt", "min_samples_leaf": 1, "random_state": 3}


def table(seed: int, rows: int) -> csr_array:
    return csr_array(np.random.default_rng(seed).random((rows, 6)))


def test_numbers_are_those_of_scikit_learn_on_the_known_samples() -> None:
    known, new = table(0, 40), table(1, 9)
    target = np.random.default_rng(2).normal(size=40)
    target[::4] = np.nan
    has_value = np.isfinite(target)
    expected = RandomForestRegressor(**SETTINGS).fit(known[has_value], target[has_value])
    found = fit_forest(known, target, None, OPTIONS)
    np.testing.assert_allclose(found.predict(new), expected.predict(new), rtol=1e-12)
    np.testing.assert_allclose(found.importance, expected.feature_importances_, rtol=1e-12)


def test_classes_are_those_of_scikit_learn_with_a_column_for_absent_ones() -> None:
    known, new = table(3, 40), table(4, 9)
    target = np.random.default_rng(5).choice([0.0, 2.0, 3.0], 40)
    target[1::5] = np.nan
    has_value = np.isfinite(target)
    expected = RandomForestClassifier(**SETTINGS).fit(known[has_value], target[has_value])
    found = fit_forest(known, target, 4, OPTIONS).predict(new)
    np.testing.assert_allclose(found[:, [0, 2, 3]], expected.predict_proba(new), rtol=1e-12)
    assert (found[:, 1] == 0).all()


def test_few_samples_with_rare_asvs_are_told_apart() -> None:
    # every ASV but one of each class is in one sample: leaves of two samples could hardly ever be split off
    x = np.zeros((12, 4012))
    x[np.arange(12), np.arange(12)] = 0.5
    x[:6, 4010], x[6:, 4011] = 0.5, 0.5
    codes = np.repeat([0.0, 1.0], 6)
    forest = fit_forest(csr_array(x), codes, 2, ForestOptions(1, trees=200))
    assert np.array_equal(forest.predict(csr_array(x)).argmax(axis=1), codes)
    assert ForestOptions(1).arguments(39)["min_samples_leaf"] == 1
    assert ForestOptions(1).arguments(40)["min_samples_leaf"] == 2
