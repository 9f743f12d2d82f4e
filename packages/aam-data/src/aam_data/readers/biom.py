"""BIOM 2.1 tables (HDF5), plain or inside a FeatureTable[Frequency] artifact.

Format: http://biom-format.org/documentation/format_versions/biom-2.1.html. The file holds the counts twice;
its by-sample half (``sample/matrix``: one compressed row a sample) is what models read, so only that half is
read here, straight into checked arrays.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np

from aam_data.errors import SHOWN, DataError
from aam_data.readers.hdf5_guard import CheckedHdf5, open_hdf5
from aam_data.readers.ids import check_ids
from aam_data.readers.qza import Provenance, identify, open_artifact
from aam_data.readers.source import GZIP_MAGIC, HDF5_MAGIC, ZIP_MAGIC, byte_limit, first_bytes
from aam_data.table import CountTable, SampleCounts, table_from_rows, table_from_triplets

_SAMPLE_IDS, _FEATURE_IDS = "sample/ids", "observation/ids"
_DATA, _INDICES, _INDPTR = (f"sample/matrix/{name}" for name in ("data", "indices", "indptr"))
_REQUIRED = (_FEATURE_IDS, _SAMPLE_IDS, _DATA, _INDICES, _INDPTR)
_MAX_EXACT = 2**53  # BIOM stores counts as float64


@dataclass(frozen=True)
class TableFile:
    """A table of counts and where it came from."""

    table: CountTable
    provenance: Provenance


def read_table(path: Path, *, max_input_gb: float = 8.0) -> TableFile:
    """Read a feature table; samples and features keep the order of the file.

    Whole counts become integers. Fractions stay float64 (``table.is_integer`` is then False).

    Raises:
        DataError: not BIOM 2.1 or an artifact of it; links or storage outside of the file; more content than
            ``max_input_gb``; inconsistent row pointers, feature numbers out of range or twice in a sample;
            counts that are negative, not finite or too large to be exact; ids that are empty, twice or not
            UTF-8.
    """
    max_bytes = byte_limit(max_input_gb)
    start = first_bytes(path, "--table")
    source: Path | BytesIO = path
    if start.startswith(ZIP_MAGIC):
        payload = open_artifact(path, ("FeatureTable[Frequency]",), max_bytes).payload
        source, start = BytesIO(payload), payload[: len(HDF5_MAGIC)]
    if not start.startswith(HDF5_MAGIC):
        raise _not_biom(path, start)
    with open_hdf5(source, path, max_bytes) as file:
        table = _read_by_sample(file, path)
    return TableFile(table, identify(path))


def _not_biom(path: Path, start: bytes) -> DataError:
    convert = f"biom convert -i {path} -o {path.with_suffix('')}.hdf5.biom --to-hdf5"
    if start.startswith(GZIP_MAGIC):
        return DataError("a gzip file", file=path, remedy=f"Unpack it first: gunzip {path}")
    if start.lstrip().startswith(b"{"):
        return DataError("BIOM 1.0 (JSON) is not read", file=path, remedy=f"Convert it: {convert}")
    if start.isascii() and b"\0" not in start:
        remedy = f"Convert a tab-separated table: {convert} --table-type 'OTU table'"
        return DataError("text, not a BIOM 2.1 (HDF5) table", file=path, remedy=remedy)
    remedy = "Give --table a BIOM 2.1 file or a FeatureTable[Frequency] artifact"
    return DataError("not a BIOM file", file=path, remedy=remedy)


def _read_by_sample(file: CheckedHdf5, path: Path) -> CountTable:
    missing = [name for name in _REQUIRED if name not in file.names]
    if missing:
        raise DataError("HDF5, but not a BIOM 2.1 table; it lacks", file=path, offenders=missing)
    rows = SampleCounts(
        indptr=file.numbers(_INDPTR, ndim=1, kinds="iu").astype(np.int64),
        indices=file.numbers(_INDICES, ndim=1, kinds="iu"),
        counts=file.numbers(_DATA, ndim=1, kinds="iuf"),
    )
    claimed = CountTable(file.strings(_SAMPLE_IDS), file.strings(_FEATURE_IDS), rows)
    _check_ids(claimed, file.attribute("shape"), path)
    _check_rows(claimed, path)
    _check_counts(claimed, path)
    if rows.counts.all() and not _descents(rows).any():
        return table_from_rows(rows, claimed.sample_ids, claimed.feature_ids)
    sample = np.repeat(np.arange(claimed.n_samples), np.diff(rows.indptr))
    table = table_from_triplets(sample, rows.indices, rows.counts, claimed.sample_ids, claimed.feature_ids)
    twice = np.flatnonzero(_descents(table.data))
    if len(twice):
        problem = f"{len(twice):,} of {len(rows.counts):,} counts repeat a feature of their sample"
        raise DataError(problem, file=path, place=_INDICES, offenders=_cells(table, twice[:SHOWN]))
    return table


def _check_ids(table: CountTable, shape: tuple[int, ...] | None, path: Path) -> None:
    found = (table.n_features, table.n_samples)
    if shape is not None and shape != found:
        declared, held = (" x ".join(map(str, sizes)) for sizes in (shape, found))
        problem = f"declares {declared} features by samples, but holds the ids of {held}"
        raise DataError(problem, file=path, place="shape", remedy="Write or copy the file again")
    for ids, what, place in (
        (table.sample_ids, "sample", _SAMPLE_IDS),
        (table.feature_ids, "feature", _FEATURE_IDS),
    ):
        if len(ids) == 0:
            raise DataError(f"no {what}s", file=path, place=place)
        check_ids(ids, what, path, place)


def _check_rows(table: CountTable, path: Path) -> None:
    """Compressed rows that point outside of their arrays crash the libraries that trust them."""
    indptr, indices, counts = table.data
    if len(indptr) != table.n_samples + 1:
        problem = f"{len(indptr):,} row pointers, expected one more than the {table.n_samples:,} samples"
        raise DataError(problem, file=path, place=_INDPTR)
    if len(indices) != len(counts):
        problem = f"{len(indices):,} feature numbers for {len(counts):,} counts"
        raise DataError(problem, file=path, place=_INDICES)
    if indptr[0] != 0 or indptr[-1] != len(counts):
        problem = f"row pointers go from {indptr[0]:,} to {indptr[-1]:,}, expected 0 to {len(counts):,}"
        raise DataError(problem, file=path, place=_INDPTR)
    falling = np.flatnonzero(np.diff(indptr) < 0)
    if len(falling):
        samples = [str(table.sample_ids[b]) for b in falling]
        raise DataError("row pointers go backwards at samples", file=path, place=_INDPTR, offenders=samples)
    outside = indices[(indices < 0) | (indices >= table.n_features)]
    if len(outside):
        problem = f"{len(outside):,} of {len(indices):,} feature numbers are not 0 to {table.n_features - 1:,}"
        raise DataError(problem, file=path, place=_INDICES, offenders=outside[:SHOWN].tolist())


def _check_counts(table: CountTable, path: Path) -> None:
    counts = table.data.counts
    wrong = {"not finite": ~np.isfinite(counts), "negative": counts < 0}
    for problem, where in wrong.items():
        positions = np.flatnonzero(where)
        if len(positions):
            finding = f"{len(positions):,} of {len(counts):,} counts are {problem}"
            raise DataError(finding, file=path, place=_DATA, offenders=_cells(table, positions[:SHOWN]))
    if counts.sum(dtype=np.float64) > _MAX_EXACT:
        problem = "counts add up to more than 2^53, where they are no longer exact"
        raise DataError(problem, file=path, place=_DATA)


def _descents(rows: SampleCounts) -> np.ndarray:
    """Where a sample's feature numbers do not rise: bool [Z - 1], entry i + 1 against entry i."""
    descents = rows.indices[1:] <= rows.indices[:-1]
    starts = rows.indptr[1:-1]
    descents[starts[(starts > 0) & (starts < len(rows.indices))] - 1] = False
    return descents


def _cells(table: CountTable, positions: np.ndarray) -> list[str]:
    """``(sample, feature) = count`` of entries of the table, for messages."""
    samples = np.searchsorted(table.data.indptr, positions, side="right") - 1
    features, counts = table.data.indices[positions], table.data.counts[positions]
    cells = zip(table.sample_ids[samples], table.feature_ids[features], counts, strict=True)
    return [f"({sample}, {feature}) = {count}" for sample, feature, count in cells]
