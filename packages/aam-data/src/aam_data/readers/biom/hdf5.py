"""BIOM 2.1 tables: HDF5.

Format: http://biom-format.org/documentation/format_versions/biom-2.1.html. The file holds the counts twice, by sample
and by feature. Models read the by-sample half (``sample/matrix``: one compressed row a sample), straight into checked
arrays; where the other half is present it must be of the same table, else one of them is damaged.
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
_AT_ONCE = 1 << 20  # entries of the other half that are looked at together


def read_hdf5_table(source: Path | BytesIO, path: Path, max_bytes: int) -> CountTable:
    """Read a table from an HDF5 file, or one held in memory; ``path`` names it in messages."""
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
    """Refuse a file that is not BIOM 2.1, or that declares sizes which its parts do not have."""
    missing = [name for name in (FEATURE_IDS, SAMPLE_IDS, DATA, INDICES, INDPTR) if name not in file.names]
    if missing:
        raise DataError("HDF5, but not a BIOM 2.1 table; it lacks", file=path, offenders=missing)
    shape, held = file.attribute("shape"), (file.length(FEATURE_IDS), file.length(SAMPLE_IDS))
    if shape is not None and shape != held:
        declared, found = (" x ".join(map(str, sizes)) for sizes in (shape, held))
        problem = f"declares {declared} features by samples, but holds the ids of {found}"
        raise DataError(problem, file=path, place="shape", remedy="Write or copy the file again")
    for what, n_ids, place in (("samples", held[1], SAMPLE_IDS), ("features", held[0], FEATURE_IDS)):
        if n_ids == 0:
            raise DataError(f"no {what}", file=path, place=place)
    n_counts = file.length(DATA)
    for place, what in ((INDICES, "feature numbers"), (_OTHER_DATA, "counts by feature")):
        if place in file.names and file.length(place) != n_counts:
            problem = f"{file.length(place):,} {what} for {n_counts:,} counts"
            raise DataError(problem, file=path, place=place, remedy="Write or copy the file again")


def read_pointers(file: CheckedHdf5, name: str, n_rows: int, what: str, path: Path) -> np.ndarray:
    """Row pointers, int64 [n_rows + 1]: those that lead out of their arrays crash the libraries that trust them."""
    n_counts = file.length(DATA)
    if file.length(name) != n_rows + 1:
        problem = f"{file.length(name):,} row pointers, expected one more than the {n_rows:,} {what}s"
        raise DataError(problem, file=path, place=name)
    pointers = file.numbers(name, ndim=1, kinds="iu").astype(np.int64)
    if pointers[0] != 0 or pointers[-1] != n_counts:
        problem = f"row pointers go from {pointers[0]:,} to {pointers[-1]:,}, expected 0 to {n_counts:,}"
        raise DataError(problem, file=path, place=name)
    falling = np.flatnonzero(np.diff(pointers) < 0)
    if len(falling):
        numbers = (falling + 1).tolist()
        raise DataError(f"row pointers go backwards at {what} number", file=path, place=name, offenders=numbers)
    return pointers


def _small_integers(file: CheckedHdf5, name: str, *, kinds: str) -> np.ndarray:
    """A dataset as int32 where it fits exactly, read in blocks: counts of reads are stored in twice the bytes.

    Anything else is given as it is stored, for the checks that refuse it or the study that needs it.
    """
    chunk = file.chunk_rows(name)
    at_once = max(1, _AT_ONCE // chunk) * chunk
    file.numbers(name, ndim=1, kinds=kinds, rows=slice(0))  # refused here if the file cannot hold what it declares
    values = np.empty(file.length(name), dtype=np.int32)
    for first in range(0, len(values), at_once):
        block = file.numbers(name, ndim=1, kinds=kinds, rows=slice(first, first + at_once))
        with np.errstate(invalid="ignore"):  # what is not finite becomes some integer, and so differs
            small = block.astype(np.int32)
        if not np.array_equal(small, block):
            return file.numbers(name, ndim=1, kinds=kinds)
        values[first : first + at_once] = small
    return values


def sorted_rows(rows: SampleCounts) -> SampleCounts:
    """The rows as a table stores them: features ascending in each sample, without zeros."""
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
    """Writers disagree on whether stored zeros are part of the attribute; anything else is a damaged file."""
    if declared is not None and declared not in ((len(counts),), (np.count_nonzero(counts),)):
        problem = f"declares {', '.join(map(str, declared))} counts, but holds {len(counts):,}"
        raise DataError(problem, file=path, place="nnz", remedy="Write or copy the file again")


def _check_other_half(file: CheckedHdf5, table: CountTable, path: Path) -> None:
    """Refuse a by-feature half that cannot be of the same table: as many entries a feature and a sample, one total."""
    if not {_OTHER_DATA, _OTHER_INDICES, _OTHER_INDPTR} <= file.names:
        return
    pointers = read_pointers(file, _OTHER_INDPTR, table.n_features, "feature", path)
    if file.length(_OTHER_INDICES) != file.length(_OTHER_DATA):
        problem = f"{file.length(_OTHER_INDICES):,} sample numbers for {file.length(_OTHER_DATA):,} counts"
        raise DataError(problem, file=path, place=_OTHER_INDICES)
    per_sample, total = np.zeros(table.n_samples, dtype=np.int64), 0.0
    for first in range(0, file.length(_OTHER_DATA), _AT_ONCE):
        part = slice(first, first + _AT_ONCE)
        samples = file.numbers(_OTHER_INDICES, ndim=1, kinds="iu", rows=part)
        check_numbers(samples, table.n_samples, "sample", path, _OTHER_INDICES)
        per_sample += np.bincount(samples, minlength=table.n_samples)
        with np.errstate(over="ignore"):  # infinite then, and refused below
            total += float(file.numbers(_OTHER_DATA, ndim=1, kinds="iuf", rows=part).sum(dtype=np.float64))
    remedy = "Write the file again from its source"
    for ids, here, there, what in (
        (table.feature_ids, table.samples_per_feature(), np.diff(pointers), "features"),
        (table.sample_ids, table.features_per_sample(), per_sample, "samples"),
    ):
        differing = ids[here != there]
        if len(differing):
            problem = f"the by-feature half has other numbers of counts for {what}"
            raise DataError(problem, file=path, place="observation/matrix", offenders=list(differing), remedy=remedy)
    kept = float(table.data.counts.sum(dtype=np.float64))
    if not np.isclose(kept, total, rtol=1e-9, atol=0):
        problem = f"the by-feature half adds up to {total:,.10g}, the by-sample half to {kept:,.10g}"
        raise DataError(problem, file=path, place=_OTHER_DATA, remedy=remedy)
