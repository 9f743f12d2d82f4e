"""Writers of distance matrices and Faith's PD in the formats of other programs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

import h5py
import numpy as np

from aam_data.errors import DataError
from aam_data.unifrac.unifrac import Block
from aam_data.writers.atomic import atomic_write
from aam_data.writers.hdf5 import new_hdf5
from aam_data.writers.resumable import resumable_file, resumable_paths

DISTANCE_SUFFIXES = (".h5", ".tsv", ".npy")


def write_distances(
    path: Path,
    ids: Sequence[str] | np.ndarray,
    blocks: Callable[[int], Iterable[Block]],
    key: str,
    *,
    progress: Callable[[float], None] = lambda share: None,
    note: Callable[[str], None] = lambda text: None,
) -> None:
    """Write a symmetric matrix block by block; the suffix of ``path`` selects the format.

    ``.h5``: float32, in the layout of ssu (unifrac-binaries). ``.tsv``: the square text that QIIME 2 and scikit-bio
    read. ``.npy``: float32, with the ids, one per line, in a file of the same name that ends in ``.ids.txt``.

    The matrix grows on disk, in ``path`` + ``.partial``. An interrupted call leaves that file, and the same call
    continues it.

    Args:
        path: the file, complete or absent afterwards.
        ids: [n] sample ids, as a reader accepted them (no tabs, no line breaks).
        blocks: function that returns blocks as ``unifrac_blocks`` does, given the number of the first one.
        key: one line that identifies the matrix, for instance a digest of what it is computed from.
        progress: callback for the finished share of the work, after each block.
        note: callback for a message when an earlier call is continued.

    Raises:
        DataError: another suffix; ``path`` + ``.partial`` has a matrix with another key; or a distance is undefined
            or above the largest number of the format, and nothing is kept.

    Example:
        >>> write_distances(Path("unifrac.h5"), ids, lambda first: unifrac_blocks(tree, counts, first=first), "table 1")
    """
    check_distance_suffix(path)
    n = len(ids)

    def create(partial: Path) -> None:
        if path.suffix == ".h5":
            _create_ssu(partial, ids)
        else:
            _create_npy(partial, n, np.float64 if path.suffix == ".tsv" else np.float32)

    with resumable_file(path, key, create, note) as file:
        if file.n_blocks:
            note(f"continuing {file.path.name}, which has {file.n_blocks:,} blocks")
        matrix = _map_ssu(file.stream) if path.suffix == ".h5" else _map_npy(file.stream)
        for block in blocks(file.n_blocks):
            _check_finite(block, ids, np.finfo(matrix.dtype).max)
            matrix[block.rows, block.columns] = block.values
            matrix[block.columns, block.rows] = block.values.T
            file.record(block.number + 1, matrix.flush)
            progress(block.share)
        if path.suffix == ".tsv":
            with atomic_write(path) as partial:
                _write_text(partial, ids, matrix)
            file.path.unlink()
            return
        if path.suffix == ".npy":
            with atomic_write(path.with_suffix(".ids.txt")) as partial:
                partial.write_text("".join(f"{name}\n" for name in ids), encoding="utf-8")
        file.rename_to(path)


def extra_files(path: Path) -> tuple[Path, ...]:
    """List the other files that ``write_distances`` writes for ``path``, including temporary ones."""
    return (*resumable_paths(path), path.with_suffix(".ids.txt")) if path.suffix == ".npy" else resumable_paths(path)


def write_faith_pd(path: Path, ids: Sequence[str] | np.ndarray, values: np.ndarray) -> None:
    """Write Faith's PD [n] of samples in the layout of QIIME 2's alpha-diversity.tsv.

    Args:
        path: the file; must end in ``.tsv``.
        ids: [n] sample ids.
        values: float64 [n].

    Raises:
        DataError: another suffix.

    Example:
        >>> write_faith_pd(Path("faith-pd.tsv"), study.table.sample_ids, faith_pd(study.phylogeny, study.table.data))
    """
    check_faith_pd_suffix(path)
    with atomic_write(path) as partial, partial.open("w", encoding="utf-8", newline="\n") as stream:
        stream.write("\tfaith_pd\n")
        stream.writelines(f"{name}\t{value!r}\n" for name, value in zip(ids, values.tolist(), strict=True))


def check_distance_suffix(path: Path) -> None:
    """Raise DataError if ``write_distances`` has no format for the suffix of ``path``."""
    if path.suffix not in DISTANCE_SUFFIXES:
        formats = ", ".join(DISTANCE_SUFFIXES)
        raise DataError(
            f"distances are written as {formats}", code="output-suffix", file=path, remedy="Use one of these suffixes"
        )


def check_faith_pd_suffix(path: Path) -> None:
    """Raise DataError if the suffix of ``path`` is not that of ``write_faith_pd``."""
    if path.suffix != ".tsv":
        raise DataError(
            "Faith's PD is written as .tsv", code="output-suffix", file=path, remedy="Use this suffix for --output"
        )


def _check_finite(block: Block, ids: Sequence[str] | np.ndarray, largest: float) -> None:
    bad = ~(np.abs(block.values) <= largest)  # true for NaN too
    if bad.any():
        pairs = [f"{ids[block.rows][i]} - {ids[block.columns][j]}" for i, j in np.argwhere(bad)]
        raise DataError(
            "distances are undefined or too large to be written",
            code="distances-not-finite",
            offenders=pairs,
            remedy="Check the branch lengths of --tree and the values of these samples in --table",
        )


def _create_ssu(path: Path, ids: Sequence[str] | np.ndarray) -> None:
    """Create the layout of ssu: ``format``, ``version``, ``order``, ``matrix`` (unifrac-binaries, src/api.cpp).

    The matrix is allocated in one piece and filled with zeros at once, so that a full disk is an OSError here, and so
    that blocks are written without changing the structure of the file, which a killed program would leave broken.
    """
    with new_hdf5(path, alignment_threshold=1, alignment_interval=64) as file:
        file["format"] = np.array([b"BDSM"])
        file["version"] = np.array([b"2020.12"])
        encoding = "ascii" if all(name.isascii() for name in ids) else "utf-8"
        file.create_dataset("order", data=list(ids), dtype=h5py.string_dtype(encoding))
        layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        layout.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        layout.set_fill_time(h5py.h5d.FILL_TIME_ALLOC)
        space = h5py.h5s.create_simple((len(ids), len(ids)))
        h5py.h5d.create(file.id, b"matrix", h5py.h5t.IEEE_F32LE, space, layout)


def _map_ssu(stream: BinaryIO) -> np.memmap:
    """Map the matrix in the file to memory."""
    with h5py.File(stream) as file:
        offset, shape = file["matrix"].id.get_offset(), file["matrix"].shape
    return np.memmap(stream, "<f4", "r+", offset, shape)


def _map_npy(stream: BinaryIO) -> np.memmap:
    """Map the matrix in the file to memory; ``numpy.lib.format.open_memmap`` would open the file by name again."""
    np.lib.format.read_magic(stream)
    shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    return np.memmap(stream, dtype, "r+", stream.tell(), shape)


def _create_npy(path: Path, n: int, dtype: type[np.floating]) -> None:
    """Write a matrix [n, n] of zeros, so that a full disk is an OSError here and not a bus error later."""
    row = np.zeros(n, dtype=dtype)
    header = {"descr": np.lib.format.dtype_to_descr(row.dtype), "fortran_order": False, "shape": (n, n)}
    with path.open("xb") as stream:
        np.lib.format.write_array_header_1_0(stream, header)
        stream.writelines(row.data for _ in range(n))


def _write_text(path: Path, ids: Sequence[str] | np.ndarray, matrix: np.ndarray) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        stream.write("\t".join(["", *ids]) + "\n")
        for name, row in zip(ids, matrix, strict=True):
            stream.write("\t".join([name, *map(repr, row.tolist())]) + "\n")
