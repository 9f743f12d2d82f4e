"""Matrices of distances that are broken: square text, HDF5 of ssu, numpy's formats."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from .case import MATRIX, Case, Says, Spoil, both, content, edited, note
from .good_study import SAMPLES, distances, lsmat_text

TSV, H5, NPY, NPZ, IDS = "distances.tsv", "distances.h5", "distances.npy", "distances.npz", "ids.txt"


def case(name: str, spoil: Spoil, *says: Says, matrix: str = TSV, **options: Any) -> Case:
    """As ``case``, with a matrix in place of the tree."""
    given = {f"--{key.replace('_', '-')}": value for key, value in options.items()}
    return Case(name, spoil, says, {**MATRIX, "--unifrac-matrix": matrix, **given})


def text(edit: Callable[[str], str | bytes]) -> Spoil:
    return content(TSV, edit(lsmat_text()))


def cell(row: int, column: int, value: str) -> Spoil:
    """The text with another value in one cell."""

    def edit(good: str) -> str:
        rows = [line.split("\t") for line in good.splitlines()]
        rows[row + 1][column + 1] = value
        return "\n".join(map("\t".join, rows))

    return text(edit)


def ssu(edit: Callable[[h5py.File], object] = lambda file: None) -> Spoil:
    """The HDF5 file that ssu writes (unifrac-binaries, src/api.cpp), after an edit."""

    def spoil(folder: Path) -> None:
        with h5py.File(folder / H5, "w") as file:
            file["format"], file["version"] = np.array([b"BDSM"]), np.array([b"2020.12"])
            file.create_dataset("order", data=SAMPLES, dtype=h5py.string_dtype("ascii"))
            file["matrix"] = distances().astype(np.float32)
            edit(file)

    return spoil


def instead(name: str, values: Any) -> Callable[[h5py.File], None]:
    def edit(file: h5py.File) -> None:
        del file[name]
        file[name] = values

    return edit


def several(file: h5py.File) -> None:
    file["matrix:0"] = file["matrix"][:]
    file["matrix:1"] = file["matrix"][:]
    del file["matrix"]


def npy(values: np.ndarray, ids: list[str] | None = SAMPLES) -> Spoil:
    def spoil(folder: Path) -> None:
        np.save(folder / NPY, values)
        if ids is not None:
            (folder / IDS).write_text("\n".join(ids))

    return spoil


def npz(**arrays: Any) -> Spoil:
    return lambda folder: np.savez(folder / NPZ, **arrays)


class _Runs:
    """What would run when it is unpickled."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return exec, ("raise SystemExit('unpickled')",)


def pickled() -> bytes:
    header = io.BytesIO()
    fields = {"descr": "|O", "fortran_order": False, "shape": (16, 16)}
    np.lib.format.write_array_header_1_0(header, fields)
    return header.getvalue() + pickle.dumps(_Runs())


def longer_than_declared() -> bytes:
    stream = io.BytesIO()
    np.save(stream, distances())
    return stream.getvalue() + b"\0" * 8


def tsv(values: np.ndarray, ids: list[str] = SAMPLES) -> str:
    rows = ["\t".join([name, *map(str, row)]) for name, row in zip(ids, values.tolist(), strict=True)]
    return "\n".join(["\t".join(["", *ids]), *rows]) + "\n"


def cut(name: str) -> Spoil:
    return edited(name, lambda good: good[: len(good) // 2])


ROWS = lsmat_text().splitlines()
LARGE = distances() * 2
CASES: list[Case] = [
    case("distances_good", lambda folder: None),
    case("distances_empty_file", content(TSV, b""), Says(TSV, "file is empty")),
    case(
        "distances_absent",
        lambda folder: (folder / TSV).unlink(),
        Says(TSV, "cannot be read", remedy="--unifrac-matrix"),
    ),
    case(
        "distances_asymmetric",
        cell(1, 4, "0.7"),
        Says(TSV, "2 of 256 distances differ between (a, b) and (b, a)", "", ("(s02, s05) = 0.7",)),
    ),
    case(
        "distances_diagonal",
        cell(2, 2, "0.5"),
        Says(TSV, "1 of 256 distances of a sample to itself are not 0", "", ("(s03, s03) = 0.5",)),
    ),
    case("distances_nan", cell(2, 3, "nan"), Says(TSV, "1 of 256 distances are not finite", "", ("(s03, s04) = nan",))),
    case(
        "distances_infinite",
        cell(2, 3, "-inf"),
        Says(TSV, "1 of 256 distances are not finite", "", ("(s03, s04) = -inf",)),
    ),
    case(
        "distances_negative",
        cell(2, 3, "-0.1"),
        Says(TSV, "1 of 256 distances are negative", "", ("(s03, s04) = -0.1",)),
    ),
    case("distances_text", cell(2, 3, "far"), Says(TSV, "not numbers", "", ("(s03, s04) = 'far'",), 1)),
    case("distances_cell_missing", cell(2, 15, ""), Says(TSV, "not numbers", "", ("(s03, s16) = ''",), 1)),
    case("distances_above_1", text(lambda good: tsv(LARGE)), Says(TSV, "unweighted UniFrac is at most 1")),
    case(
        "distances_duplicate_ids",
        text(lambda good: good.replace("s04", "s05")),
        Says(TSV, "appear more than once", "", ("s05",), 1),
    ),
    case(
        "distances_row_missing", text(lambda good: "\n".join(ROWS[:-1])), Says(TSV, "16 samples in the header, 15 rows")
    ),
    case(
        "distances_row_too_many", text(lambda good: good + ROWS[-1]), Says(TSV, "16 samples in the header, more rows")
    ),
    case(
        "distances_rows_in_another_order",
        text(lambda good: "\n".join([ROWS[0], *ROWS[:0:-1]])),
        Says(TSV, "starts with s16, expected s01", "row 2"),
    ),
    case(
        "distances_row_too_long",
        text(lambda good: good.replace(ROWS[3], ROWS[3] + "\t0.5")),
        Says(TSV, "18 cells, the header has 17", "row 4"),
    ),
    case("distances_ids_in_another_order", text(lambda good: tsv(distances()[::-1, ::-1], SAMPLES[::-1]))),
    case(
        "distances_lack_samples",
        text(lambda good: tsv(distances()[:9, :9], SAMPLES[:9])),
        Says(
            TSV,
            "7 of 16 samples of the table are not in",
            "",
            tuple(SAMPLES[9:14]),
            7,
            remedy="--missing-samples ignore",
        ),
    ),
    case(
        "distances_lack_samples_ignored",
        text(lambda good: tsv(distances()[:9, :9], SAMPLES[:9])),
        note(TSV, "7 of 16 samples"),
        missing_samples="ignore",
    ),
    case(
        "distances_of_other_samples",
        text(lambda good: lsmat_text([f"x{b}" for b in range(16)])),
        Says(TSV, "contains none of the table's samples"),
    ),
    case("distances_zstd", content(TSV, b"\x28\xb5\x2f\xfd" + bytes(40)), Says(TSV, "zstd", remedy="unzstd")),
    case(
        "distances_partial",
        content(TSV, b"SSU-PARTIAL-01" + bytes(40)),
        Says(TSV, "partial result of ssu", remedy="merge-partial"),
    ),
    case(
        "distances_random_bytes",
        content(TSV, np.random.Generator(np.random.PCG64(5)).bytes(999)),
        Says(TSV, "not UTF-8"),
    ),
    case("ssu_good", ssu(), matrix=H5),
    case(
        "ssu_without_matrix",
        ssu(lambda file: file.__delitem__("matrix")),
        Says(H5, "contains no matrix", remedy="hdf5_fp32"),
        matrix=H5,
    ),
    case(
        "ssu_without_order",
        ssu(lambda file: file.__delitem__("order")),
        Says(H5, "not a matrix written by ssu", remedy="order"),
        matrix=H5,
    ),
    case("ssu_several_matrices", ssu(several), note(H5, "mean of 2 matrices"), matrix=H5),
    case("ssu_one_of_several_matrices", ssu(several), matrix=H5, matrix_index=1),
    case(
        "ssu_no_such_matrix",
        ssu(several),
        Says(H5, "--matrix-index 2: this file has the matrices 0 to 1"),
        matrix=H5,
        matrix_index=2,
    ),
    case("ssu_not_square", ssu(instead("matrix", distances()[:9].astype("f4"))), Says(H5, "9 x 16"), matrix=H5),
    case(
        "ssu_one_dimension",
        ssu(instead("matrix", distances()[0].astype("f4"))),
        Says(H5, "dimension", "matrix"),
        matrix=H5,
    ),
    case(
        "ssu_fewer_ids", ssu(instead("order", [name.encode() for name in SAMPLES[:9]])), Says(H5, "16 x 16"), matrix=H5
    ),
    case(
        "ssu_nan",
        ssu(lambda file: file["matrix"].__setitem__((2, 3), np.nan)),
        Says(H5, "1 of 256 distances are not finite", "", ("(s03, s04) = nan",)),
        matrix=H5,
    ),
    case(
        "ssu_external_link",
        ssu(instead("matrix", h5py.ExternalLink("/secret/other.h5", "/matrix"))),
        Says(H5, "a link to another file, /secret/other.h5", "matrix"),
        matrix=H5,
    ),
    case(
        "ssu_cut_in_half",
        both(ssu(), cut(H5)),
        Says(H5, "truncated", remedy="Copy the file again"),
        matrix=H5,
    ),
    case("npy_good", npy(distances()), matrix=NPY, matrix_ids=IDS),
    case(
        "npy_without_ids",
        npy(distances()),
        note(NPY, "has no ids; its rows are taken to be the 16 samples of --table", "warning"),
        matrix=NPY,
    ),
    case(
        "npy_without_ids_of_another_size",
        npy(distances()[:15, :15]),
        Says(NPY, "it is 15 x 15 while --table has 16 samples", remedy="--matrix-ids"),
        matrix=NPY,
    ),
    case(
        "npy_without_ids_of_one_dimension",
        npy(distances()[0]),
        Says(NPY, "it is 16 while --table has 16 samples", remedy="--matrix-ids"),
        matrix=NPY,
    ),
    case(
        "npy_that_the_tree_contradicts",
        npy(distances()),
        note(NPY, "has no ids", "warning"),
        Says(NPY, "distances differ from those of", remedy="--matrix-ids"),
        matrix=NPY,
        tree="tree.nwk",
    ),
    case(
        "npy_fewer_ids", npy(distances(), SAMPLES[:9]), Says(IDS, "9 ids for the 16 rows"), matrix=NPY, matrix_ids=IDS
    ),
    case(
        "npy_one_dimension",
        npy(distances()[0]),
        Says(NPY, "expected a square matrix of 16 samples, found 16"),
        matrix=NPY,
        matrix_ids=IDS,
    ),
    case("npy_not_square", npy(distances()[:, :9]), Says(NPY, "16 x 9"), matrix=NPY, matrix_ids=IDS),
    case(
        "npy_float16",
        npy(distances().astype(np.float16)),
        Says(NPY, "distances of type float16", remedy="float32 or float64"),
        matrix=NPY,
        matrix_ids=IDS,
    ),
    case("npy_of_text", npy(distances().astype(str)), Says(NPY, "distances of type"), matrix=NPY, matrix_ids=IDS),
    case(
        "npy_pickled",
        both(npy(distances()), content(NPY, pickled())),
        Says(NPY, "Python objects, which could run code", remedy="astype(float)"),
        matrix=NPY,
        matrix_ids=IDS,
    ),
    case(
        "npy_longer_than_declared",
        both(npy(distances()), content(NPY, longer_than_declared())),
        Says(NPY, "declares 2,048 bytes of values, but 2,056 follow", remedy="Copy the file again"),
        matrix=NPY,
        matrix_ids=IDS,
    ),
    case(
        "npy_cut",
        both(npy(distances()), cut(NPY)),
        Says(NPY, "declares 2,048 bytes of values", remedy="Copy the file again"),
        matrix=NPY,
        matrix_ids=IDS,
    ),
    case(
        "ids_of_a_matrix_that_has_them",
        npy(distances()),
        Says(TSV, "has its own ids", remedy="--matrix-ids"),
        matrix_ids=IDS,
    ),
    case(
        "npz_of_equal_distances",
        npz(distances=1 - np.eye(16), ids=np.array(SAMPLES)),
        Says(NPZ, "all 120 distances (unifrac) are 1, so there is nothing to learn", remedy="--unifrac-metric"),
        matrix=NPZ,
    ),
    case(
        "npz_of_giant_distances",
        npz(distances=1e300 * (1 - np.eye(16)), ids=np.array(SAMPLES)),
        Says(NPZ, "distances (weighted_unnormalized) are too large", remedy="the unit of the distances"),
        matrix=NPZ,
        unifrac_metric="weighted_unnormalized",
    ),
]
