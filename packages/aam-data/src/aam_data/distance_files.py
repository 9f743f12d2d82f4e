"""Whole matrices of distances, and Faith's PD, in the files that other programs read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from aam_data.errors import DataError
from aam_data.output_files import replacing
from aam_data.unifrac import Block

DISTANCE_SUFFIXES = (".h5", ".tsv", ".npy")


def write_distances(
    path: Path,
    ids: Sequence[str] | np.ndarray,
    blocks: Iterable[Block],
    progress: Callable[[float], None] = lambda share: None,
) -> None:
    """Write a symmetric matrix as its blocks come; the format follows from the suffix of ``path``.

    ``.h5``: float32, in the layout of ssu (unifrac-binaries). ``.tsv``: the square text that QIIME 2 and scikit-bio
    read. ``.npy``: float32, with the ids, one a line, in a file of the same name that ends in ``.ids.txt``.

    Args:
        path: the file, complete or absent afterwards.
        ids: [n] sample ids, as a reader accepted them (no tabs, no line breaks).
        blocks: on and above the diagonal, all of them, as ``unweighted_unifrac_blocks`` gives them.
        progress: told the share of the matrix that is done, after each block.

    Raises:
        DataError: another suffix.
    """
    check_distance_suffix(path)
    filled = _reporting(blocks, len(ids), progress)
    if path.suffix == ".h5":
        with replacing(path) as partial, h5py.File(partial, "w") as file:
            _fill(_create_ssu(file, ids), filled)
        return
    if path.suffix == ".npy":
        with replacing(path) as partial:
            _fill(_mapped(partial, len(ids), np.float32), filled)
            with replacing(path.with_suffix(".ids.txt")) as partial_ids:
                partial_ids.write_text("".join(f"{name}\n" for name in ids), encoding="utf-8")
        return
    with replacing(path) as partial, _scratch(partial, len(ids)) as matrix:
        _fill(matrix, filled)
        with partial.open("w", encoding="utf-8", newline="\n") as stream:
            stream.write("\t".join(["", *ids]) + "\n")
            for name, row in zip(ids, matrix, strict=True):
                stream.write("\t".join([name, *map(repr, row.tolist())]) + "\n")


def write_faith_pd(path: Path, ids: Sequence[str] | np.ndarray, values: np.ndarray) -> None:
    """Write Faith's PD [n] of samples in the layout of QIIME 2's alpha-diversity.tsv."""
    with replacing(path) as partial, partial.open("w", encoding="utf-8", newline="\n") as stream:
        stream.write("\tfaith_pd\n")
        stream.writelines(f"{name}\t{value!r}\n" for name, value in zip(ids, values.tolist(), strict=True))


def check_distance_suffix(path: Path) -> None:
    """Raise DataError when ``write_distances`` has no format for the suffix of ``path``."""
    if path.suffix not in DISTANCE_SUFFIXES:
        formats = ", ".join(DISTANCE_SUFFIXES)
        raise DataError(f"distances are written as {formats}", file=path, remedy="Give --output one of these suffixes")


def _create_ssu(file: h5py.File, ids: Sequence[str] | np.ndarray) -> h5py.Dataset:
    """The layout of ssu: ``format``, ``version``, ``order`` and ``matrix`` (unifrac-binaries, src/api.cpp)."""
    file["format"] = np.array([b"BDSM"])
    file["version"] = np.array([b"2020.12"])
    encoding = "ascii" if all(name.isascii() for name in ids) else "utf-8"
    file.create_dataset("order", data=list(ids), dtype=h5py.string_dtype(encoding))
    return file.create_dataset("matrix", (len(ids), len(ids)), np.float32)


def _fill(matrix: np.ndarray | h5py.Dataset, blocks: Iterable[Block]) -> None:
    for block in blocks:
        matrix[block.rows, block.columns] = block.values
        matrix[block.columns, block.rows] = block.values.T


def _reporting(blocks: Iterable[Block], n: int, progress: Callable[[float], None]) -> Iterator[Block]:
    done = 0
    for block in blocks:
        yield block
        done += block.values.size * (1 if block.rows == block.columns else 2)
        progress(done / n**2)


@contextmanager
def _scratch(beside: Path, n: int) -> Iterator[np.ndarray]:
    """A float64 matrix [n, n] on disk: rows of text need blocks that come early and late."""
    path = beside.with_name(f"{beside.name}.npy")
    try:
        yield _mapped(path, n, np.float64)
    finally:
        path.unlink(missing_ok=True)


def _mapped(path: Path, n: int, dtype: type[np.floating]) -> np.ndarray:
    """A matrix [n, n] of zeros in a new .npy file, mapped to memory.

    The zeros are written out, so that a full disk is an OSError here and not a bus error later.
    """
    row = np.zeros(n, dtype=dtype)
    header = {"descr": np.lib.format.dtype_to_descr(row.dtype), "fortran_order": False, "shape": (n, n)}
    with path.open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, header)
        stream.writelines(row.data for _ in range(n))
    return np.lib.format.open_memmap(path, "r+")
