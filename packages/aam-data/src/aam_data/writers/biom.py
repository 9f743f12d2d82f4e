"""Streaming writer of BIOM 2.1 files: memory does not grow with the number of samples.

Format: http://biom-format.org/documentation/format_versions/biom-2.1.html. A file contains the counts twice, by
sample and by feature. Samples are spooled to a temporary file next to the target; at the end each half is written from
it, the second one in passes over the spool, one range of features per pass.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import h5py
import numpy as np
from scipy.sparse import csr_matrix

from aam_data.table import SampleCounts
from aam_data.writers.hdf5 import new_hdf5

CHUNK = 8192  # entries; a sample spans one or two chunks, so larger ones make reading single samples slow
PASS_ENTRIES = 16_000_000  # counts transposed at once, about 0.5 GB
SPOOL_BLOCK = 2_000_000  # counts of the spool read at once
_CREATED = "2000-01-01T00:00:00"  # constant, so that equal tables are equal files
_STORED = {"chunks": True, "compression": "gzip", "compression_opts": 1, "shuffle": True}


class BiomWriter:
    """Writer of a table from consecutive blocks of samples.

    A context manager; ``finish`` completes the file. The table must have at least one sample and one read.

    Args:
        path: the file to write.
        n_features: number of features that blocks may refer to; those without a read are left out of the file.
    """

    def __init__(self, path: Path, n_features: int) -> None:
        self._path = path
        self._spool = tempfile.TemporaryFile(dir=path.parent)  # noqa: SIM115 - closed by __exit__
        self._lengths: list[np.ndarray] = []
        self._by_feature = np.zeros(n_features, dtype=np.int64)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._spool.close()

    def append(self, rows: SampleCounts) -> None:
        """Add samples; counts below 2^31."""
        entries = np.empty((len(rows.indices), 2), dtype=np.int32)
        entries[:, 0], entries[:, 1] = rows.indices, rows.counts
        self._spool.write(entries.data)
        self._lengths.append(np.diff(rows.indptr))
        self._by_feature += np.bincount(rows.indices, minlength=len(self._by_feature))

    def finish(self, sample_ids: Iterable[np.ndarray], feature_ids: np.ndarray) -> int:
        """Write the file and return the number of its features.

        Args:
            sample_ids: ids of the samples in order, as str arrays of any length.
            feature_ids: [n_features] str.
        """
        kept = self._by_feature > 0
        self._number = (np.cumsum(kept) - 1).astype(np.int32)
        by_sample = _pointers(np.concatenate(self._lengths))
        by_feature = _pointers(self._by_feature[kept])
        n_samples, n_features, n_entries = len(by_sample) - 1, len(by_feature) - 1, int(by_sample[-1])
        with new_hdf5(self._path) as file:
            file.attrs["id"] = "No Table ID"
            file.attrs["type"] = "OTU table"
            file.attrs["format-url"] = "http://biom-format.org"
            file.attrs["format-version"] = (2, 1)
            file.attrs["generated-by"] = "aam-data"
            file.attrs["creation-date"] = _CREATED
            file.attrs["shape"] = (n_features, n_samples)
            file.attrs["nnz"] = n_entries
            observation, sample = file.create_group("observation"), file.create_group("sample")
            _write_half(observation, [feature_ids[kept]], by_feature, self._transposed(by_sample, by_feature))
            _write_half(sample, sample_ids, by_sample, ((feature, counts) for _, feature, counts in self._blocks()))
        return n_features

    def _blocks(self) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """Read the spool: number of the first entry, feature numbers of the file and counts of each block."""
        first = 0
        self._spool.seek(0)
        while content := self._spool.read(8 * SPOOL_BLOCK):
            entries = np.frombuffer(content, dtype=np.int32).reshape(-1, 2)
            yield first, self._number[entries[:, 0]], entries[:, 1]
            first += len(entries)

    def _transposed(self, by_sample: np.ndarray, by_feature: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield sample numbers and counts, ordered by feature, then sample, for one range of features at a time."""
        n_features, n_samples = len(by_feature) - 1, len(by_sample) - 1
        low = 0
        while low < n_features:
            fitting = int(np.searchsorted(by_feature, by_feature[low] + PASS_ENTRIES, side="right")) - 1
            high = max(low + 1, fitting)
            parts = []
            for first, feature, counts in self._blocks():
                inside = np.flatnonzero((feature >= low) & (feature < high))
                sample = _owners(by_sample, first, len(feature))[inside]
                parts.append((feature[inside] - np.int32(low), sample, counts[inside]))
            row, column, value = (np.concatenate(part) for part in zip(*parts, strict=True))
            rows = csr_matrix((value, (row, column)), shape=(high - low, n_samples))
            yield rows.indices, rows.data
            low = high


def _pointers(lengths: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(lengths)])


def _owners(indptr: np.ndarray, first: int, count: int) -> np.ndarray:
    """Return the row of each of the entries ``first`` to ``first + count``, int32 [count]."""
    start = int(np.searchsorted(indptr, first, side="right")) - 1
    end = int(np.searchsorted(indptr, first + count, side="left"))
    lengths = np.diff(np.clip(indptr[start : end + 1], first, first + count))
    return np.repeat(np.arange(start, end, dtype=np.int32), lengths)


def _write_half(
    group: h5py.Group, ids: Iterable[np.ndarray], indptr: np.ndarray, parts: Iterable[tuple[np.ndarray, np.ndarray]]
) -> None:
    """Write one half of the file: ids, and ``parts`` of (indices, counts) one after another."""
    group.create_group("metadata")
    group.create_group("group-metadata")
    matrix = group.create_group("matrix")
    n_entries = int(indptr[-1])
    chunks = _STORED | {"chunks": (min(CHUNK, n_entries),)}
    data = matrix.create_dataset("data", shape=(n_entries,), dtype=np.float64, **chunks)
    indices = matrix.create_dataset("indices", shape=(n_entries,), dtype=np.int32, **chunks)
    position = 0
    for numbers, counts in parts:
        target = slice(position, position + len(numbers))
        data[target], indices[target] = counts, numbers
        position = target.stop
    pointer = np.int32 if n_entries < 2**31 else np.int64
    matrix.create_dataset("indptr", data=indptr.astype(pointer), **_STORED)
    names = group.create_dataset("ids", shape=(len(indptr) - 1,), dtype=h5py.string_dtype("utf-8"), **_STORED)
    position = 0
    for part in ids:
        names[position : position + len(part)] = part
        position += len(part)
