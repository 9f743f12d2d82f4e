"""Rare files that the tests of each format do not cover."""

from __future__ import annotations

import gzip
from pathlib import Path

import h5py
import numpy as np
import pytest

from aam_data.errors import DataError
from aam_data.readers.biom.table import read_table

COUNTS = np.array([[5, 0, 1], [0, 3, 9]])  # samples by features


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A table without the attributes that BIOM 2.1 requires, as some programs write it."""
    path = tmp_path / "table.biom"
    sample, feature = np.nonzero(COUNTS)
    with h5py.File(path, "w") as file:
        for name, ids in (("sample/ids", ["s1", "s2"]), ("observation/ids", ["f1", "f2", "f3"])):
            file.create_dataset(name, data=ids, dtype=h5py.string_dtype())
        file["sample/matrix/data"] = COUNTS[sample, feature].astype(np.float64)
        file["sample/matrix/indices"] = feature.astype(np.int32)
        file["sample/matrix/indptr"] = np.array([0, 2, 4], dtype=np.int32)
    return path


def test_a_table_without_attributes_and_without_its_other_half(table: Path) -> None:
    found = read_table(table).table
    assert (found.sample_ids.tolist(), found.feature_ids.tolist()) == (["s1", "s2"], ["f1", "f2", "f3"])
    assert [part.tolist() for part in found.data.row(0)] == [[0, 2], [5, 1]]
    assert [part.tolist() for part in found.data.row(1)] == [[1, 2], [3, 9]]


def test_a_gzip_file_of_nothing(tmp_path: Path) -> None:
    path = tmp_path / "table.biom.gz"
    path.write_bytes(gzip.compress(b""))
    with pytest.raises(DataError, match=r"table\.biom\.gz: the table in this file is empty"):
        read_table(path)


@pytest.mark.parametrize("name", ["sample/matrix/data", "sample/matrix/indptr", "sample/ids"])
def test_a_dataset_without_a_dataspace(table: Path, name: str) -> None:
    with h5py.File(table, "a") as file:
        del file[name]
        file[name] = h5py.Empty("f8")
    with pytest.raises(DataError, match=f"{name}: .*found an empty dataspace"):
        read_table(table)
