"""Closed-form fits of linear heads: ridge regression and logistic regression, by scikit-learn. Needs no torch.

Axes: R samples, F features, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aam_train.baselines.kernel import inner_folds
from aam_train.errors import TrainError
from aam_train.evaluation.metrics import probabilities

# Penalties relative to features whose blocks each have variance 1: 1 / C of scikit-learn's logistic regression, and
# alpha of its ridge regression per sample.
LOGISTIC_PENALTIES = tuple(10.0 ** (k / 2) for k in range(6, -5, -1))
RIDGE_PENALTIES = tuple(10.0 ** (k / 2) for k in range(4, -9, -1))
_TINY = 1e-6  # probability of a class that a fold does not know


@dataclass(frozen=True, eq=False)
class LinearFit:
    """A fitted linear map of features to outputs.

    Attributes:
        weight: float64 [W, F].
        bias: float64 [W].
        penalty: chosen strength of the penalty.
        out_of_fold: float64 [R, W] outputs of the inner folds with that strength, NaN for samples that were left out.
    """

    weight: np.ndarray
    bias: np.ndarray
    penalty: float
    out_of_fold: np.ndarray


def fit_ridge(
    x: np.ndarray,
    target: np.ndarray,
    groups: np.ndarray,
    seed: int,
    sample_weights: np.ndarray | None = None,
) -> LinearFit:
    """Fit ridge regression to a target [R], NaN = missing, with the penalty that grouped inner folds choose.

    Args:
        x: [R, F], with similar scales.
        groups: int [R]; samples of a group are in one fold. With fewer than two groups, the penalty is a middle one.
        seed: random seed of the run, for the folds.
        sample_weights: [R]; 1 by default.
    """
    from sklearn.linear_model import Ridge

    known = np.flatnonzero(np.isfinite(target))
    y = target[known].astype(np.float64)
    rotated, back = _rotate(x[known])
    weights = np.ones(len(known)) if sample_weights is None else sample_weights[known].astype(np.float64)
    folds = inner_folds(groups[known], y, seed)
    errors, outputs = [], []
    for penalty in RIDGE_PENALTIES:
        predicted = np.full(len(known), y.mean())
        for test in folds:
            train = ~test
            model = Ridge(alpha=penalty * weights[train].sum()).fit(rotated[train], y[train], weights[train])
            predicted[test] = model.predict(rotated[test])
        errors.append(float((weights * np.square(predicted - y)).sum()))
        outputs.append(predicted)
    best = int(np.argmin(errors)) if folds else len(errors) // 2
    model = Ridge(alpha=RIDGE_PENALTIES[best] * weights.sum()).fit(rotated, y, weights)
    out_of_fold = np.full((len(target), 1), np.nan)
    out_of_fold[known, 0] = outputs[best]
    return LinearFit((back @ model.coef_)[None], np.array([model.intercept_]), RIDGE_PENALTIES[best], out_of_fold)


def fit_logistic(
    x: np.ndarray,
    target: np.ndarray,
    groups: np.ndarray,
    n_classes: int,
    seed: int,
    sample_weights: np.ndarray | None = None,
) -> LinearFit:
    """Fit logistic regression to class codes [R], NaN = missing; see `fit_ridge`. Outputs are K logits.

    The penalty is the one with the smallest cross-entropy on the inner folds. AUC over the folds together would reward
    weak penalties, which learn the level of each group (gut-corpus, one study held out: 0.69 where this has 0.72).

    Raises:
        TrainError: fewer than two classes are known.
    """
    known = np.flatnonzero(np.isfinite(target))
    codes = target[known].astype(np.int64)
    if len(np.unique(codes)) < 2:
        raise TrainError("all samples to learn from have the same class, so there is nothing to learn")
    rotated, back = _rotate(x[known])
    weights = np.ones(len(known)) if sample_weights is None else sample_weights[known].astype(np.float64)
    folds = inner_folds(groups[known], codes, seed)
    losses, outputs = [], []
    for penalty in LOGISTIC_PENALTIES:
        logits = np.zeros((len(known), n_classes))
        for test in folds:
            train = ~test
            weight, bias = _logistic(rotated[train], codes[train], weights[train], penalty, n_classes)
            logits[test] = rotated[test] @ weight.T + bias
        shares = probabilities(logits)[np.arange(len(codes)), codes]
        losses.append(-float((weights * np.log(np.maximum(shares, _TINY))).sum()))
        outputs.append(logits)
    best = int(np.argmin(losses)) if folds else len(losses) // 2
    weight, bias = _logistic(rotated, codes, weights, LOGISTIC_PENALTIES[best], n_classes, tolerance=1e-8)
    out_of_fold = np.full((len(target), n_classes), np.nan)
    out_of_fold[known] = outputs[best]
    return LinearFit(weight @ back.T, bias, LOGISTIC_PENALTIES[best], out_of_fold)


def _logistic(
    x: np.ndarray, codes: np.ndarray, weights: np.ndarray, penalty: float, n_classes: int, tolerance: float = 1e-4
) -> tuple[np.ndarray, np.ndarray]:
    """Return weights [K, F] and biases [K] of logits; classes without samples are all but impossible."""
    from sklearn.linear_model import LogisticRegression

    weight, bias = np.zeros((n_classes, x.shape[1])), np.full(n_classes, np.log(_TINY))
    present = np.unique(codes)
    if len(present) == 1:
        bias[present] = 0.0
        return weight, bias
    model = LogisticRegression(C=1 / penalty, tol=tolerance, max_iter=2000).fit(x, codes, weights)
    if len(present) == 2:  # one logit, of the second class against the first
        weight[present[1]], bias[present] = model.coef_[0], [0.0, model.intercept_[0]]
    else:
        weight[present], bias[present] = model.coef_, model.intercept_
    return weight, bias


def _rotate(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return coordinates [R, r] in the space of the samples, and the rotation [F, r] back.

    A penalty on the norm of the weights does not depend on rotations, and weights outside of that space would be 0, so
    the fit is the same; with fewer samples than features it is many times faster. The QR decomposition has no
    iterations; LAPACK's fastest singular value decomposition did not converge on 77 samples in four draws each.
    """
    back, coordinates = np.linalg.qr(x.T)
    return coordinates.T, back
