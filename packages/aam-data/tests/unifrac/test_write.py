"""Written matrices, read back by our readers and by scikit-bio."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import h5py
import numpy as np
import pytest
import skbio

from aam_data.errors import DataError
from aam_data.readers.distances.matrix import read_distances
from aam_data.unifrac.unifrac import Block
from aam_data.unifrac.write import check_distance_suffix, write_distances, write_faith_pd


def matrix(n: int) -> tuple[np.ndarray, np.ndarray]:
    upper = np.triu(np.random.default_rng(n).random((n, n)), 1)
    return np.array([f"s.{i}" for i in range(n)], dtype=object), upper + upper.T


def blocks(values: np.ndarray, size: int) -> Callable[[int], Iterator[Block]]:
    starts = range(0, len(values), size)
    places = [
        (slice(row, row + size), slice(column, column + size)) for row in starts for column in starts if column >= row
    ]
    return lambda first: (
        Block(rows, columns, values[rows, columns], number, (number + 1) / len(places))
        for number, (rows, columns) in islice(enumerate(places), first, None)
    )


@pytest.mark.parametrize("suffix", [".h5", ".tsv", ".npy"])
def test_reads_back(suffix: str, tmp_path: Path) -> None:
    ids, values = matrix(11)
    path, shares = tmp_path / f"out{suffix}", []
    write_distances(path, ids, blocks(values, 4), "key", progress=shares.append)
    again = read_distances(path, tmp_path / "out.ids.txt" if suffix == ".npy" else None)
    assert again.ids.tolist() == ids.tolist()
    np.testing.assert_allclose(again.values, values, rtol=0, atol=0 if suffix == ".tsv" else 1e-7)
    assert shares == [number / 6 for number in range(1, 7)]
    expected = {path.name, "out.ids.txt"} if suffix == ".npy" else {path.name}
    assert {file.name for file in tmp_path.iterdir()} == expected


def test_hdf5_is_in_the_layout_of_ssu(tmp_path: Path) -> None:
    """The datasets, types and shapes that the Python package unifrac reads (unifrac/_methods.py, h5unifrac)."""
    ids, values = matrix(50)
    write_distances(tmp_path / "out.h5", ids, blocks(values, 20), "key")
    with h5py.File(tmp_path / "out.h5") as file:
        assert set(file) == {"format", "version", "order", "matrix"}
        assert file["format"][:].tolist() == [b"BDSM"]
        assert file["version"][:].tolist() == [b"2020.12"]
        assert [name.decode("ascii") for name in file["order"]] == ids.tolist()
        assert file["matrix"].dtype == np.float32
        assert file["matrix"].chunks is None
        theirs = skbio.DistanceMatrix(file["matrix"][:, :], [name.decode("ascii") for name in file["order"][:]])
    np.testing.assert_allclose(theirs.data, values, rtol=0, atol=1e-7)


def test_hdf5_keeps_ids_of_any_letters(tmp_path: Path) -> None:
    ids = ["caf\u00e9", "\u6e56 1"]
    write_distances(tmp_path / "out.h5", ids, blocks(np.array([[0, 1], [1, 0]]), 2), "key")
    assert read_distances(tmp_path / "out.h5").ids.tolist() == ids


def test_text_is_read_by_scikit_bio(tmp_path: Path) -> None:
    ids, values = matrix(6)
    write_distances(tmp_path / "out.tsv", ids, blocks(values, 4), "key")
    theirs = skbio.DistanceMatrix.read(str(tmp_path / "out.tsv"))
    assert list(theirs.ids) == ids.tolist()
    assert np.array_equal(theirs.data, values)


def test_faith_pd_is_in_the_layout_of_qiime2(tmp_path: Path) -> None:
    write_faith_pd(tmp_path / "pd.tsv", ["a", "b"], np.array([1.5, 0.1]))
    assert (tmp_path / "pd.tsv").read_text() == "\tfaith_pd\na\t1.5\nb\t0.1\n"


@pytest.mark.parametrize("suffix", [".h5", ".tsv", ".npy"])
def test_continues_where_it_was_interrupted(suffix: str, tmp_path: Path) -> None:
    def interrupted(first: int) -> Iterator[Block]:
        yield from islice(whole(first), 3 - first)
        raise KeyboardInterrupt

    def rest(first: int) -> Iterator[Block]:
        assert first == 3
        return whole(first)

    ids, values = matrix(11)
    whole, path, notes = blocks(values, 4), tmp_path / f"out{suffix}", []
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt):
        write_distances(path, ids, interrupted, "key")
    assert path.read_text() == "old"
    write_distances(path, ids, rest, "key", note=notes.append)
    assert notes == [f"continuing {path.name}.partial, which has 3 blocks"]
    again = read_distances(path, tmp_path / "out.ids.txt" if suffix == ".npy" else None)
    np.testing.assert_allclose(again.values, values, rtol=0, atol=0 if suffix == ".tsv" else 1e-7)
    assert not list(tmp_path.glob("*.partial*"))


@pytest.mark.parametrize("suffix", [".h5", ".tsv", ".npy"])
def test_leaves_the_old_file_when_it_fails_at_once(suffix: str, tmp_path: Path) -> None:
    def interrupted(first: int) -> Iterator[Block]:
        raise KeyboardInterrupt

    path = tmp_path / f"out{suffix}"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt):
        write_distances(path, matrix(11)[0], interrupted, "key")
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_text_that_cannot_be_written_keeps_the_matrix(tmp_path: Path) -> None:
    ids, values = matrix(5)
    (tmp_path / "out.tsv").mkdir()
    with pytest.raises(OSError, match=r"out\.tsv"):
        write_distances(tmp_path / "out.tsv", ids, blocks(values, 5), "key")
    (tmp_path / "out.tsv").rmdir()
    write_distances(tmp_path / "out.tsv", ids, lambda first: iter(()), "key")
    assert np.array_equal(read_distances(tmp_path / "out.tsv").values, values)


@pytest.mark.parametrize("suffix", [".h5", ".tsv", ".npy"])
def test_no_file_holds_undefined_distances(suffix: str, tmp_path: Path) -> None:
    ids, values = matrix(6)
    values[1, 5] = values[5, 1] = np.nan
    with pytest.raises(DataError, match=r"undefined or too large.*\(s\.1 - s\.5\)"):
        write_distances(tmp_path / f"out{suffix}", ids, blocks(values, 4), "key")
    assert list(tmp_path.iterdir()) == []


def test_no_float32_overflows(tmp_path: Path) -> None:
    ids, values = matrix(3)
    with pytest.raises(DataError, match="too large"):
        write_distances(tmp_path / "out.h5", ids, blocks(values * 1e300, 3), "key")
    write_distances(tmp_path / "out.tsv", ids, blocks(values * 1e300, 3), "key")
    assert np.array_equal(skbio.DistanceMatrix.read(str(tmp_path / "out.tsv")).data, values * 1e300)


@pytest.mark.parametrize("suffix", [".h5", ".tsv", ".npy"])
def test_a_shortened_matrix_is_not_continued(suffix: str, tmp_path: Path) -> None:
    def interrupted(first: int) -> Iterator[Block]:
        yield from islice(whole(first), 3)
        raise KeyboardInterrupt

    ids, values = matrix(11)
    whole, path = blocks(values, 4), tmp_path / f"out{suffix}"
    with pytest.raises(KeyboardInterrupt):
        write_distances(path, ids, interrupted, "key")
    partial = tmp_path / f"out{suffix}.partial"
    os.truncate(partial, partial.stat().st_size - 40)
    with pytest.raises(DataError, match="bytes, but had"):
        write_distances(path, ids, whole, "key")
    assert not path.exists()


def test_faith_pd_is_text(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"written as \.tsv.*--output"):
        write_faith_pd(tmp_path / "pd.h5", ["a"], np.array([1.5]))
    assert list(tmp_path.iterdir()) == []


def test_rejects_another_suffix(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"\.h5, \.tsv, \.npy\. Use one of these suffixes"):
        check_distance_suffix(tmp_path / "out.csv")
