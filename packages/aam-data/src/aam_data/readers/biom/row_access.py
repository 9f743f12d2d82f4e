"""Samples of a BIOM 2.1 file read when they are asked for, so that a table need not fit into memory.

A compressed row of the by-sample half is a stretch of ``data`` and ``indices`` between two row pointers. Opening reads
the pointers alone; ids are read when they are first used. What is asked for is read in the order of the file, rows
near each other at once, and checked as in a table that is read whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from io import BytesIO
from pathlib import Path

import numpy as np

from aam_data.errors import DataError
from aam_data.readers.biom.checks import (
    cells_of,
    check_axis,
    check_counts,
    check_fractions,
    check_numbers,
    check_repeats,
)
from aam_data.readers.biom.hdf5 import (
    DATA,
    FEATURE_IDS,
    INDICES,
    INDPTR,
    SAMPLE_IDS,
    check_layout,
    read_pointers,
    sorted_rows,
)
from aam_data.readers.biom.table import table_payload
from aam_data.readers.qiime2 import is_artifact
from aam_data.readers.safe.hdf5 import CheckedHdf5, open_hdf5
from aam_data.readers.source import HDF5_MAGIC, byte_limit, first_bytes
from aam_data.table import CountTable, SampleCounts

_GAP = 4096  # entries between two rows that take less time to read than a further call of the library
_AT_ONCE = 1 << 20  # entries of one call, unless a single row has more


class BiomRows:
    """The samples of an open BIOM 2.1 file; made by ``open_biom_rows``.

    Attributes:
        n_samples, n_features: as ``read_table`` would give.
        n_counts: stored counts; zeros among them, if any, are left out of what is read.
    """

    def __init__(self, file: CheckedHdf5, path: Path, *, relative_abundance: bool) -> None:
        check_layout(file, path)
        self._file, self._path, self._relative_abundance = file, path, relative_abundance
        self.n_samples, self.n_features = file.length(SAMPLE_IDS), file.length(FEATURE_IDS)
        self.n_counts = file.length(DATA)
        self._indptr = read_pointers(file, INDPTR, self.n_samples, "sample", path)

    @cached_property
    def sample_ids(self) -> np.ndarray:
        """[B] str objects, unique; read and checked when they are first used."""
        return self._ids(SAMPLE_IDS, "sample")

    @cached_property
    def feature_ids(self) -> np.ndarray:
        """[A] str objects, unique; read and checked when they are first used."""
        return self._ids(FEATURE_IDS, "feature")

    def take_samples(self, rows: np.ndarray) -> CountTable:
        """The table of the samples ``rows`` (int64), in that order; all features."""
        return CountTable(self.sample_ids[rows], self.feature_ids, self.take_counts(rows))

    def take_counts(self, rows: np.ndarray) -> SampleCounts:
        """Counts of the samples ``rows`` (int64), in that order; memory grows with what is asked for alone.

        Whole numbers have an integer dtype; with ``relative_abundance`` all counts are float64.

        Raises:
            DataError: counts of these samples that ``read_table`` refuses.
        """
        read, place = np.unique(rows, return_inverse=True)
        found = self._read(read)

        def named(positions: np.ndarray) -> list[str]:
            return cells_of(CountTable(self.sample_ids[read], self.feature_ids, found), positions)

        check_counts(found.counts, named, self._path, DATA)
        found = sorted_rows(found)
        check_repeats(found, named, self._path, INDICES)
        if not self._relative_abundance:
            check_fractions(found.counts, named, self._path)
        taken = found.take(place)
        return taken._replace(counts=taken.counts.astype(np.float64)) if self._relative_abundance else taken

    def _read(self, rows: np.ndarray) -> SampleCounts:
        """Entries of ascending, distinct rows, as they are stored."""
        starts, stops = self._indptr[rows], self._indptr[rows + 1]
        indptr = np.concatenate([[0], np.cumsum(stops - starts)])
        indices, counts = np.empty(indptr[-1], dtype=np.int32), np.empty(indptr[-1])
        for first, last in _stretches(starts, stops):
            stretch = slice(int(starts[first]), int(stops[last - 1]))
            lengths = stops[first:last] - starts[first:last]
            target = slice(indptr[first], indptr[last])
            within = np.arange(target.stop - target.start) + np.repeat(
                starts[first:last] - stretch.start - (indptr[first:last] - target.start), lengths
            )
            numbers = self._file.numbers(INDICES, ndim=1, kinds="iu", rows=stretch)[within]
            check_numbers(numbers, self.n_features, "feature", self._path, INDICES)
            indices[target] = numbers
            counts[target] = self._file.numbers(DATA, ndim=1, kinds="iuf", rows=stretch)[within]
        return SampleCounts(indptr, indices, counts)

    def _ids(self, name: str, what: str) -> np.ndarray:
        ids = self._file.strings(name)
        check_axis(ids, what, self._path, name)
        return ids


@contextmanager
def open_biom_rows(path: Path, *, max_input_gb: float = 8.0, relative_abundance: bool = False) -> Iterator[BiomRows]:
    """Open a BIOM 2.1 file, to read any of its samples while the context lasts.

    Args:
        path: the file. An artifact is accepted too, but is inflated in memory, since a zip has no random access.
        max_input_gb: most content to accept.
        relative_abundance: accept fractions.

    Raises:
        DataError: not BIOM 2.1, or a file whose links, sizes or row pointers ``read_table`` refuses.
    """
    start, max_bytes = first_bytes(path, "--table"), byte_limit(max_input_gb)
    source: Path | BytesIO = path
    if is_artifact(path, start):
        payload = table_payload(path, max_bytes, relative_abundance=relative_abundance)
        source, start = BytesIO(payload), payload[: len(HDF5_MAGIC)]
    if not start.startswith(HDF5_MAGIC):
        remedy = f"Convert it: biom convert -i {path} -o {path.stem}.hdf5.biom --to-hdf5"
        raise DataError("not BIOM 2.1 (HDF5), whose samples can be read one by one", file=path, remedy=remedy)
    with open_hdf5(source, path, max_bytes) as file:
        yield BiomRows(file, path, relative_abundance=relative_abundance)


def _stretches(starts: np.ndarray, stops: np.ndarray) -> Iterator[tuple[int, int]]:
    """Ranges of rows, ``(first, last + 1)``, to read at once: near each other and not too many together."""
    first = 0
    for row in range(1, len(starts) + 1):
        if row == len(starts) or starts[row] - stops[row - 1] > _GAP or stops[row] - starts[first] > _AT_ONCE:
            yield first, row
            first = row
