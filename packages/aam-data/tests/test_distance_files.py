"""Written matrices, read back by our readers and by scikit-bio."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
import skbio

from aam_data.distance_files import check_distance_suffix, write_distances, write_faith_pd
from aam_data.errors import DataError
from aam_data.readers.distances import read_distances
from aam_data.unifrac import Block


def matrix(n: int) -> tuple[np.ndarray, np.ndarray]:
    upper = np.triu(np.random.default_rng(n).random((n, n)), 1)
    return np.array([f"s.{i}" for i in range(n)], dtype=object), upper + upper.T


def blocks(values: np.ndarray, size: int) -> Iterator[Block]:
    for row in range(0, len(values), size):
        for column in range(row, len(values), size):
            rows, columns = slice(row, row + size), slice(column, column + size)
            yield Block(rows, columns, values[rows, columns])


@pytest.mark.parametrize("suffix", [".h5", ".tsv", ".npy"])
def test_reads_back(suffix: str, tmp_path: Path) -> None:
    ids, values = matrix(11)
    path, shares = tmp_path / f"out{suffix}", []
    write_distances(path, ids, blocks(values, 4), shares.append)
    again = read_distances(path, tmp_path / "out.ids.txt" if suffix == ".npy" else None)
    assert again.ids.tolist() == ids.tolist()
    np.testing.assert_allclose(again.values, values, rtol=0, atol=0 if suffix == ".tsv" else 1e-7)
    assert shares == sorted(shares)
    assert shares[-1] == 1
    expected = {path.name, "out.ids.txt"} if suffix == ".npy" else {path.name}
    assert {file.name for file in tmp_path.iterdir()} == expected


def test_hdf5_is_in_the_layout_of_ssu(tmp_path: Path) -> None:
    ids, values = matrix(5)
    write_distances(tmp_path / "out.h5", ids, blocks(values, 5))
    with h5py.File(tmp_path / "out.h5") as file:
        assert file["format"][:].tolist() == [b"BDSM"]
        assert file["version"][:].tolist() == [b"2020.12"]
        assert [name.decode("ascii") for name in file["order"]] == ids.tolist()
        assert file["matrix"].dtype == np.float32


def test_hdf5_keeps_ids_of_any_letters(tmp_path: Path) -> None:
    ids = ["caf\u00e9", "\u6e56 1"]
    write_distances(tmp_path / "out.h5", ids, blocks(np.array([[0, 1], [1, 0]]), 2))
    assert read_distances(tmp_path / "out.h5").ids.tolist() == ids


def test_text_is_read_by_scikit_bio(tmp_path: Path) -> None:
    ids, values = matrix(6)
    write_distances(tmp_path / "out.tsv", ids, blocks(values, 4))
    theirs = skbio.DistanceMatrix.read(str(tmp_path / "out.tsv"))
    assert list(theirs.ids) == ids.tolist()
    assert np.array_equal(theirs.data, values)


def test_faith_pd_is_in_the_layout_of_qiime2(tmp_path: Path) -> None:
    write_faith_pd(tmp_path / "pd.tsv", ["a", "b"], np.array([1.5, 0.1]))
    assert (tmp_path / "pd.tsv").read_text() == "\tfaith_pd\na\t1.5\nb\t0.1\n"


@pytest.mark.parametrize("suffix", [".h5", ".tsv", ".npy"])
def test_leaves_the_old_file_when_it_fails(suffix: str, tmp_path: Path) -> None:
    def interrupted() -> Iterator[Block]:
        yield next(blocks(values, 4))
        raise KeyboardInterrupt

    ids, values = matrix(11)
    path = tmp_path / f"out{suffix}"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt):
        write_distances(path, ids, interrupted())
    assert path.read_text() == "old"
    assert not [file for file in tmp_path.iterdir() if "partial" in file.name]


def test_refuses_another_suffix(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"\.h5, \.tsv, \.npy.*--output"):
        check_distance_suffix(tmp_path / "out.csv")
