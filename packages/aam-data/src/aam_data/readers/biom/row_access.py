"""Random access to the samples of a BIOM 2.1 file, for tables that do not fit into memory.

A compressed row of the by-sample half is a range of ``data`` and ``indices`` between two row pointers. Opening a file
reads only the pointers; ids are read when they are first used. Requested samples are read in the order of the file,
neighbouring rows at once, and checked as in a table that is read whole.
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

_MAX_GAP = 4096  # entries between two rows that take less time to read than another call of the library
_MAX_ENTRIES = 1 << 20  # read by one call, unless a single row has more


class BiomRows:
    """Samples of an open BIOM 2.1 file, from ``open_biom_rows``.

    Attributes:
        n_samples, n_features: size of the table.
        n_counts: number of stored counts; stored zeros, if any, are dropped when they are read.
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
        """Read the table of the samples ``rows`` (int64), in that order, with all features."""
        return CountTable(self.sample_ids[rows], self.feature_ids, self.take_counts(rows))

    def take_counts(self, rows: np.ndarray) -> SampleCounts:
        """Read the counts of the samples ``rows`` (int64), in that order; memory grows only with the number requested.

        Whole numbers have an integer dtype; with ``relative_abundance`` all counts are float64.

        Raises:
            DataError: counts of these samples that ``read_table`` rejects.
        """
        unique_rows, order = np.unique(rows, return_inverse=True)
        counts = self._read(unique_rows)

        def named(positions: np.ndarray) -> list[str]:
            return cells_of(CountTable(self.sample_ids[unique_rows], self.feature_ids, counts), positions)

        check_counts(counts.counts, named, self._path, DATA)
        counts = sorted_rows(counts)
        check_repeats(counts, named, self._path, INDICES)
        if not self._relative_abundance:
            check_fractions(counts.counts, named, self._path)
        taken = counts.take(order)
        return taken._replace(counts=taken.counts.astype(np.float64)) if self._relative_abundance else taken

    def _read(self, rows: np.ndarray) -> SampleCounts:
        """Read the entries of ascending, distinct rows as they are stored."""
        starts, stops = self._indptr[rows], self._indptr[rows + 1]
        indptr = np.concatenate([[0], np.cumsum(stops - starts)])
        indices, counts = np.empty(indptr[-1], dtype=np.int32), np.empty(indptr[-1])
        for first, last in _row_ranges(starts, stops):
            entries = slice(int(starts[first]), int(stops[last - 1]))
            lengths = stops[first:last] - starts[first:last]
            target = slice(indptr[first], indptr[last])
            within = np.arange(target.stop - target.start) + np.repeat(
                starts[first:last] - entries.start - (indptr[first:last] - target.start), lengths
            )
            numbers = self._file.numbers(INDICES, ndim=1, kinds="iu", rows=entries)[within]
            check_numbers(numbers, self.n_features, "feature", self._path, INDICES)
            indices[target] = numbers
            counts[target] = self._file.numbers(DATA, ndim=1, kinds="iuf", rows=entries)[within]
        return SampleCounts(indptr, indices, counts)

    def _ids(self, name: str, what: str) -> np.ndarray:
        ids = self._file.strings(name)
        check_axis(ids, what, self._path, name)
        return ids


@contextmanager
def open_biom_rows(path: Path, *, max_input_gb: float = 8.0, relative_abundance: bool = False) -> Iterator[BiomRows]:
    """Open a BIOM 2.1 file to read any of its samples inside the context.

    Args:
        path: the file. An artifact is accepted too, but is inflated in memory, since a zip has no random access.
        max_input_gb: maximum size of the content.
        relative_abundance: accept fractions.

    Yields:
        The samples of the file.

    Raises:
        DataError: not BIOM 2.1, or a file whose links, sizes or row pointers ``read_table`` rejects.

    Example:
        >>> with open_biom_rows(Path("table.biom")) as file:
        ...     first = file.take_samples(np.arange(100))
    """
    start, max_bytes = first_bytes(path, "--table"), byte_limit(max_input_gb)
    source: Path | BytesIO = path
    if is_artifact(path, start):
        payload = table_payload(path, max_bytes, relative_abundance=relative_abundance)
        source, start = BytesIO(payload), payload[: len(HDF5_MAGIC)]
    if not start.startswith(HDF5_MAGIC):
        remedy = f"Convert it: biom convert -i {path} -o {path.stem}.hdf5.biom --to-hdf5"
        raise DataError(
            "not BIOM 2.1 (HDF5), whose samples can be read one by one", code="table-not-hdf5", file=path, remedy=remedy
        )
    with open_hdf5(source, path, max_bytes) as file:
        yield BiomRows(file, path, relative_abundance=relative_abundance)


def _row_ranges(starts: np.ndarray, stops: np.ndarray) -> Iterator[tuple[int, int]]:
    """Split rows into ranges ``(first, last + 1)`` to read at once: close together and not too many."""
    first = 0
    for row in range(1, len(starts) + 1):
        if row == len(starts) or starts[row] - stops[row - 1] > _MAX_GAP or stops[row] - starts[first] > _MAX_ENTRIES:
            yield first, row
            first = row
