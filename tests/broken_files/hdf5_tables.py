"""BIOM 2.1 tables that are broken as bytes, as HDF5, or in what they hold."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from .case import Case, Says, Spoil, case, content, edited, note
from .good_study import COUNTS, FEATURES, SAMPLES, write_hdf5_table

FILE = "table.biom"
DATA, INDICES, INDPTR = (f"sample/matrix/{name}" for name in ("data", "indices", "indptr"))
IDS = "sample/ids"


def hdf5(edit: Callable[[h5py.File], object]) -> Spoil:
    """The table after an edit of its HDF5 file."""

    def spoil(folder: Path) -> None:
        with h5py.File(folder / FILE, "a") as file:
            edit(file)

    return spoil


def put(name: str, *values: tuple[int, Any]) -> Spoil:
    """Single entries of a dataset set to other values."""

    def edit(file: h5py.File) -> None:
        for position, value in values:
            file[name][position] = value

    return hdf5(edit)


def anew(name: str, values: Any, **options: Any) -> Spoil:
    """A dataset written again: other values, type or shape."""

    def edit(file: h5py.File) -> None:
        del file[name]
        file.create_dataset(name, data=values, **options)

    return hdf5(edit)


def table(counts: np.ndarray = COUNTS, samples: list[str] = SAMPLES, features: list[str] = FEATURES) -> Spoil:
    """Another table of the right format."""
    return lambda folder: write_hdf5_table(folder / FILE, np.asarray(counts), samples, features)


def cell(entry: int) -> tuple[str, str]:
    """Sample and feature of an entry of ``sample/matrix/data``."""
    sample, feature = np.argwhere(COUNTS)[entry]
    return SAMPLES[sample], FEATURES[feature]


def cells(*entries: int) -> tuple[str, ...]:
    return tuple(f"({sample}, {feature}) = " for sample, feature in map(cell, entries))


def swapped(values: list[str], **by_position: str) -> list[str]:
    """``values`` with some replaced: ``swapped(SAMPLES, _3="x")``."""
    positions = {int(key[1:]): value for key, value in by_position.items()}
    return [positions.get(i, value) for i, value in enumerate(values)]


def link(target: Any) -> Spoil:
    def edit(file: h5py.File) -> None:
        del file[DATA]
        file[DATA] = target

    return hdf5(edit)


def virtual(file: h5py.File) -> None:
    del file[DATA]
    layout = h5py.VirtualLayout(shape=(N,), dtype="f8")
    layout[:] = h5py.VirtualSource("other.h5", "data", shape=(N,))
    file.create_virtual_dataset(DATA, layout)


def external_storage(file: h5py.File) -> None:
    del file[DATA]
    file.create_dataset(DATA, (N,), "f8", external=[("numbers.raw", 0, h5py.h5f.UNLIMITED)])


def declares_gigabytes(file: h5py.File) -> None:
    """33 KB in which two datasets declare 4 GB each."""
    for name in (DATA, INDICES):
        del file[name]
        file.create_dataset(name, (10**9 // 2,), "f8", chunks=(1000,), compression="gzip")


def declares_more_than_it_holds(file: h5py.File) -> None:
    del file["observation/matrix"]
    for name in (DATA, INDICES):
        del file[name]
        file.create_dataset(name, (10**7,), "f8", chunks=(1000,), compression="gzip")
    file[INDPTR][16] = 10**7


def giant_chunk(file: h5py.File) -> None:
    """A chunk as large as the limit, though the data are small."""
    del file[DATA]
    file.create_dataset(DATA, (N,), "f8", maxshape=(None,), chunks=(2**28,), compression="gzip")


def unusual_filter(file: h5py.File) -> None:
    del file[DATA]
    file.create_dataset(DATA, (N,), "i4", scaleoffset=0)


def add_zero(folder: Path) -> None:
    write_hdf5_table(folder / FILE, np.where(np.arange(16)[:, None] == 4, 0, COUNTS))


def half_as_long(bytes_: bytes) -> bytes:
    return bytes_[: len(bytes_) // 2]


N = np.count_nonzero(COUNTS)
ODD = np.count_nonzero(COUNTS % 2)
NAN, INF = float("nan"), float("inf")
CUT = Says(FILE, "truncated", remedy="Copy the file again")
AGAIN = "again"
LARGE = COUNTS.astype(np.int64).copy()
LARGE[2, 3] = 2**40
HUGE = COUNTS.astype(np.float64).copy()
HUGE[2, 3] = 2.0**53

CASES: list[Case] = [
    case("table_empty_file", content(FILE, b""), Says(FILE, "file is empty")),
    case("table_cut_in_half", edited(FILE, half_as_long), CUT),
    case("table_cut_by_one_byte", edited(FILE, lambda content: content[:-1]), CUT),
    case(
        "table_random_bytes",
        content(FILE, np.random.Generator(np.random.PCG64(1)).bytes(3000)),
        Says(FILE, "not a BIOM", remedy="--table"),
    ),
    case(
        "table_gzip_body_damaged",
        lambda folder: content("t.biom.gz", gzip.compress(bytes(10_000))[:30] + b"\xff" * 30)(folder),
        Says("t.biom.gz", "damaged gzip", remedy="Copy the file again"),
        table="t.biom.gz",
    ),
    case("table_gzip_of_hdf5", edited(FILE, gzip.compress)),
    case(
        "table_gzip_of_zeros",
        content(FILE, gzip.compress(bytes(2 * 10**7))),
        Says(FILE, "GB of content, the limit is 0.01 GB", remedy="--max-input-gb"),
        max_input_gb=0.01,
    ),
    case("table_absent", lambda folder: (folder / FILE).unlink(), Says(FILE, "cannot be read", remedy="--table")),
    case("table_is_a_folder", lambda folder: None, Says(".", "is a directory", remedy="--table"), table="."),
    case(
        "table_below_a_file",
        lambda folder: None,
        Says("table.biom/x", "cannot be read: Not a directory", remedy="--table"),
        table="table.biom/x",
    ),
    case(
        "table_link_to_itself",
        lambda folder: (folder / "loop.biom").symlink_to("loop.biom"),
        Says("loop.biom", "cannot be read: Too many levels", remedy="--table"),
        table="loop.biom",
    ),
    case(
        "table_hdf5_of_something_else",
        lambda folder: h5py.File(folder / FILE, "w").close(),
        Says(FILE, "not a BIOM 2.1 table; it lacks", offenders=("observation/ids", IDS), count=5),
    ),
    case(
        "table_nan_counts",
        put(DATA, (3, NAN), (40, NAN)),
        Says(FILE, f"2 of {N} counts are not finite", DATA, cells(3, 40)),
    ),
    case(
        "table_infinite_counts",
        put(DATA, (0, INF), (1, -INF)),
        Says(FILE, f"2 of {N} counts are not finite", DATA, cells(0, 1)),
    ),
    case(
        "table_negative_counts",
        put(DATA, *[(entry, -1) for entry in range(7)]),
        Says(FILE, f"7 of {N} counts are negative", DATA, cells(0, 1, 2, 3, 4)),
    ),
    case(
        "table_fractional_counts",
        table(COUNTS / 2),
        Says(FILE, f"{ODD} of {N} counts are fractions, not reads", remedy="--relative-abundance"),
    ),
    case("table_of_shares", table(COUNTS / 512), relative_abundance=True, rarefy_depth=0),
    case(
        "table_duplicate_samples",
        table(samples=swapped(SAMPLES, _3="s01", _5="s02")),
        Says(FILE, "sample ids that appear more than once", IDS, ("s01", "s02"), 2),
    ),
    case(
        "table_duplicate_features",
        table(features=swapped(FEATURES, _3=FEATURES[1])),
        Says(FILE, "feature ids that appear more than once", "observation/ids", (FEATURES[1],), 1),
    ),
    case(
        "table_features_equal_in_upper_case",
        table(features=swapped(FEATURES, _3=FEATURES[1].lower())),
        note(FILE, "1 of 20 features have the same sequence as another feature"),
        tree=None,
    ),
    case(
        "table_index_out_of_range",
        put(INDICES, (7, 20), (9, 2**31 - 1)),
        Says(FILE, f"2 of {N} feature numbers are not 0 to 19", INDICES, ("20", "2147483647")),
    ),
    case(
        "table_index_negative",
        put(INDICES, (7, -1)),
        Says(FILE, f"1 of {N} feature numbers are not 0 to 19", INDICES, ("-1",)),
    ),
    case(
        "table_indptr_not_monotone",
        put(INDPTR, (3, 90)),
        Says(FILE, "row pointers go backwards", INDPTR, count=1),
    ),
    case("table_indptr_not_from_zero", put(INDPTR, (0, 2)), Says(FILE, f"from 2 to {N}, expected 0 to {N}", INDPTR)),
    case("table_indptr_past_the_end", put(INDPTR, (16, N + 9)), Says(FILE, f"0 to {N + 9}, expected 0", INDPTR)),
    case(
        "table_indptr_too_short",
        anew(INDPTR, np.array([0, N], dtype=np.int32)),
        Says(FILE, "2 row pointers, expected one more than the 16 samples", INDPTR),
    ),
    case(
        "table_indices_too_short",
        anew(INDICES, np.zeros(N - 1, dtype=np.int32)),
        Says(FILE, f"{N - 1} feature numbers for {N} counts", INDICES),
    ),
    case(
        "table_feature_twice_in_a_sample",
        put(INDICES, (1, FEATURES.index(cell(0)[1]))),
        Says(FILE, f"1 of {N} counts repeat a feature of their sample", INDICES, cells(0)),
    ),
    case(
        "table_shape_larger_than_the_data",
        hdf5(lambda file: file.attrs.__setitem__("shape", (20, 900))),
        Says(FILE, "declares 20 x 900 features by samples, but contains the ids of 20 x 16", "shape", remedy=AGAIN),
    ),
    case(
        "table_ids_not_utf8",
        anew(IDS, [*[name.encode() for name in SAMPLES[:-1]], b"s\xff"]),
        Says(FILE, "not UTF-8", IDS, (r"b's\xff'",), 1),
    ),
    case(
        "table_ids_with_a_tab",
        table(samples=swapped(SAMPLES, _0="s\t01")),
        Says(FILE, "control characters", IDS, (r"'s\t01'",), 1),
    ),
    case("table_id_empty", table(samples=swapped(SAMPLES, _2=" ")), Says(FILE, "empty sample ids", IDS, ("number 3",))),
    case("table_ids_are_numbers", anew(IDS, np.arange(16)), Says(FILE, "expected a list of strings", IDS)),
    case(
        "table_without_sample_matrix",
        hdf5(lambda file: file.__delitem__("sample/matrix")),
        Says(FILE, "it lacks", "", (DATA, INDICES, INDPTR), 3),
    ),
    case(
        "table_counts_are_text",
        anew(DATA, ["1"] * N, dtype=h5py.string_dtype()),
        Says(FILE, "expected numbers of 1 dimension, found object", DATA),
    ),
    case(
        "table_counts_are_complex",
        anew(DATA, np.ones(N, dtype=complex)),
        Says(FILE, "expected numbers of 1 dimension, found complex", DATA),
    ),
    case("table_counts_in_a_grid", anew(DATA, np.ones((N, 1))), Says(FILE, "expected 1 dimension, found 2", DATA)),
    case("table_counts_without_a_shape", anew(DATA, h5py.Empty("f8")), Says(FILE, "found an empty dataspace", DATA)),
    case(
        "table_indices_are_fractions",
        anew(INDICES, np.ones(N)),
        Says(FILE, "expected whole numbers of 1 dimension, found float64", INDICES),
    ),
    case(
        "table_halves_differ",
        put("observation/matrix/data", (0, 9999)),
        Says(FILE, "the by-feature half has other counts for", "observation/matrix", remedy=AGAIN),
    ),
    case(
        "table_halves_differ_in_features",
        put("observation/matrix/indptr", (1, 5)),
        Says(FILE, "the by-feature half", "observation/matrix", (FEATURES[0], FEATURES[1]), 2, remedy=AGAIN),
    ),
    case(
        "table_external_link",
        link(h5py.ExternalLink("/secret/other.h5", "/data")),
        Says(FILE, "a link to another file, /secret/other.h5:/data", DATA),
    ),
    case("table_soft_link", link(h5py.SoftLink("/observation/matrix/data")), Says(FILE, "a soft link", DATA)),
    case("table_virtual_data", hdf5(virtual), Says(FILE, "stored in another file", DATA)),
    case("table_external_data", hdf5(external_storage), Says(FILE, "stored in another file", DATA)),
    case(
        "table_declares_gigabytes",
        hdf5(declares_gigabytes),
        Says(FILE, "declares 8 GB of content, the limit is 4 GB", remedy="--max-input-gb"),
        max_input_gb=4,
    ),
    case(
        "table_giant_chunk",
        hdf5(giant_chunk),
        Says(FILE, "declares 2.15 GB of content, the limit is 1 GB", DATA, remedy="--max-input-gb"),
        max_input_gb=1,
    ),
    case(
        "table_declares_more_than_it_holds",
        hdf5(declares_more_than_it_holds),
        Says(FILE, "declares 80,000,000 bytes, but the 0 bytes in the file cannot hold them", remedy=AGAIN),
    ),
    case(
        "table_unusual_filter",
        hdf5(unusual_filter),
        Says(FILE, "unusual HDF5 filters", DATA, remedy="gzip"),
    ),
    case("table_0x0", table(np.zeros((0, 0)), [], []), Says(FILE, "no samples", IDS)),
    case("table_without_features", table(np.zeros((16, 0)), features=[]), Says(FILE, "no features", "observation/ids")),
    case("table_sample_without_reads", add_zero, note(FILE, "1 of 16 samples have no reads and were dropped (s05)")),
    case("table_all_zero", table(COUNTS * 0), Says(FILE, "no sample has reads")),
    case("table_counts_above_int32", table(LARGE), note(FILE, "all ASVs are in the tree"), rarefy_depth=0),
    case(
        "table_counts_too_large_to_rarefy",
        table(LARGE),
        Says(FILE, "1 samples have more than 999,999,999 reads", "", ("s03",), 1, remedy="--rarefy-depth 0"),
    ),
    case(
        "table_counts_above_2_to_53",
        table(HUGE),
        Says(FILE, "2^53", DATA, (f"({SAMPLES[2]}, {FEATURES[3]}) = ",)),
    ),
    case(
        "table_transposed",
        table(COUNTS.T, samples=FEATURES, features=SAMPLES),
        Says(FILE, "the table seems transposed: its sample ids are DNA", "", (FEATURES[0],), remedy="transpose"),
    ),
    case(
        "table_transposed_names",
        table(COUNTS.T, samples=[f"otu{k}" for k in range(20)], features=SAMPLES),
        Says("metadata.tsv", "the table seems transposed: this file's samples are its features", remedy="transpose"),
    ),
]
