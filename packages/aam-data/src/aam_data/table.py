"""The table of counts, as compressed rows: one row a sample, never dense, no Python object per sample."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_matrix


class SampleCounts(NamedTuple):
    """Counts of B samples over the features of one table; sample b is ``indptr[b]:indptr[b + 1]``.

    Attributes:
        indptr: int64 [B + 1].
        indices: int32 [Z] feature numbers, ascending within a sample.
        counts: [Z] reads, > 0.
    """

    indptr: np.ndarray
    indices: np.ndarray
    counts: np.ndarray

    @property
    def n_samples(self) -> int:
        return len(self.indptr) - 1

    def row(self, sample: int) -> tuple[np.ndarray, np.ndarray]:
        """Feature numbers and counts of one sample."""
        part = slice(self.indptr[sample], self.indptr[sample + 1])
        return self.indices[part], self.counts[part]

    def take(self, rows: np.ndarray) -> SampleCounts:
        """The samples ``rows``, in that order."""
        lengths = self.indptr[rows + 1] - self.indptr[rows]
        indptr = np.concatenate([[0], np.cumsum(lengths)])
        gather = np.arange(indptr[-1]) + np.repeat(self.indptr[rows] - indptr[:-1], lengths)
        return SampleCounts(indptr, self.indices[gather], self.counts[gather])


@dataclass(frozen=True, eq=False)
class CountTable:
    """Samples by features. Rows are sorted by feature number and hold no zeros.

    Attributes:
        sample_ids: [B] str objects, unique.
        feature_ids: [A] str objects, unique.
        data: counts of all samples; integer dtype for reads, float64 for relative abundances.
        file_rows: int64 [A] place of each feature in the file (of the first, where several became one); None where
            features are as in the file.
    """

    sample_ids: np.ndarray
    feature_ids: np.ndarray
    data: SampleCounts
    file_rows: np.ndarray | None = None

    @property
    def n_samples(self) -> int:
        return len(self.sample_ids)

    @property
    def n_features(self) -> int:
        return len(self.feature_ids)

    @property
    def is_integer(self) -> bool:
        """Whether the table counts reads (and so can be rarefied)."""
        return bool(np.issubdtype(self.data.counts.dtype, np.integer))

    def depths(self) -> np.ndarray:
        """Reads per sample, [B]."""
        indptr = self.data.indptr
        total = np.concatenate([[0], np.cumsum(self.data.counts, dtype=self._sum_dtype())])
        return total[indptr[1:]] - total[indptr[:-1]]

    def features_per_sample(self) -> np.ndarray:
        """Observed features per sample, int64 [B]."""
        return np.diff(self.data.indptr)

    def take_counts(self, rows: np.ndarray) -> SampleCounts:
        """Counts of the samples ``rows``, in that order."""
        return self.data.take(rows)

    def take_samples(self, rows: np.ndarray) -> CountTable:
        """The table of the samples ``rows``, in that order; features stay as they are."""
        rows = np.asarray(rows, dtype=np.int64)
        return CountTable(self.sample_ids[rows], self.feature_ids, self.take_counts(rows), self.file_rows)

    def regroup_features(self, new_index: np.ndarray, feature_ids: np.ndarray) -> CountTable:
        """Renumber features: feature j becomes ``new_index[j]``; -1 drops it, equal numbers are summed.

        Args:
            new_index: int64 [A] positions in ``feature_ids``, or -1.
            feature_ids: [A'] ids of the new features.
        """
        feature = new_index[self.data.indices]
        kept = feature >= 0
        indptr = np.concatenate([[0], np.cumsum(kept)])[self.data.indptr]
        counts = self.data.counts[kept].astype(self._sum_dtype())
        shape = (self.n_samples, len(feature_ids))
        rows = csr_matrix((counts, feature[kept].astype(np.int32), indptr), shape=shape)
        rows.sum_duplicates()  # sorts each row too
        table = table_from_rows(SampleCounts(rows.indptr, rows.indices, rows.data), self.sample_ids, feature_ids)
        file_rows = np.full(len(feature_ids), self.n_features, dtype=np.int64)
        before = np.arange(self.n_features) if self.file_rows is None else self.file_rows
        np.minimum.at(file_rows, new_index[new_index >= 0], before[new_index >= 0])
        return replace(table, file_rows=file_rows)

    def _sum_dtype(self) -> type:
        return np.int64 if self.is_integer else np.float64


def _storage_dtype(counts: np.ndarray) -> type:
    """int32 where reads fit, int64 where they do not, float64 for relative abundances."""
    if not np.issubdtype(counts.dtype, np.integer):
        return np.float64
    return np.int32 if len(counts) == 0 or counts.max() < 2**31 else np.int64


def stored_rows(data: SampleCounts) -> SampleCounts:
    """Rows that are sorted and hold no zeros, in the dtypes of a table.

    Counts that are whole numbers are stored as integers, exactly; anything else stays float64.
    """
    counts = data.counts
    if not np.issubdtype(counts.dtype, np.integer) and np.array_equal(counts, np.floor(counts)):
        counts = counts.astype(np.int64)
    return SampleCounts(
        data.indptr.astype(np.int64), data.indices.astype(np.int32), counts.astype(_storage_dtype(counts))
    )


def rows_from_triplets(sample: np.ndarray, feature: np.ndarray, counts: np.ndarray, n_samples: int) -> SampleCounts:
    """Rows from coordinates [Z] in any order; zeros are dropped. Stored as ``stored_rows`` does."""
    nonzero = counts != 0
    sample, feature, counts = sample[nonzero], feature[nonzero], counts[nonzero]
    order = np.lexsort((feature, sample))
    indptr = np.concatenate([[0], np.cumsum(np.bincount(sample, minlength=n_samples))])
    return stored_rows(SampleCounts(indptr, feature[order], counts[order]))


def table_from_rows(data: SampleCounts, sample_ids: np.ndarray, feature_ids: np.ndarray) -> CountTable:
    """A table from rows that are sorted and hold no zeros; see ``stored_rows``."""
    return CountTable(sample_ids, feature_ids, stored_rows(data))


def table_from_triplets(
    sample: np.ndarray,
    feature: np.ndarray,
    counts: np.ndarray,
    sample_ids: np.ndarray,
    feature_ids: np.ndarray,
) -> CountTable:
    """A table from coordinates [Z], which must be unique; see ``rows_from_triplets``."""
    return CountTable(sample_ids, feature_ids, rows_from_triplets(sample, feature, counts, len(sample_ids)))
