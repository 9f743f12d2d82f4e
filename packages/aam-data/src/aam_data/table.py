"""Table of counts as compressed rows: one row per sample, never dense, no Python object per sample."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from scipy.sparse import csr_matrix

_MAX_ENTRIES = 1 << 21  # processed together: numpy's temporaries take several times 8 bytes per entry


class Rows(Protocol):
    """Counts of B samples, in memory (`SampleCounts`) or in files that are mapped to memory."""

    @property
    def indptr(self) -> np.ndarray:
        """int64 [B + 1]: sample b has ``indptr[b + 1] - indptr[b]`` features."""
        ...

    @property
    def dtype(self) -> np.dtype:
        """Type of the counts."""
        ...

    def row(self, sample: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the feature numbers and counts of one sample."""
        ...

    def take(self, rows: np.ndarray) -> SampleCounts:
        """Return the samples ``rows``, in that order."""
        ...

    def parts(self) -> Iterator[tuple[slice, SampleCounts]]:
        """Iterate over ranges of consecutive samples and their counts."""
        ...

    def totals(self) -> np.ndarray:
        """Return the summed counts of each sample, int64 or float64 [B]."""
        ...


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

    @property
    def dtype(self) -> np.dtype:
        """Type of the counts."""
        return self.counts.dtype

    def row(self, sample: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the feature numbers and counts of one sample."""
        entries = slice(self.indptr[sample], self.indptr[sample + 1])
        return self.indices[entries], self.counts[entries]

    def take(self, rows: np.ndarray) -> SampleCounts:
        """Return the samples ``rows``, in that order."""
        lengths = self.indptr[rows + 1] - self.indptr[rows]
        indptr = np.concatenate([[0], np.cumsum(lengths)])
        if indptr[-1] <= _MAX_ENTRIES:
            return SampleCounts(indptr, *self._entries(rows, indptr))
        indices, counts = (np.empty(indptr[-1], values.dtype) for values in (self.indices, self.counts))
        for part in _row_ranges(indptr):
            target = slice(indptr[part.start], indptr[part.stop])
            within = indptr[part.start : part.stop + 1] - target.start
            indices[target], counts[target] = self._entries(rows[part], within)
        return SampleCounts(indptr, indices, counts)

    def _entries(self, rows: np.ndarray, indptr: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        entries = np.arange(indptr[-1]) + np.repeat(self.indptr[rows] - indptr[:-1], np.diff(indptr))
        return self.indices[entries], self.counts[entries]

    def parts(self) -> Iterator[tuple[slice, SampleCounts]]:
        """Iterate over ranges of consecutive samples and their counts, which are not copied."""
        for rows in _row_ranges(self.indptr):
            entries = slice(self.indptr[rows.start], self.indptr[rows.stop])
            indptr = self.indptr[rows.start : rows.stop + 1] - entries.start
            yield rows, SampleCounts(indptr, self.indices[entries], self.counts[entries])

    def totals(self) -> np.ndarray:
        """Return the summed counts of each sample, int64 or float64 [B]."""
        return sums_of_parts(self, lambda part: part.counts, sum_dtype(self.dtype))


def sum_dtype(dtype: np.dtype) -> type:
    """Return the type in which counts of this type are added up."""
    return np.int64 if np.issubdtype(dtype, np.integer) else np.float64


def sums_of_parts(rows: Rows, values: Callable[[SampleCounts], np.ndarray], dtype: type) -> np.ndarray:
    """Add up one value for each entry (``values`` returns those of some samples) by sample, [B]."""
    sums: np.ndarray = np.zeros(len(rows.indptr) - 1, dtype=dtype)
    for some, part in rows.parts():
        filled = np.flatnonzero(np.diff(part.indptr))
        if len(filled):
            sums[some.start + filled] = np.add.reduceat(values(part), part.indptr[filled], dtype=dtype)
    return sums


def _row_ranges(indptr: np.ndarray) -> Iterator[slice]:
    """Split samples into ranges of at most ``_MAX_ENTRIES`` entries, or of a single sample."""
    start, n_samples = 0, len(indptr) - 1
    while start < n_samples:
        stop = max(start + 1, int(np.searchsorted(indptr, indptr[start] + _MAX_ENTRIES, side="right")) - 1)
        yield slice(start, stop)
        start = stop


@dataclass(frozen=True, eq=False)
class CountTable:
    """Counts of samples by features. Rows are sorted by feature number and contain no zeros.

    Attributes:
        sample_ids: [B] str objects, unique.
        feature_ids: [A] str objects, unique.
        rows: counts of all samples; integer dtype for reads, float64 for relative abundances.
        file_rows: int64 [A] position of each feature in the file (of the first, where several were merged); None if
            the features are as in the file.
    """

    sample_ids: np.ndarray
    feature_ids: np.ndarray
    rows: Rows
    file_rows: np.ndarray | None = None

    @property
    def data(self) -> SampleCounts:
        """The counts of all samples in memory; those in files are read."""
        rows = self.rows
        return rows if isinstance(rows, SampleCounts) else rows.take(np.arange(self.n_samples))

    @property
    def n_samples(self) -> int:
        return len(self.sample_ids)

    @property
    def n_features(self) -> int:
        return len(self.feature_ids)

    @property
    def is_integer(self) -> bool:
        """True if the table counts reads, and so can be rarefied."""
        return bool(np.issubdtype(self.rows.dtype, np.integer))

    def depths(self) -> np.ndarray:
        """Return the reads per sample, [B]."""
        return self.rows.totals()

    def reads_in(self, features: np.ndarray) -> np.ndarray:
        """Return the reads per sample of ``features`` (bool [A]), [B]."""
        return sums_of_parts(self.rows, lambda part: part.counts * features[part.indices], self._sum_dtype())

    def number_of(self, features: np.ndarray) -> np.ndarray:
        """Count the ``features`` (bool [A]) that each sample has, int64 [B]."""
        return sums_of_parts(self.rows, lambda part: features[part.indices], np.int64)

    def reads_per_feature(self, rows: np.ndarray | None = None) -> np.ndarray:
        """Return the reads of each feature in the samples ``rows``, in all by default, float64 [A]."""
        chosen = np.ones(self.n_samples, dtype=bool) if rows is None else np.zeros(self.n_samples, dtype=bool)
        if rows is not None:
            chosen[rows] = True
        reads = np.zeros(self.n_features)
        for some, part in self.rows.parts():
            counts = part.counts if rows is None else part.counts * np.repeat(chosen[some], np.diff(part.indptr))
            reads += np.bincount(part.indices, weights=counts, minlength=self.n_features)
        return reads

    def samples_per_feature(self) -> np.ndarray:
        """Count the samples that have each feature, int64 [A]."""
        n_samples = np.zeros(self.n_features, dtype=np.int64)
        for _, part in self.rows.parts():
            n_samples += np.bincount(part.indices, minlength=self.n_features)
        return n_samples

    def observed_in(self, rows: np.ndarray) -> np.ndarray:
        """Return the features that any of the samples ``rows`` has, int64, ascending."""
        chosen, observed = np.zeros(self.n_samples, dtype=bool), np.zeros(self.n_features, dtype=bool)
        chosen[rows] = True
        for some, part in self.rows.parts():
            observed[part.indices[np.repeat(chosen[some], np.diff(part.indptr))]] = True
        return np.flatnonzero(observed)

    def features_per_sample(self) -> np.ndarray:
        """Count the features observed in each sample, int64 [B]."""
        return np.diff(self.rows.indptr)

    def take_counts(self, rows: np.ndarray) -> SampleCounts:
        """Return the counts of the samples ``rows``, in that order."""
        return self.rows.take(rows)

    def take_samples(self, rows: np.ndarray) -> CountTable:
        """Return the table of the samples ``rows``, in that order; features stay as they are."""
        rows = np.asarray(rows, dtype=np.int64)
        return CountTable(self.sample_ids[rows], self.feature_ids, self.take_counts(rows), self.file_rows)

    def regroup_features(self, new_index: np.ndarray, feature_ids: np.ndarray) -> CountTable:
        """Renumber features: feature j becomes ``new_index[j]``; -1 drops it, equal numbers are summed.

        Args:
            new_index: int64 [A] positions in ``feature_ids``, or -1.
            feature_ids: [A'] ids of the new features.
        """
        data = self._regrouped(new_index.astype(np.int32), len(feature_ids))
        file_rows = np.full(len(feature_ids), self.n_features, dtype=np.int64)
        before = np.arange(self.n_features) if self.file_rows is None else self.file_rows
        np.minimum.at(file_rows, new_index[new_index >= 0], before[new_index >= 0])
        return CountTable(self.sample_ids, feature_ids, data, file_rows)

    def _regrouped(self, new_index: np.ndarray, n_features: int) -> SampleCounts:
        """Regroup some samples at a time, so that little memory is needed besides the old and the new counts."""
        indptr = np.zeros(self.n_samples + 1, dtype=np.int64)
        data = self.data
        indices, counts = (np.empty(len(values), values.dtype) for values in (data.indices, data.counts))
        for samples, part in data.parts():
            feature = new_index[part.indices]
            kept = feature >= 0
            kept_before = np.concatenate([[0], np.cumsum(kept)])
            entries = part.counts[kept].astype(self._sum_dtype()), feature[kept], kept_before[part.indptr]
            rows = csr_matrix(entries, shape=(part.n_samples, n_features))
            rows.sum_duplicates()  # sorts each row too
            start = indptr[samples.start]
            indptr[samples.start + 1 : samples.stop + 1] = start + rows.indptr[1:]
            if _storage_dtype(rows.data) == np.int64 and counts.dtype == np.int32:  # sums of reads beyond 2^31
                counts = counts.astype(np.int64)
            target = slice(start, start + len(rows.indices))
            indices[target], counts[target] = rows.indices, rows.data
        n_entries = indptr[-1]
        if n_entries < len(indices):
            indices, counts = indices[:n_entries].copy(), counts[:n_entries].copy()
        return stored_rows(SampleCounts(indptr, indices, counts))

    def _sum_dtype(self) -> type:
        return sum_dtype(self.rows.dtype)


def _storage_dtype(counts: np.ndarray) -> type:
    """Return int32 if the reads fit, int64 if they do not, and float64 for relative abundances."""
    if not np.issubdtype(counts.dtype, np.integer):
        return np.float64
    return np.int32 if len(counts) == 0 or counts.max() < 2**31 else np.int64


def stored_rows(data: SampleCounts) -> SampleCounts:
    """Convert rows that are sorted and contain no zeros to the dtypes of a table.

    Counts that are whole numbers are stored as integers, exactly; anything else stays float64.
    """
    counts = data.counts
    if not np.issubdtype(counts.dtype, np.integer) and np.array_equal(counts, np.floor(counts)):
        counts = counts.astype(np.int64)
    types = zip((data.indptr, data.indices, counts), (np.int64, np.int32, _storage_dtype(counts)), strict=True)
    return SampleCounts(*(values.astype(dtype, copy=False) for values, dtype in types))


def rows_from_triplets(sample: np.ndarray, feature: np.ndarray, counts: np.ndarray, n_samples: int) -> SampleCounts:
    """Build rows from coordinates [Z] in any order, without zeros, in the dtypes of ``stored_rows``."""
    nonzero = counts != 0
    sample, feature, counts = sample[nonzero], feature[nonzero], counts[nonzero]
    order = np.lexsort((feature, sample))
    indptr = np.concatenate([[0], np.cumsum(np.bincount(sample, minlength=n_samples))])
    return stored_rows(SampleCounts(indptr, feature[order], counts[order]))


def table_from_rows(data: SampleCounts, sample_ids: np.ndarray, feature_ids: np.ndarray) -> CountTable:
    """Build a table from rows that are sorted and contain no zeros; see ``stored_rows``."""
    return CountTable(sample_ids, feature_ids, stored_rows(data))


def table_from_triplets(
    sample: np.ndarray,
    feature: np.ndarray,
    counts: np.ndarray,
    sample_ids: np.ndarray,
    feature_ids: np.ndarray,
) -> CountTable:
    """Build a table from coordinates [Z], which must be unique; see ``rows_from_triplets``."""
    return CountTable(sample_ids, feature_ids, rows_from_triplets(sample, feature, counts, len(sample_ids)))
