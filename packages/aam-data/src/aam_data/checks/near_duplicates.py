"""Pairs of samples that are (nearly) the same community: replicates, or samples that were sequenced twice.

The limits rest on the ibd study (Qiita 2538): of 94,451 pairs of samples of two people none is within both, of 4,339
pairs of one person 11 are, and the reads of one sample, divided at random into a tenth and the rest, nearly always.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from scipy.sparse import csr_matrix

from aam_data.table import CountTable, SampleCounts

MOST_BRAY_CURTIS = 0.1
MOST_JACCARD = 0.5  # so that communities which share little but a dominant ASV do not count
FEWEST_ASVS = 10  # samples of fewer ASVs are alike by chance
_MOST_ENTRIES = 20_000_000  # non-zero counts of the samples compared with; their memory is about 16 bytes each
_MOST_WORK = 500_000_000  # pairs of counts of one ASV looked at; a few seconds


@dataclass(frozen=True)
class Twin:
    """A sample and the known sample that is nearest to it, by Bray-Curtis distance of relative abundances."""

    sample_id: str
    known_id: str
    bray_curtis: float


@dataclass(frozen=True)
class TwinSearch:
    """What was found, and among how many.

    Attributes:
        twins: of samples that have one, nearest first; equal counts have distance 0.
        compared, of: samples compared, and how many there were.
        known, of_known: samples they were compared with, and how many there were. Samples with equal counts are
            found among all of them.
    """

    twins: tuple[Twin, ...]
    compared: int
    of: int
    known: int
    of_known: int


def find_twins(table: CountTable, rows: np.ndarray, known_rows: np.ndarray) -> TwinSearch:
    """For samples ``rows``, nearly equal ones among ``known_rows`` (int64 [R] and [S], disjoint).

    Nearly equal means a Bray-Curtis distance of relative abundances of at most 0.1 and a Jaccard distance of at most
    0.5; samples of fewer than 10 ASVs are not looked at. Big tables are compared in part (every k-th sample), so that
    it takes seconds.
    """
    n_asvs = table.features_per_sample()
    rows, known_rows = rows[n_asvs[rows] >= FEWEST_ASVS], known_rows[n_asvs[known_rows] >= FEWEST_ASVS]
    found = _equal(table, rows, known_rows)
    known = _thin(known_rows, np.cumsum(n_asvs[known_rows]), _MOST_ENTRIES)
    by_asv = _by_asv(table, known)
    n_known = np.diff(by_asv.indptr)
    work = [int(n_known[table.data.row(row)[0]].sum()) for row in rows.tolist()]
    compared = _thin(rows, np.cumsum(work), _MOST_WORK)
    for row in compared.tolist():
        distance, jaccard = _distances(table.data, row, by_asv, n_asvs[known])
        distance = np.where(jaccard <= MOST_JACCARD, distance, np.inf)
        if len(known) and distance[best := int(distance.argmin())] <= MOST_BRAY_CURTIS:
            found.setdefault(row, (float(distance[best]), int(known[best])))
    ids = table.sample_ids
    twins = [Twin(ids[row], ids[other], distance) for row, (distance, other) in found.items()]
    twins.sort(key=lambda twin: (twin.bray_curtis, twin.sample_id))
    return TwinSearch(tuple(twins), len(compared), len(rows), len(known), len(known_rows))


def _equal(table: CountTable, rows: np.ndarray, known_rows: np.ndarray) -> dict[int, tuple[float, int]]:
    """Distance 0 and the known row, for rows whose counts are those of a known sample."""

    def digest(row: int) -> bytes:
        features, counts = table.data.row(row)
        return blake2b(features.tobytes() + counts.tobytes(), digest_size=16).digest()

    row_of = {digest(row): row for row in known_rows.tolist()[::-1]}
    digests = ((row, digest(row)) for row in rows.tolist())
    return {row: (0.0, row_of[key]) for row, key in digests if key in row_of}


def _thin(rows: np.ndarray, costs: np.ndarray, most: int) -> np.ndarray:
    """Every k-th row, so that the sum of the costs (given as running sums) stays near ``most``."""
    return rows[:: -(-int(costs[-1]) // most)] if len(rows) and costs[-1] > 0 else rows


def _by_asv(table: CountTable, rows: np.ndarray) -> SampleCounts:
    """Relative abundances of ``rows`` by feature: entry i of feature j says in which of the rows it is."""
    counts = table.take_counts(rows)
    shape = (len(rows), table.n_features)
    matrix = csr_matrix((_shares(counts), counts.indices, counts.indptr), shape=shape).tocsc()
    return SampleCounts(matrix.indptr, matrix.indices, matrix.data)


def _shares(counts: SampleCounts) -> np.ndarray:
    lengths = np.diff(counts.indptr)
    sample = np.repeat(np.arange(len(lengths)), lengths)
    depth = np.bincount(sample, weights=counts.counts, minlength=len(lengths))
    return counts.counts / depth[sample]


def _distances(
    data: SampleCounts, row: int, by_asv: SampleCounts, n_asvs_known: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Bray-Curtis and Jaccard distances of one sample to the S known ones, float64 [S] each."""
    features, counts = data.row(row)
    start, lengths = by_asv.indptr[features], by_asv.indptr[features + 1] - by_asv.indptr[features]
    first = np.cumsum(lengths) - lengths
    gather = np.arange(lengths.sum()) + np.repeat(start - first, lengths)
    known, n_known = by_asv.indices[gather], len(n_asvs_known)
    lesser = np.minimum(by_asv.counts[gather], np.repeat(counts / counts.sum(), lengths))
    in_common = np.bincount(known, minlength=n_known)
    bray_curtis = 1 - np.bincount(known, weights=lesser, minlength=n_known)
    return bray_curtis, 1 - in_common / (len(features) + n_asvs_known - in_common)
