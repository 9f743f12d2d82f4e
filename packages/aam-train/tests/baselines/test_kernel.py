"""Ridge and logistic regression on kernels: those of scikit-learn on the features themselves."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge

from aam_train.baselines import kernel
from aam_train.baselines.kernel import Components, fit_classes, fit_numbers, inner_folds

N, FEATURES = 40, 70


@pytest.fixture
def features() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(N + 9, FEATURES))


def scaled(x: np.ndarray) -> np.ndarray:
    """Features whose samples have a mean squared length of 1 after centring, as components have."""
    known = x[:N] - x[:N].mean(axis=0)
    return (x - x[:N].mean(axis=0)) / np.sqrt(np.square(known).sum() / N)


def test_components_have_the_products_of_the_features(features: np.ndarray) -> None:
    products = features @ features.T
    components = Components.of(products[:N, :N])
    x = scaled(features)
    np.testing.assert_allclose(components.known @ components.known.T, x[:N] @ x[:N].T, atol=1e-10)
    np.testing.assert_allclose(components.project(products[N:, :N]) @ components.known.T, x[N:] @ x[:N].T, atol=1e-10)


def test_a_kernel_without_variance_has_no_components() -> None:
    components = Components.of(np.ones((5, 5)))
    assert components.known.shape == (5, 0)
    assert fit_numbers(components.known, np.arange(5.0), []).predict(components.project(np.ones((2, 5)))) == (
        pytest.approx([2.0, 2.0])
    )


def test_numbers_are_those_of_scikit_learn(features: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "STRENGTHS", np.array([0.03]))
    products, y = features @ features.T, np.random.default_rng(1).normal(size=N)
    components = Components.of(products[:N, :N])
    found = fit_numbers(components.known, y, []).predict(components.project(products[N:, :N]))
    x = scaled(features)
    expected = Ridge(alpha=0.03 * N).fit(x[:N], y).predict(x[N:])
    np.testing.assert_allclose(found, expected, rtol=1e-8)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_classes_are_those_of_scikit_learn(
    features: np.ndarray, n_classes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel, "STRENGTHS", np.array([0.01]))
    products, codes = features @ features.T, np.arange(N) % n_classes
    components = Components.of(products[:N, :N])
    model = fit_classes(components.known, codes, n_classes + 1, [])  # a class that no sample has
    found = model.predict(components.project(products[N:, :N]))
    x = scaled(features)
    expected = LogisticRegression(C=1 / (0.01 * N), tol=1e-8, max_iter=2000).fit(x[:N], codes).predict_proba(x[N:])
    np.testing.assert_allclose(found[:, :n_classes], expected, atol=2e-3)
    assert (found[:, n_classes] == 0).all()


def test_a_single_class_is_certain() -> None:
    model = fit_classes(np.ones((4, 2)), np.array([1, 1, 1, 1]), 2, [])
    np.testing.assert_array_equal(model.predict(np.zeros((3, 2))), [[0, 1]] * 3)


def test_the_strength_is_chosen_by_folds_of_whole_groups() -> None:
    """Copies of a sample would make a weak penalty look good if a group were on both sides."""
    random = np.random.default_rng(2)
    x, y = np.repeat(random.normal(size=(20, 200)), 4, axis=0), np.repeat(random.normal(size=20), 4)
    groups = np.repeat(np.arange(20), 4)
    folds = inner_folds(groups, y, seed=1)
    assert all(len(set(groups[fold]) & set(groups[~fold])) == 0 for fold in folds)
    assert np.sum(folds, axis=0).tolist() == [1] * 80
    by_group = fit_numbers(x, y, folds)
    by_sample = fit_numbers(x, y, inner_folds(np.arange(80), y, seed=1))
    assert np.abs(by_group.predict(x) - y.mean()).max() < 0.5 * np.abs(by_sample.predict(x) - y.mean()).max()


def test_one_group_has_no_inner_folds() -> None:
    assert inner_folds(np.zeros(6, dtype=np.int64), np.arange(6.0), seed=1) == []
