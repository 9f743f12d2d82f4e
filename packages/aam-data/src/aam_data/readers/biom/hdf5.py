"""BIOM 2.1 tables: HDF5.

Format: http://biom-format.org/documentation/format_versions/biom-2.1.html. The file has the counts twice, by sample
and by feature. This module reads the by-sample half (``sample/matrix``: one compressed row per sample). If the other
half is present, it must belong to the same table; otherwise one of them is damaged.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np

from aam_data.errors import DataError
from aam_data.readers.biom.checks import cells_of, check_axis, check_counts, check_numbers, check_repeats, descents
from aam_data.readers.safe.hdf5 import CheckedHdf5, open_hdf5
from aam_data.table import CountTable, SampleCounts, rows_from_triplets, stored_rows

SAMPLE_IDS, FEATURE_IDS = "sample/ids", "observation/ids"
DATA, INDICES, INDPTR = (f"sample/matrix/{name}" for name in ("data", "indices", "indptr"))
_OTHER_DATA, _OTHER_INDICES, _OTHER_INDPTR = (f"observation/matrix/{name}" for name in ("data", "indices", "indptr"))
_BLOCK_ENTRIES = 1 << 20  # entries that are read and checked together


def read_hdf5_table(source: Path | BytesIO, path: Path, max_bytes: int) -> CountTable:
    """Read a table from an HDF5 file, on disk or in memory; ``path`` names it in messages."""
    with open_hdf5(source, path, max_bytes) as file:
        check_layout(file, path)
        rows = SampleCounts(
            indptr=read_pointers(file, INDPTR, file.length(SAMPLE_IDS), "sample", path),
            indices=_small_integers(file, INDICES, kinds="iu"),
            counts=_small_integers(file, DATA, kinds="iuf"),
        )
        claimed = CountTable(file.strings(SAMPLE_IDS), file.strings(FEATURE_IDS), rows)
        check_axis(claimed.sample_ids, "sample", path, SAMPLE_IDS)
        check_axis(claimed.feature_ids, "feature", path, FEATURE_IDS)
        check_numbers(rows.indices, claimed.n_features, "feature", path, INDICES)
        check_counts(rows.counts, lambda positions: cells_of(claimed, positions), path, DATA)
        table = CountTable(claimed.sample_ids, claimed.feature_ids, sorted_rows(rows))
        check_repeats(table.data, lambda positions: cells_of(table, positions), path, INDICES)
        _check_nnz(file.attribute("nnz"), rows.counts, path)
        _check_other_half(file, claimed, path)
    return table


def check_layout(file: CheckedHdf5, path: Path) -> None:
    """Check that a file is BIOM 2.1, and that its parts have the declared sizes."""
    missing = [name for name in (FEATURE_IDS, SAMPLE_IDS, DATA, INDICES, INDPTR) if name not in file.names]
    if missing:
        raise DataError(
            "HDF5, but not a BIOM 2.1 table; it lacks", code="table-parts-missing", file=path, offenders=missing
        )
    shape, actual_shape = file.attribute("shape"), (file.length(FEATURE_IDS), file.length(SAMPLE_IDS))
    if shape is not None and shape != actual_shape:
        declared, actual = (" x ".join(map(str, sizes)) for sizes in (shape, actual_shape))
        problem = f"declares {declared} features by samples, but contains the ids of {actual}"
        raise DataError(
            problem, code="table-layout-damaged", file=path, place="shape", remedy="Write or copy the file again"
        )
    for what, n_ids, place in (("samples", actual_shape[1], SAMPLE_IDS), ("features", actual_shape[0], FEATURE_IDS)):
        if n_ids == 0:
            raise DataError(f"no {what}", code="table-empty", file=path, place=place)
    n_counts = file.length(DATA)
    for place, what in ((INDICES, "feature numbers"), (_OTHER_DATA, "counts by feature")):
        if place in file.names and file.length(place) != n_counts:
            problem = f"{file.length(place):,} {what} for {n_counts:,} counts"
            raise DataError(
                problem, code="table-layout-damaged", file=path, place=place, remedy="Write or copy the file again"
            )


def read_pointers(file: CheckedHdf5, name: str, n_rows: int, what: str, path: Path) -> np.ndarray:
    """Read row pointers, int64 [n_rows + 1], and check them: libraries that trust invalid pointers crash."""
    n_counts = file.length(DATA)
    if file.length(name) != n_rows + 1:
        problem = f"{file.length(name):,} row pointers, expected one more than the {n_rows:,} {what}s"
        raise DataError(problem, code="table-layout-damaged", file=path, place=name)
    pointers = file.numbers(name, ndim=1, kinds="iu").astype(np.int64)
    if pointers[0] != 0 or pointers[-1] != n_counts:
        problem = f"row pointers go from {pointers[0]:,} to {pointers[-1]:,}, expected 0 to {n_counts:,}"
        raise DataError(problem, code="table-layout-damaged", file=path, place=name)
    falling = np.flatnonzero(np.diff(pointers) < 0)
    if len(falling):
        numbers = (falling + 1).tolist()
        raise DataError(
            f"row pointers go backwards at {what} number",
            code="table-layout-damaged",
            file=path,
            place=name,
            offenders=numbers,
        )
    return pointers


def _small_integers(file: CheckedHdf5, name: str, *, kinds: str) -> np.ndarray:
    """Read a dataset as int32 if it fits exactly, in blocks: files store counts of reads in twice the bytes.

    Anything else is returned as stored; later checks reject it, or the study needs it.
    """
    chunk = file.chunk_rows(name)
    block_size = max(1, _BLOCK_ENTRIES // chunk) * chunk
    file.numbers(name, ndim=1, kinds=kinds, rows=slice(0))  # raises if the file cannot contain what it declares
    values = np.empty(file.length(name), dtype=np.int32)
    for first in range(0, len(values), block_size):
        block = file.numbers(name, ndim=1, kinds=kinds, rows=slice(first, first + block_size))
        with np.errstate(invalid="ignore"):  # values that are not finite become some integer, and so differ
            small = block.astype(np.int32)
        if not np.array_equal(small, block):
            return file.numbers(name, ndim=1, kinds=kinds)
        values[first : first + block_size] = small
    return values


def sorted_rows(rows: SampleCounts) -> SampleCounts:
    """Convert rows to the form of a table: features ascending in each sample, without zeros."""
    if rows.counts.all() and not descents(rows).any():
        return stored_rows(rows)
    parts = [_sorted(part) for _, part in rows.parts()]
    lengths = np.concatenate([np.diff(part.indptr) for part in parts])
    indices, counts = (np.concatenate(each) for each in zip(*(part[1:] for part in parts), strict=True))
    return stored_rows(SampleCounts(np.concatenate([[0], np.cumsum(lengths)]), indices, counts))


def _sorted(rows: SampleCounts) -> SampleCounts:
    sample = np.repeat(np.arange(rows.n_samples), np.diff(rows.indptr))
    return rows_from_triplets(sample, rows.indices, rows.counts, rows.n_samples)


def _check_nnz(declared: tuple[int, ...] | None, counts: np.ndarray, path: Path) -> None:
    """Check the attribute ``nnz``; writers disagree on whether it includes stored zeros."""
    if declared is not None and declared not in ((len(counts),), (np.count_nonzero(counts),)):
        problem = f"declares {', '.join(map(str, declared))} counts, but contains {len(counts):,}"
        raise DataError(
            problem, code="table-layout-damaged", file=path, place="nnz", remedy="Write or copy the file again"
        )


def _check_other_half(file: CheckedHdf5, table: CountTable, path: Path) -> None:
    """Check that the by-feature half is the same table: equal entries of every feature."""
    if not {_OTHER_DATA, _OTHER_INDICES, _OTHER_INDPTR} <= file.names:
        return
    pointers = read_pointers(file, _OTHER_INDPTR, table.n_features, "feature", path)
    if file.length(_OTHER_INDICES) != file.length(_OTHER_DATA):
        problem = f"{file.length(_OTHER_INDICES):,} sample numbers for {file.length(_OTHER_DATA):,} counts"
        raise DataError(problem, code="table-layout-damaged", file=path, place=_OTHER_INDICES)
    keys = _mixed(np.uint64(0), np.arange(1, table.n_samples + 1))
    by_sample, by_feature = (np.zeros(table.n_features, dtype=np.uint64) for _ in range(2))
    for rows, part in table.data.parts():
        samples = np.repeat(keys[rows], np.diff(part.indptr))
        np.add.at(by_sample, part.indices, _mixed(samples, part.counts))
    for first in range(0, file.length(_OTHER_DATA), _BLOCK_ENTRIES):
        entries = slice(first, first + _BLOCK_ENTRIES)
        samples = file.numbers(_OTHER_INDICES, ndim=1, kinds="iu", rows=entries)
        check_numbers(samples, table.n_samples, "sample", path, _OTHER_INDICES)
        counts = file.numbers(_OTHER_DATA, ndim=1, kinds="iuf", rows=entries)
        features = np.searchsorted(pointers, np.arange(first, first + len(counts)), side="right") - 1
        np.add.at(by_feature, features, _mixed(keys[samples], counts))
    differing = table.feature_ids[by_sample != by_feature]
    if len(differing):
        problem = f"the by-feature half has other counts for {len(differing):,} of {table.n_features:,} features"
        remedy = "Write the file again from its source"
        raise DataError(
            problem,
            code="table-halves-differ",
            file=path,
            place="observation/matrix",
            offenders=list(differing),
            remedy=remedy,
        )


def _mixed(keys: np.ndarray | np.uint64, counts: np.ndarray) -> np.ndarray:
    """Mix the key of a sample and its count into one number, uint64 [Z], 0 for a count of 0.

    The sum of the numbers of a feature's entries differs if any entry does, but for a chance of about 2^-60, in
    whatever order the entries are. So both halves can be read in blocks, and neither is sorted or transposed.
    """
    values = counts.astype(np.float64)
    mixed = (keys ^ values.view(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)  # the finalizer of splitmix64
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.where(values != 0, mixed ^ (mixed >> np.uint64(31)), np.uint64(0))
