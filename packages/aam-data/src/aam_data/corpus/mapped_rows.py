"""Counts of all samples of a corpus, read from the files of its studies when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from aam_data.corpus.arrays import ArrayFile
from aam_data.table import SampleCounts


@dataclass(frozen=True, eq=False)
class Shard:
    """The counts of one study.

    Attributes:
        indptr: int64 [B + 1], in memory.
        indices: int32 [Z] numbers of the study's ASVs, ascending within a sample.
        counts: [Z] reads.
        members: int32, number of each of the study's ASVs in the corpus, ascending: so rows stay ascending.
        depths: int64 [B] reads per sample.
    """

    indptr: np.ndarray
    indices: ArrayFile
    counts: ArrayFile
    members: np.ndarray
    depths: np.ndarray

    def take(self, rows: np.ndarray) -> SampleCounts:
        """Return the samples ``rows`` of the study, by ASVs of the corpus."""
        starts, stops = self.indptr[rows], self.indptr[rows + 1]
        indptr = np.concatenate([[0], np.cumsum(stops - starts)])
        return SampleCounts(indptr, self.members[self.indices.read(starts, stops)], self.counts.read(starts, stops))

    def parts(self) -> Iterator[tuple[slice, SampleCounts]]:
        """See `aam_data.table.Rows`."""
        indices, counts = self.indices.map(), self.counts.map()
        for rows, part in SampleCounts(self.indptr, indices.values, counts.values).parts():
            yield rows, part._replace(indices=self.members[part.indices])
            indices.touch(part.indices.nbytes)
            counts.touch(part.counts.nbytes)


class MappedRows:
    """Counts of the samples of several studies, one study after the other; see `aam_data.table.Rows`.

    Args:
        shards: the studies, at least one.
    """

    def __init__(self, shards: tuple[Shard, ...]) -> None:
        self.shards = shards
        sizes = [len(shard.indptr) - 1 for shard in shards]
        self.firsts = np.concatenate([[0], np.cumsum(sizes)])
        starts = np.concatenate([[0], np.cumsum([shard.indptr[-1] for shard in shards])])
        ends = [shard.indptr[1:] + start for shard, start in zip(shards, starts[:-1], strict=True)]
        self.indptr = np.concatenate([np.zeros(1, dtype=np.int64), *ends])
        self.dtype = np.result_type(*(shard.counts.dtype for shard in shards))
        self._totals = np.concatenate([shard.depths for shard in shards])

    def study_of(self, rows: np.ndarray) -> np.ndarray:
        """Return the position of the study of each row, int64."""
        return np.searchsorted(self.firsts, rows, side="right") - 1

    def row(self, sample: int) -> tuple[np.ndarray, np.ndarray]:
        """See `aam_data.table.Rows`."""
        taken = self.take(np.array([sample]))
        return taken.indices, taken.counts

    def take(self, rows: np.ndarray) -> SampleCounts:
        """See `aam_data.table.Rows`."""
        studies = self.study_of(rows)
        present = np.unique(studies)
        if len(present) == 1:
            taken = self.shards[present[0]].take(rows - self.firsts[present[0]])
            return taken._replace(counts=taken.counts.astype(self.dtype, copy=False))
        indptr = np.concatenate([[0], np.cumsum(self.indptr[rows + 1] - self.indptr[rows])])
        indices, counts = np.empty(indptr[-1], dtype=np.int32), np.empty(indptr[-1], dtype=self.dtype)
        for study in present:
            chosen = np.flatnonzero(studies == study)
            taken = self.shards[study].take(rows[chosen] - self.firsts[study])
            places = np.repeat(indptr[chosen] - taken.indptr[:-1], np.diff(taken.indptr))
            places += np.arange(len(taken.indices))
            indices[places], counts[places] = taken.indices, taken.counts
        return SampleCounts(indptr, indices, counts)

    def parts(self) -> Iterator[tuple[slice, SampleCounts]]:
        """See `aam_data.table.Rows`."""
        for first, shard in zip(self.firsts, self.shards, strict=False):
            for rows, part in shard.parts():
                counts = part.counts.astype(self.dtype, copy=False)
                yield slice(int(first) + rows.start, int(first) + rows.stop), part._replace(counts=counts)

    def totals(self) -> np.ndarray:
        """See `aam_data.table.Rows`; from the files, without reading the counts."""
        return self._totals
