"""Ridge and logistic regression on a kernel, with the strength of the penalty chosen by inner folds of whole groups.

A kernel matrix of the samples to learn from is turned into coordinates whose products are the kernel (its principal
components), so that a linear model on them is the model on the kernel. Many features cost no more than few.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from aam_data.errors import DataError
from aam_data.random_keys import Purpose, generator
from aam_data.splits.splits import cross_validation
from aam_data.splits.strata import quarters
from aam_train.baselines.protocol import BaselineData
from aam_train.device.host_memory import host_memory
from aam_train.statistics.weighted_metrics import weighted_classification

INNER_FOLDS = 5
MAX_COMPONENTS = 512
STRENGTHS = 10.0 ** np.arange(-4.0, 3.5, 1.0)  # of the penalty, relative to the mean variance of the samples
MAX_MEMORY_SHARE = 0.8  # that a kernel may use, of what the process may use
_ARRAYS = 4  # of the kernel's size that exist at once
_SMALLEST = 1e-9  # eigenvalue, relative to the largest, of a component that counts


@dataclass(frozen=True, eq=False)
class Components:
    """Principal components of a kernel.

    Attributes:
        known: float64 [N, C] coordinates of the samples to learn from.
        to_coordinates: float64 [N, C], what centred kernel values of other samples are multiplied with.
        column_means: float64 [N] of the kernel.
        mean: of all its values.
    """

    known: np.ndarray
    to_coordinates: np.ndarray
    column_means: np.ndarray
    mean: float

    @classmethod
    def of(cls, kernel: np.ndarray) -> Components:
        """Decompose a kernel [N, N]; directions of negative eigenvalues, which distances may have, are left out."""
        from scipy.linalg import eigh

        means = kernel.mean(axis=0)
        mean = float(means.mean())
        centred = kernel - means - means[:, None] + mean
        n = len(kernel)
        values, vectors = eigh(centred, subset_by_index=(max(0, n - MAX_COMPONENTS), n - 1))
        largest = max(float(values[-1]), 0.0)
        kept = values > _SMALLEST * largest if largest > 0 else np.zeros(len(values), dtype=bool)
        values, vectors = values[kept], vectors[:, kept]
        scale = np.sqrt(values.sum() / n) if len(values) else 1.0  # samples have a mean squared length of 1
        roots = np.sqrt(values)
        return cls(vectors * (roots / scale), vectors / (roots * scale), means, mean)

    def project(self, kernel: np.ndarray) -> np.ndarray:
        """Return the coordinates [R, C] of other samples from their kernel values [R, N] with those known."""
        centred = kernel - self.column_means - kernel.mean(axis=1, keepdims=True) + self.mean
        coordinates: np.ndarray = centred @ self.to_coordinates
        return coordinates


def inner_folds(groups: np.ndarray, labels: np.ndarray, seed: int) -> list[np.ndarray]:
    """Divide samples into folds of whole groups, balanced by their labels; an empty list for fewer than two groups.

    Args:
        groups: int64 [N].
        labels: [N] class codes, or numbers, which are balanced by quarters.
        seed: random seed of the run.

    Returns:
        Masks [N] of the samples of each fold.
    """
    n_folds = min(INNER_FOLDS, len(np.unique(groups)))
    if n_folds < 2:
        return []
    ids = [f"{row:012d}" for row in range(len(groups))]
    strata = quarters(labels) if labels.dtype.kind == "f" else np.array([str(label) for label in labels], dtype=object)
    inner_seed = int(generator(seed, Purpose.INNER_FOLDS).integers(2**62))
    try:
        splits = cross_validation(ids, n_folds, 0.0, inner_seed, np.array([str(g) for g in groups]), [strata])
    except DataError:  # too few groups for so many folds
        return []
    rows = [np.array([int(i) for i in split.test]) for split in splits]
    return [np.isin(np.arange(len(groups)), fold) for fold in rows]


@dataclass(frozen=True, eq=False)
class NumberModel:
    """A fitted ridge regression: weights [C] and offset."""

    weights: np.ndarray
    offset: float

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return numbers [R] of coordinates [R, C]."""
        values: np.ndarray = x @ self.weights + self.offset
        return values


def fit_numbers(x: np.ndarray, y: np.ndarray, folds: list[np.ndarray]) -> NumberModel:
    """Fit a ridge regression to coordinates [N, C] and numbers [N]."""
    errors = np.zeros(len(STRENGTHS))
    for fold in folds:
        for number, model in enumerate(_ridge_path(x[~fold], y[~fold], STRENGTHS)):
            errors[number] += np.square(y[fold] - model.predict(x[fold])).sum()
    best = int(errors.argmin()) if folds else len(STRENGTHS) // 2
    return next(_ridge_path(x, y, STRENGTHS[best : best + 1]))


def _ridge_path(x: np.ndarray, y: np.ndarray, strengths: np.ndarray) -> Iterator[NumberModel]:
    """Yield a model for each strength of the penalty relative to the mean squared error."""
    means, middle = x.mean(axis=0), float(y.mean())
    centred = x - means
    values, vectors = np.linalg.eigh(centred.T @ centred)
    turned = vectors.T @ (centred.T @ (y - middle))
    for strength in strengths:
        weights = vectors @ (turned / (values.clip(min=0.0) + strength * len(x)))
        yield NumberModel(weights, middle - float(means @ weights))


def fit_classes(x: np.ndarray, codes: np.ndarray, n_classes: int, folds: list[np.ndarray]) -> ClassModel:
    """Fit a logistic regression to coordinates [N, C] and class codes [N].

    The strength is the one with the largest AUC on the inner folds: with few groups, the likelihood chooses penalties
    so strong that nothing is learned. Of equal strengths the strongest wins.
    """
    shares = np.zeros((len(STRENGTHS), len(codes), n_classes))
    for fold in folds:
        for number, model in enumerate(_logistic_path(x[~fold], codes[~fold], n_classes, STRENGTHS)):
            shares[number, fold] = model.predict(x[fold])
    best = len(STRENGTHS) // 2
    if folds:
        once = np.ones((1, len(codes)))
        areas = np.array([weighted_classification(once, codes, each)["auc"][0] for each in shares])
        best = len(areas) - 1 - int(np.nan_to_num(areas, nan=0.0)[::-1].argmax())
    return next(_logistic_path(x, codes, n_classes, STRENGTHS[best : best + 1]))


@dataclass(frozen=True, eq=False)
class ClassModel:
    """A fitted logistic regression: weights [C, K'] and offsets [K'] of the K' classes that it has seen."""

    weights: np.ndarray
    offsets: np.ndarray
    seen: np.ndarray
    n_classes: int

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return class probabilities [R, K] of coordinates [R, C]."""
        logits = x @ self.weights + self.offsets
        logits -= logits.max(axis=1, keepdims=True)
        shares = np.exp(logits)
        probabilities = np.zeros((len(x), self.n_classes))
        probabilities[:, self.seen] = shares / shares.sum(axis=1, keepdims=True)
        return probabilities


def _logistic_path(x: np.ndarray, codes: np.ndarray, n_classes: int, strengths: np.ndarray) -> Iterator[ClassModel]:
    """Yield a model for each strength of the penalty relative to the mean loss, the strongest last."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    seen = np.unique(codes)
    if len(seen) == 1:
        for _ in strengths:
            yield ClassModel(np.zeros((x.shape[1], 1)), np.zeros(1), seen, n_classes)
        return
    for strength in strengths:
        model = LogisticRegression(C=1.0 / (strength * len(x)), max_iter=500)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # weak penalties on few samples: not chosen
            model.fit(x, codes)
        weights, offsets = model.coef_.T, model.intercept_
        if len(seen) == 2:  # scikit-learn has one logit for two classes
            weights, offsets = np.hstack([-weights, weights]) / 2, np.r_[-offsets, offsets] / 2
        yield ClassModel(weights, offsets, seen, n_classes)


class KernelSource(Protocol):
    """Kernel values of any samples of a study."""

    def values(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Return the kernel of samples ``rows`` (int64 [R]) with ``columns`` (int64 [C]), float64 [R, C]."""
        ...


@dataclass(frozen=True, eq=False)
class _Head:
    """A model of one target on the components of the samples that have it."""

    rows: np.ndarray
    components: Components
    model: NumberModel | ClassModel


@dataclass(frozen=True, eq=False)
class FittedKernel:
    """A model for each target, or one for all classes."""

    source: KernelSource
    heads: Sequence[_Head]
    is_classes: bool

    def predict(self, rows: np.ndarray) -> np.ndarray:
        """See `Fitted`."""
        outputs = [
            head.model.predict(head.components.project(self.source.values(rows, head.rows))) for head in self.heads
        ]
        return outputs[0] if self.is_classes else np.stack(outputs, axis=1)


def fit_kernel(source: KernelSource, data: BaselineData, rows: np.ndarray, seed: int) -> FittedKernel:
    """Fit a ridge regression to each number, or a logistic regression to the classes, on a kernel.

    Args:
        source: kernel.
        data: of the run.
        rows: int64 [N] samples to learn from.
        seed: random seed of the inner folds.
    """
    targets, n_classes, heads = data.targets[rows], data.n_classes, []
    kernels: dict[bytes, Components] = {}  # targets that the same samples have share it
    for t in range(1 if n_classes is not None else targets.shape[1]):
        known = np.isfinite(targets[:, t])
        chosen, values = rows[known], targets[known, t]
        if known.tobytes() not in kernels:
            kernels[known.tobytes()] = Components.of(source.values(chosen, chosen))
        components = kernels[known.tobytes()]
        if n_classes is None:
            numbers = values.astype(np.float64)
            folds = inner_folds(data.groups[chosen], numbers, seed)
            heads.append(_Head(chosen, components, fit_numbers(components.known, numbers, folds)))
        else:
            codes = values.astype(np.int64)
            folds = inner_folds(data.groups[chosen], codes, seed)
            heads.append(_Head(chosen, components, fit_classes(components.known, codes, n_classes, folds)))
    return FittedKernel(source, heads, n_classes is not None)


def kernel_too_large(data: BaselineData) -> str | None:
    """Return why kernels of all pairs of samples would not fit in memory, None if they would."""
    n_known = len(data.learned)
    needed, free = 8 * _ARRAYS * n_known * (n_known + len(data.rows["test"])), host_memory(MAX_MEMORY_SHARE)
    if needed <= free:
        return None
    return (
        f"the products of {n_known:,} samples need about {needed / 1e9:,.1f} GB of memory, and "
        f"{max(free, 0) / 1e9:,.1f} GB may be used"
    )
