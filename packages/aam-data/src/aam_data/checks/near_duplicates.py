"""Pairs of samples that are (nearly) the same community: replicates, or samples that were sequenced twice.

The limits were measured on the ibd study (Qiita 2538). None of 94,451 pairs of samples of two people is within both
limits, and 11 of 4,339 pairs of one person are. The reads of one sample, divided at random into a tenth and the rest,
nearly always are.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from scipy.sparse import csr_matrix

from aam_data.table import CountTable, Rows, SampleCounts, sums_of_parts

MAX_BRAY_CURTIS = 0.1
MAX_JACCARD = 0.5  # so that communities that share little but a dominant ASV do not count
MIN_ASVS = 10  # samples of fewer ASVs are similar by chance
_MAX_ENTRIES = (
    20_000_000  # non-zero counts of the known samples; about 16 bytes of memory each, twice while they are made
)
_MAX_ENTRIES_OF_FILES = 2_000_000  # the same of a corpus, which is to need little memory
_MAX_WORK = 500_000_000  # pairs of counts of one ASV compared; a few seconds


@dataclass(frozen=True)
class NearDuplicate:
    """A sample and the known sample nearest to it, by Bray-Curtis distance of relative abundances."""

    sample_id: str
    known_id: str
    bray_curtis: float


@dataclass(frozen=True)
class DuplicateSearch:
    """Near-duplicates, and the numbers of samples searched.

    Attributes:
        duplicates: one per sample that has any, nearest first; equal counts have distance 0.
        compared, n_samples: number of samples compared, and number of all samples.
        known, n_known: number of known samples compared with, and of all known samples. Samples with equal counts
            are found among all of them.
    """

    duplicates: tuple[NearDuplicate, ...]
    compared: int
    n_samples: int
    known: int
    n_known: int


def find_near_duplicates(table: CountTable, rows: np.ndarray, known_rows: np.ndarray) -> DuplicateSearch:
    """Find nearly equal samples among ``known_rows`` for the samples ``rows`` (int64 [S] and [R], disjoint).

    Nearly equal means a Bray-Curtis distance of relative abundances of at most 0.1 and a Jaccard distance of at most
    0.5; samples of fewer than 10 ASVs are ignored. Of large tables only every k-th sample is compared, so that the
    search takes seconds.
    """
    n_asvs = table.features_per_sample()
    rows, known_rows = rows[n_asvs[rows] >= MIN_ASVS], known_rows[n_asvs[known_rows] >= MIN_ASVS]
    nearest = _equal(table, rows, known_rows)
    in_memory = isinstance(table.rows, SampleCounts)
    most = _MAX_ENTRIES if in_memory else _MAX_ENTRIES_OF_FILES
    known = _thin(known_rows, np.cumsum(n_asvs[known_rows]), most)
    by_asv = _by_asv(table, known)
    n_known = np.diff(by_asv.indptr)
    work = sums_of_parts(table.rows, lambda part: n_known[part.indices], np.int64)[rows]
    compared = _thin(rows, np.cumsum(work), _MAX_WORK)
    for row in compared.tolist():
        distance, jaccard = _distances(table.rows, row, by_asv, n_asvs[known])
        distance = np.where(jaccard <= MAX_JACCARD, distance, np.inf)
        if len(known) and distance[best := int(distance.argmin())] <= MAX_BRAY_CURTIS:
            nearest.setdefault(row, (float(distance[best]), int(known[best])))
    ids = table.sample_ids
    duplicates = [NearDuplicate(ids[row], ids[other], distance) for row, (distance, other) in nearest.items()]
    duplicates.sort(key=lambda pair: (pair.bray_curtis, pair.sample_id))
    return DuplicateSearch(tuple(duplicates), len(compared), len(rows), len(known), len(known_rows))


def _equal(table: CountTable, rows: np.ndarray, known_rows: np.ndarray) -> dict[int, tuple[float, int]]:
    """Map rows whose counts equal those of a known sample to distance 0 and the first such row."""
    digests = _digests(table, np.concatenate([rows, known_rows]))
    known, first = np.unique(digests[known_rows], return_index=True)
    if len(known) == 0:
        return {}
    place = np.minimum(np.searchsorted(known, digests[rows]), len(known) - 1)
    pairs = [(rows[i], known_rows[first[place[i]]]) for i in np.flatnonzero(known[place] == digests[rows]).tolist()]
    return {
        int(row): (0.0, int(other))
        for row, other in pairs
        if all(map(np.array_equal, table.rows.row(int(row)), table.rows.row(int(other))))
    }


def _digests(table: CountTable, rows: np.ndarray) -> np.ndarray:
    """Return a hash of the counts of each sample, uint64 [B]; 0 for samples that are not among ``rows``."""
    digests, wanted = np.zeros(table.n_samples, dtype=np.uint64), np.zeros(table.n_samples, dtype=bool)
    wanted[rows] = True
    for some, part in table.rows.parts():
        for row in np.flatnonzero(wanted[some]).tolist():
            features, counts = part.row(row)
            digest = blake2b(features.tobytes() + counts.tobytes(), digest_size=8).digest()
            digests[some.start + row] = int.from_bytes(digest, "little")
    return digests


def _thin(rows: np.ndarray, costs: np.ndarray, max_cost: int) -> np.ndarray:
    """Take every k-th row, so that the sum of the costs (passed as running sums) stays near ``max_cost``."""
    return rows[:: -(-int(costs[-1]) // max_cost)] if len(rows) and costs[-1] > 0 else rows


def _by_asv(table: CountTable, rows: np.ndarray) -> SampleCounts:
    """Transpose the relative abundances of ``rows``: for each feature, the rows that have it and their values."""
    counts = table.take_counts(rows)
    shape = (len(rows), table.n_features)
    matrix = csr_matrix((_shares(counts), counts.indices, counts.indptr), shape=shape).tocsc()
    return SampleCounts(matrix.indptr, matrix.indices, matrix.data)


def _shares(counts: SampleCounts) -> np.ndarray:
    lengths = np.diff(counts.indptr)
    sample = np.repeat(np.arange(len(lengths)), lengths)
    depth = np.bincount(sample, weights=counts.counts, minlength=len(lengths))
    return counts.counts / depth[sample]


def _distances(data: Rows, row: int, by_asv: SampleCounts, n_asvs_known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute Bray-Curtis and Jaccard distances of one sample to the R known samples, float64 [R] each."""
    features, counts = data.row(row)
    start, lengths = by_asv.indptr[features], by_asv.indptr[features + 1] - by_asv.indptr[features]
    first = np.cumsum(lengths) - lengths
    gather = np.arange(lengths.sum()) + np.repeat(start - first, lengths)
    known, n_known = by_asv.indices[gather], len(n_asvs_known)
    lesser = np.minimum(by_asv.counts[gather], np.repeat(counts / counts.sum(), lengths))
    in_common = np.bincount(known, minlength=n_known)
    bray_curtis = np.maximum(0, 1 - np.bincount(known, weights=lesser, minlength=n_known))  # rounding
    return bray_curtis, 1 - in_common / (len(features) + n_asvs_known - in_common)
