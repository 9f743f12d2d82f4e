"""Division of samples into parts of given shares, with whole groups and balanced classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.sparse import csr_array

from aam_data.random_keys import generator

_MAX_CANDIDATES = 1000
_MAX_SPREAD_CANDIDATES = 100  # of orders that are spread evenly from the start
_WORK = 200_000  # candidates x units: a few tens of milliseconds
_MAX_FOLDS_CANDIDATES, _FOLDS_WORK = 20, 20_000  # the same for folds of groups, at some 40 microseconds each


def partition(strata: Sequence[csr_array], shares: np.ndarray, seed: int, *key: int) -> np.ndarray:
    """Assign each unit to a part, such that no part is empty and each is close to its share of the samples.

    Units of one sample each are put in an order in which the members of every class are spread evenly, and
    the order is cut: sizes are exact and each class is close to its share. Larger units (groups) are cut in
    many random orders, and the order whose parts differ least from the shares wins, by Pearson's chi-square
    over parts and classes. The same applies to units of one sample if there are several divisions into classes:
    combinations of their classes are spread evenly, and the best of many such orders wins.

    Args:
        strata: one or several divisions of all samples into classes: int [G, K] number of samples of each unit in
            each of K classes (K = 1 without classes); the sums over classes are equal in all divisions. No unit is
            empty. Matrices are sparse, since there may be nearly as many classes as samples; rare classes count like
            all others.
        shares: [P] shares of the parts, > 0, with sum 1; P <= G.
        seed: random seed.
        key: purpose of this division, see ``random_keys.generator``.

    Returns:
        int64 [G] part numbers.
    """
    unit_sizes = strata[0].sum(axis=1)
    sizes = _part_sizes(int(unit_sizes.sum()), shares)
    single = unit_sizes.max() == 1
    combined = _combinations(strata) if single else np.empty(0)
    divisions = [_Division.from_matrix(members) for members in strata]
    max_candidates = _MAX_CANDIDATES if not single else _MAX_SPREAD_CANDIDATES if len(strata) > 1 else 1
    n_candidates = min(max_candidates, max(10, _WORK // len(unit_sizes)))
    best, best_score = np.empty(0, dtype=np.int64), np.inf
    for candidate in range(n_candidates):
        random = generator(seed, *key, candidate)
        order = _spread_order(combined, random) if single else random.permutation(len(unit_sizes))
        part = np.empty(len(unit_sizes), dtype=np.int64)
        part[order] = _cut(unit_sizes[order], sizes)
        score = sum(division.chi_square(part, shares) for division in divisions)
        if score < best_score:
            best, best_score = part, score
    return best


def partition_into_folds(strata: Sequence[csr_array], folds: int, seed: int, *key: int) -> np.ndarray:
    """Assign each unit to one of equal folds, see ``partition``.

    Groups are given out one by one, large ones mostly first, each to the fold that then lacks least of its classes, as
    in scikit-learn's StratifiedGroupKFold; the best of several orders wins. With many small folds, no order that is cut
    comes near.

    Returns:
        int64 [G] numbers of folds.
    """
    shares = np.full(folds, 1.0 / folds)
    n_units = strata[0].shape[0]
    candidates = [partition(strata, shares, seed, *key)]
    if strata[0].sum(axis=1).max() > 1:
        n_candidates = min(_MAX_FOLDS_CANDIDATES, max(1, _FOLDS_WORK // n_units))
        randoms = (generator(seed, *key, candidate) for candidate in range(n_candidates))
        candidates += [_give_out(strata, shares, random) for random in randoms]
    divisions = [_Division.from_matrix(members) for members in strata]
    whole = (part for part in candidates if len(np.unique(part)) == folds)
    return min(whole, key=lambda part: sum(division.chi_square(part, shares) for division in divisions))


def _give_out(strata: Sequence[csr_array], shares: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Put units one by one into the part whose chi-square falls most, int64 [G]; a part may stay empty."""
    unit_sizes = strata[0].sum(axis=1)
    order = np.argsort(-unit_sizes * random.uniform(0.5, 1.0, len(unit_sizes)), kind="stable")
    part = np.empty(len(order), dtype=np.int64)
    expected = [shares[:, None] * members.sum(axis=0) for members in strata]
    filled = [np.zeros_like(each) for each in expected]
    for unit in order.tolist():
        change = np.zeros(len(shares))
        entries = [slice(*members.indptr[unit : unit + 2]) for members in strata]
        for members, wanted, found, own in zip(strata, expected, filled, entries, strict=True):
            classes, n = members.indices[own], members.data[own]
            change += ((2 * (found[:, classes] - wanted[:, classes]) + n) * n / wanted[:, classes]).sum(axis=1)
        part[unit] = change.argmin()
        for members, found, own in zip(strata, filled, entries, strict=True):
            found[part[unit], members.indices[own]] += members.data[own]
    return part


def _part_sizes(n_samples: int, shares: np.ndarray) -> np.ndarray:
    """Round part sizes to whole numbers with sum ``n_samples``, by largest remainders, each at least 1."""
    exact = shares * n_samples
    sizes = np.floor(exact).astype(np.int64)
    largest_remainders = np.argsort(sizes - exact, kind="stable")
    sizes[largest_remainders[: n_samples - sizes.sum()]] += 1
    while (sizes == 0).any():
        sizes[np.argmin(sizes)] += 1
        sizes[np.argmax(sizes)] -= 1
    return sizes


def _spread_order(class_of: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Draw a random order of single samples in which every section has the classes [B] in their proportions."""
    shuffled = random.permutation(len(class_of))
    classes = class_of[shuffled]
    class_sizes = np.bincount(classes)
    by_class = np.argsort(classes, kind="stable")
    rank = np.empty(len(class_of), dtype=np.int64)
    rank[by_class] = np.arange(len(class_of)) - np.repeat(np.cumsum(class_sizes) - class_sizes, class_sizes)
    position = (rank + random.random(len(class_sizes))[classes]) / class_sizes[classes]
    return shuffled[np.argsort(position, kind="stable")]


def _cut(unit_sizes: np.ndarray, part_sizes: np.ndarray) -> np.ndarray:
    """Assign units in their order to the part in which their middle sample falls, such that no part is empty."""
    middles = np.cumsum(unit_sizes) - unit_sizes / 2
    n_parts = len(part_sizes)
    cuts = np.searchsorted(middles, np.cumsum(part_sizes)[:-1])
    at_least = np.arange(1, n_parts)
    cuts = np.maximum.accumulate(cuts - at_least) + at_least  # each after the one before
    cuts = np.clip(cuts, at_least, len(unit_sizes) - n_parts + at_least)
    return np.searchsorted(cuts, np.arange(len(unit_sizes)), side="right")


def _combinations(strata: Sequence[csr_array]) -> np.ndarray:
    """Number the combinations of classes of units of one sample, int64 [G]."""
    classes = np.stack([members.indices for members in strata])  # a row has one entry
    return np.unique(classes, axis=1, return_inverse=True)[1].ravel()


@dataclass(frozen=True)
class _Division:
    """The entries of a sparse matrix [G, K] of units and classes, without classes that have no sample here."""

    units: np.ndarray
    classes: np.ndarray
    samples: np.ndarray
    class_sizes: np.ndarray

    @classmethod
    def from_matrix(cls, members: csr_array) -> Self:
        entries = members.tocoo()
        classes = np.unique(entries.col, return_inverse=True)[1]
        return cls(entries.row, classes, entries.data, np.bincount(classes, weights=entries.data))

    def chi_square(self, part: np.ndarray, shares: np.ndarray) -> float:
        """Compute Pearson's chi-square of classes in parts [P, K] against ``shares``, with units in ``part`` [G]."""
        shape = len(shares), len(self.class_sizes)
        cell = part[self.units] * shape[1] + self.classes
        observed = np.bincount(cell, weights=self.samples, minlength=shape[0] * shape[1]).reshape(shape)
        expected = shares[:, None] * self.class_sizes
        return float(((observed - expected) ** 2 / expected).sum())
