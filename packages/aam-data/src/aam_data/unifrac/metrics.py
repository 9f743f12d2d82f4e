"""UniFrac distances between the samples of two sparse matrices of branch shares.

Each metric prepares R rows once and then computes their distances to a few columns at a time. All sums are over the
branches that both samples have, and the rest follows from sums of one sample: real samples have a tenth of the
branches of their study, so this is a tenth of the work.

Axes: R rows, C columns, n branches; shares are csr_matrix [R or C, n] of float64, as ``branch_shares`` returns them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np
from scipy.sparse import csr_matrix

from aam_data.options.base import UnifracMetric

# Branches of a larger share of the rows are multiplied as dense matrices. 470 ibd samples, all pairs: dense alone
# 320 ms, sparse alone 1390; both, divided at 0.02: 49, at 0.1: 45, at 0.2: 47 (CPU time of one core).
_DENSE = 0.1
# Doubles of one step over branches that two samples share. All pairs of 470 ibd samples, with 96 columns at a time:
# 2^14 320 ms, 2^15 275, 2^16 290, 2^17 260; with 32 columns 310, with 256 320. Other ways: differences of all branches
# by scipy.spatial's cdist 2400 ms, those of the branches that blocks of 16 to 128 samples have 700 to 2800.
_STEP = 2**16


class Distances(Protocol):
    """Distances from the R rows that a metric was built for."""

    def to(self, right: csr_matrix, n_rows: int | None = None) -> np.ndarray:
        """Compute distances to the samples with the shares ``right`` [C, n].

        Args:
            right: shares of the columns.
            n_rows: compute only the first rows; None for all R.

        Returns:
            float64 [n_rows, C], NaN for empty samples.
        """
        ...


def build_metric(metric: UnifracMetric, alpha: float, left: csr_matrix, length: np.ndarray) -> Distances:
    """Prepare ``metric`` for the rows with the shares ``left`` [R, n] on branches of ``length`` [n]."""
    if metric == "unifrac":
        return Unweighted(left, length)
    if metric == "generalized" and alpha != 1:
        return Generalized(left, length, alpha)
    return Weighted(left, length, normalized=metric != "weighted_unnormalized")


def presence(shares: csr_matrix) -> csr_matrix:
    """Return 1 for each branch of a sample."""
    return _with_values(shares, np.ones(len(shares.data)))


class Unweighted:
    """``1 - shared / union`` of branch lengths; shared lengths are a product of matrices."""

    def __init__(self, left: csr_matrix, length: np.ndarray) -> None:
        self.length, self.total = length, presence(left) @ length
        self.product = Product(_with_values(left, length[left.indices]))
        self.empty = _empty(left)

    def to(self, right: csr_matrix, n_rows: int | None = None) -> np.ndarray:
        """See ``Distances``."""
        branches = presence(right)
        shared = self.product.to(branches, n_rows)
        union = self.total[:n_rows, None] + branches @ self.length
        union -= shared
        return _defined(_ratio(union - shared, union), self.empty[:n_rows], _empty(right))


class Weighted:
    """``sum len |m_i - m_j|``, which is ``sum len (m_i + m_j) - 2 sum len min(m_i, m_j)``."""

    def __init__(self, left: csr_matrix, length: np.ndarray, *, normalized: bool) -> None:
        self.left, self.length, self.normalized = left, length, normalized
        self.total, self.empty = left @ length, _empty(left)

    def to(self, right: csr_matrix, n_rows: int | None = None) -> np.ndarray:
        """See ``Distances``."""
        total = self.total[:n_rows, None] + right @ self.length
        shared = np.zeros_like(total)
        for row, length, share, others in _encounters(self.left[:n_rows], right, self.length):
            np.minimum(others, share, out=others)
            shared[row] += length @ others
        difference = np.maximum(total - 2 * shared, 0)
        values = _ratio(difference, total) if self.normalized else difference
        return _defined(values, self.empty[:n_rows], _empty(right))


class Generalized:
    """``sum len s^alpha |m_i - m_j| / s`` over ``sum len s^alpha`` with ``s = m_i + m_j``.

    A branch of only one sample adds ``len m^alpha`` to both sums. So the sums are computed from each sample's own
    branches; for branches of both, these terms are replaced by the true ones.
    """

    def __init__(self, left: csr_matrix, length: np.ndarray, alpha: float) -> None:
        self.empty = _empty(left)
        self.left = left = _above_zero(left)
        self.length, self.alpha = length, alpha
        self.total = _with_values(left, left.data**alpha) @ length
        self.product = Product(_with_values(left, length[left.indices]))

    def to(self, right: csr_matrix, n_rows: int | None = None) -> np.ndarray:
        """See ``Distances``."""
        empty = _empty(right)
        right = _above_zero(right)
        own = _with_values(right, right.data**self.alpha)
        above = self.total[:n_rows, None] + own @ self.length - self.product.to(own, n_rows)
        below = above.copy()
        for row, length, share, others in _encounters(self.left[:n_rows], right, self.length):
            both = others + share
            np.subtract(others, share, out=others)
            np.abs(others, out=others)
            others /= both
            np.sqrt(both, out=both) if self.alpha == 0.5 else np.power(both, self.alpha, out=both)
            others *= both
            alone = length @ share[:, 0] ** self.alpha
            below[row] += length @ both - alone
            above[row] += length @ others - alone
        return _defined(_ratio(above, below), self.empty[:n_rows], empty)


class Product:
    """``left @ right.T`` for one left matrix [R, n] and many right ones [C, n], all sparse."""

    def __init__(self, left: csr_matrix) -> None:
        prevalence = np.bincount(left.indices, left.data != 0, minlength=left.shape[1]) / max(1, left.shape[0])
        self._common = np.flatnonzero(prevalence > _DENSE)
        self._rare = np.flatnonzero((prevalence > 0) & (prevalence <= _DENSE))
        self._left_common = left[:, self._common].toarray()
        self._left_rare = left[:, self._rare]

    def to(self, right: csr_matrix, n_rows: int | None = None) -> np.ndarray:
        """Compute the first ``n_rows`` rows of the product, float64 [n_rows, C]."""
        values = self._left_common[:n_rows] @ right[:, self._common].toarray().T
        values += (self._left_rare[:n_rows] @ right[:, self._rare].T).toarray()
        return values


class _Encounter(NamedTuple):
    row: int
    length: np.ndarray  # [k] of some branches of the row
    share: np.ndarray  # [k, 1] shares of the row
    others: np.ndarray  # [k, C] shares of the columns; valid and free to overwrite until the next encounter


def _encounters(left: csr_matrix, right: csr_matrix, length: np.ndarray) -> Iterator[_Encounter]:
    """Yield each row's shares with those of all columns, on the branches that the row shares with any column.

    Branches of length 0, a sixth of the entries of ibd, are left out.
    """
    shared = np.flatnonzero(np.bincount(right.indices, minlength=right.shape[1]) * length)
    rows, length = left[:, shared], length[shared]
    columns = np.ascontiguousarray(right[:, shared].toarray().T)  # scipy returns the transpose of a row-major matrix
    step = max(1, _STEP // columns.shape[1])
    buffer = np.empty((step, columns.shape[1]))
    branch, share, bounds = rows.indices, rows.data[:, None], rows.indptr.tolist()
    entry_length = length[branch]
    for row in range(rows.shape[0]):
        for start in range(bounds[row], bounds[row + 1], step):
            entries = slice(start, min(start + step, bounds[row + 1]))
            others = buffer[: entries.stop - start]
            columns.take(branch[entries], axis=0, out=others, mode="clip")  # "raise" makes a copy of out
            yield _Encounter(row, entry_length[entries], share[entries], others)


def _with_values(shares: csr_matrix, values: np.ndarray) -> csr_matrix:
    return csr_matrix((values, shares.indices, shares.indptr), shares.shape)


def _above_zero(shares: csr_matrix) -> csr_matrix:
    """Drop branches whose share was lost: 1e-20 is 0 after a sum with 0.5, and 0 / 0 is undefined."""
    if shares.data.all():
        return shares
    shares = shares.copy()
    shares.eliminate_zeros()
    return shares


def _empty(shares: csr_matrix) -> np.ndarray:
    return np.diff(shares.indptr) == 0


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    values = np.divide(part, whole, out=np.zeros_like(whole), where=whole != 0)
    return np.clip(values, 0, 1, out=values)


def _defined(values: np.ndarray, empty_rows: np.ndarray, empty_columns: np.ndarray) -> np.ndarray:
    values[empty_rows] = np.nan
    values[:, empty_columns] = np.nan
    return values
