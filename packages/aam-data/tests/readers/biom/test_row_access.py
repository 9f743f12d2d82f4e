"""Samples read one by one: the same rows and the same errors as ``read_table``."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import biom
import h5py
import numpy as np
import pytest

from aam_data.errors import DataError
from aam_data.readers.biom import row_access as biom_rows
from aam_data.readers.biom.row_access import open_biom_rows
from aam_data.readers.biom.table import read_table
from aam_data.table import SampleCounts

COUNTS = np.array([[5, 0, 0], [0, 3, 9], [1, 0, 2], [0, 0, 7]])  # features by samples


def write_biom(path: Path, counts: np.ndarray = COUNTS) -> Path:
    features, samples = ([f"{axis}{i + 1}" for i in range(n)] for axis, n in zip("fs", counts.shape, strict=True))
    with h5py.File(path, "w") as file:
        biom.Table(counts.astype(float), features, samples).to_hdf5(file, "test")
    return path


def assert_equal(actual: SampleCounts, expected: SampleCounts) -> None:
    for one, other in zip(actual, expected, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("gap", [-1, 0, 5, 4096])
@pytest.mark.parametrize("at_once", [1, 40, 1 << 20])
def test_any_rows_as_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gap: int, at_once: int) -> None:
    monkeypatch.setattr(biom_rows, "_MAX_GAP", gap)
    monkeypatch.setattr(biom_rows, "_MAX_ENTRIES", at_once)
    random = np.random.default_rng(0)
    counts = random.poisson(0.2, (30, 50)) * random.integers(1, 2**33, (30, 50))
    counts[:, 7] = 0
    path = write_biom(tmp_path / "t.biom", counts)
    whole = read_table(path).table
    with open_biom_rows(path) as rows:
        assert (rows.n_samples, rows.n_features, rows.n_counts) == (50, 30, np.count_nonzero(counts))
        for some in ([], [7], [49, 0], range(50), random.permutation(50)[:9], [3, 3, 2, 7, 3]):
            chosen = np.array(some, dtype=np.int64)
            actual, expected = rows.take_samples(chosen), whole.take_samples(chosen)
            np.testing.assert_array_equal(actual.data.counts, expected.data.counts)
            np.testing.assert_array_equal(actual.data.indices, expected.data.indices)
            np.testing.assert_array_equal(actual.data.indptr, expected.data.indptr)
            assert actual.sample_ids.tolist() == expected.sample_ids.tolist()
            assert actual.feature_ids.tolist() == expected.feature_ids.tolist()


def test_real_table_and_artifact(shared_data: Path) -> None:
    whole = read_table(shared_data / "ibd/table.biom").table
    chosen = np.random.default_rng(1).permutation(whole.n_samples)[:100]
    for name in ("table.biom", "table.qza"):
        with open_biom_rows(shared_data / "ibd" / name) as rows:
            assert_equal(rows.take_counts(chosen), whole.take_counts(chosen))
            assert rows.sample_ids.tolist() == whole.sample_ids.tolist()


def test_unsorted_rows_and_stored_zeros(tmp_path: Path) -> None:
    path = write_biom(tmp_path / "t.biom")
    with h5py.File(path, "a") as file:
        del file["observation/matrix"]
        file["sample/matrix/data"][:] = [1.0, 5.0, 3.0, 9.0, 0.0, 7.0]
        file["sample/matrix/indices"][:] = [2, 0, 1, 1, 2, 3]
    with open_biom_rows(path) as rows:
        found = rows.take_counts(np.array([2, 0]))
    assert_equal(found, read_table(path).table.take_counts(np.array([2, 0])))
    assert (found.indices.tolist(), found.counts.tolist()) == ([1, 3, 0, 2], [9, 7, 5, 1])


def test_fractions(tmp_path: Path) -> None:
    path = write_biom(tmp_path / "t.biom", COUNTS / 5)
    with open_biom_rows(path, relative_abundance=True) as rows:
        assert rows.take_counts(np.array([0])).counts.tolist() == [1.0, 0.2]
        assert rows.take_counts(np.array([1])).counts.dtype == np.float64
    with open_biom_rows(path) as rows, pytest.raises(DataError, match=r"1 of 2 counts are fractions.*\(s1, f3\) = 0.2"):
        rows.take_counts(np.array([0]))


Edit = Callable[[h5py.File], object]


def put(name: str, *values: float) -> Edit:
    def edit(file: h5py.File) -> None:
        file[f"sample/matrix/{name}"][:] = values

    return edit


BROKEN_ON_OPENING: dict[str, tuple[Edit, str]] = {
    "no by-sample half": (lambda file: file.pop("sample/matrix"), r"lacks \(sample/matrix/data"),
    "falling pointers": (put("indptr", 0, 4, 3, 6), r"go backwards at sample number \(2\)"),
    "last pointer": (put("indptr", 0, 2, 3, 5), r"row pointers go from 0 to 5, expected 0 to 6"),
    "shape": (lambda file: file.attrs.modify("shape", [4, 4]), r"declares 4 x 4"),
    "soft link": (lambda file: file.__setitem__("x", h5py.SoftLink("/sample")), r"a soft link to /sample"),
}
BROKEN_ROWS: dict[str, tuple[Edit, str]] = {
    "out of range": (put("indices", 0, 2, 1, 1, 2, 4), r"1 of 3 feature numbers are not 0 to 3 \(4\)"),
    "feature twice": (put("indices", 0, 2, 1, 1, 1, 3), r"1 of 3 counts repeat a feature .*\(s3, f2\) = 2"),
    "not a number": (put("data", 5, 1, 3, 9, np.nan, 7), r"1 of 3 counts are not finite \(\(s3, f3\) = nan\)"),
    "negative": (put("data", 5, 1, 3, -9, 2, 7), r"1 of 3 counts are negative \(\(s3, f2\) = -9.0\)"),
    "inexact": (put("data", 5, 1, 3, 2.0**53, 2, 7), r"add up to 2\^53 or more"),
}


@pytest.mark.parametrize("name", BROKEN_ON_OPENING)
def test_rejected_on_opening(tmp_path: Path, name: str) -> None:
    edit, message = BROKEN_ON_OPENING[name]
    path = write_biom(tmp_path / "t.biom")
    with h5py.File(path, "a") as file:
        edit(file)
    with pytest.raises(DataError, match=message), open_biom_rows(path):
        pass


@pytest.mark.parametrize("name", BROKEN_ROWS)
def test_rejected_when_it_is_read(tmp_path: Path, name: str) -> None:
    """Valid rows can be read even if another row is invalid."""
    edit, message = BROKEN_ROWS[name]
    path = write_biom(tmp_path / "t.biom")
    with h5py.File(path, "a") as file:
        edit(file)
    with open_biom_rows(path) as rows:
        assert rows.take_counts(np.array([1, 0])).counts.tolist() == [3, 5, 1]
        with pytest.raises(DataError, match=message):
            rows.take_counts(np.array([2]))


def test_ids_are_checked_when_they_are_read(tmp_path: Path) -> None:
    path = write_biom(tmp_path / "t.biom")
    with h5py.File(path, "a") as file:
        file["sample/ids"][2] = "s1"
    with open_biom_rows(path) as rows:
        assert rows.take_counts(np.array([1])).counts.tolist() == [3]
        with pytest.raises(DataError, match=r"sample/ids: sample ids that appear more than once \(s1\)"):
            _ = rows.sample_ids


def test_other_formats(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_text("id\ts1\na\t1\n")
    with pytest.raises(DataError, match=r"one by one.*biom convert -i .*t.tsv"), open_biom_rows(tmp_path / "t.tsv"):
        pass


@pytest.mark.parametrize("name", ["indices", "data"])
def test_a_dataset_with_fewer_bytes_than_values_is_rejected(tmp_path: Path, name: str) -> None:
    """Found by fuzzing: the library reads past the stored bytes for a whole dataset, and zeros for a part."""
    path = tmp_path / "t.biom"
    with h5py.File(write_biom(tmp_path / "old.biom")) as old, h5py.File(path, "w") as file:
        for key, value in old.attrs.items():
            file.attrs[key] = value
        for group in old:
            old.copy(group, file)
        values = old[f"sample/matrix/{name}"][:]
        del file[f"sample/matrix/{name}"]
        dataset = file.create_dataset(f"sample/matrix/{name}", data=values)
        file.flush()
        layout = struct.pack("<QQ", dataset.id.get_offset(), values.nbytes)
    content = path.read_bytes()
    assert content.count(layout) == 1
    path.write_bytes(content.replace(layout, layout[:8] + struct.pack("<Q", 8)))
    with open_biom_rows(path) as rows, pytest.raises(DataError, match=r"but the 8 bytes in the file cannot hold them"):
        rows.take_counts(np.array([1]))
    with pytest.raises(DataError, match=r"but the 8 bytes in the file cannot hold them"):
        read_table(path)
