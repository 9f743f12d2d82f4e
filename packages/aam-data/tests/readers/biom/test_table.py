"""Tables: the same numbers as biom-format reads, and one broken file per guard."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import biom
import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from aam_data.errors import DataError
from aam_data.readers.biom.table import read_table
from aam_data.readers.safe import hdf5 as hdf5_guard
from aam_data.table import CountTable

Edit = Callable[[h5py.File], object]
COUNTS = np.array([[5, 0, 0], [0, 3, 9], [1, 0, 2], [0, 0, 7]])  # features by samples
SAMPLES, FEATURES = ["s1", "s2", "s3"], ["f1", "f2", "f3", "f4"]


def write_biom(path: Path, counts: np.ndarray = COUNTS, features: list[str] = FEATURES) -> Path:
    samples = [f"s{i + 1}" for i in range(counts.shape[1])]
    with h5py.File(path, "w") as file:
        biom.Table(counts.astype(float), features, samples).to_hdf5(file, "test")
    return path


def dense(table: CountTable) -> np.ndarray:
    result = np.zeros((table.n_samples, table.n_features), dtype=table.data.counts.dtype)
    sample = np.repeat(np.arange(table.n_samples), table.features_per_sample())
    result[sample, table.data.indices] = table.data.counts
    return result


def replace(name: str, values: Any, **options: Any) -> Edit:
    """Return an edit that rewrites a dataset."""

    def edit(file: h5py.File) -> None:
        if name in file:
            del file[name]
        file.create_dataset(name, data=values, **options)

    return edit


def test_order_ids_and_counts(tmp_path: Path) -> None:
    table = read_table(write_biom(tmp_path / "t.biom")).table
    assert table.sample_ids.tolist() == SAMPLES
    assert table.feature_ids.tolist() == FEATURES
    assert table.data.counts.dtype == np.int32
    assert table.data.indptr.dtype == np.int64
    assert table.data.indices.dtype == np.int32
    np.testing.assert_array_equal(dense(table), COUNTS.T)
    np.testing.assert_array_equal(table.depths(), [6, 3, 18])


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(arrays(np.float64, st.tuples(st.integers(1, 6), st.integers(1, 6)), elements=st.integers(0, 2**40).map(float)))
def test_any_table_as_biom_format_reads_it(tmp_path: Path, counts: np.ndarray) -> None:
    path = write_biom(tmp_path / "t.biom", counts, [f"f{i}" for i in range(len(counts))])
    table, reference = read_table(path).table, biom.load_table(str(path))
    np.testing.assert_array_equal(dense(table), reference.matrix_data.toarray().T)
    assert table.sample_ids.tolist() == reference.ids().tolist()
    assert table.feature_ids.tolist() == reference.ids(axis="observation").tolist()
    assert not (table.data.counts == 0).any()


def test_real_table_and_artifact(shared_data: Path) -> None:
    files = [read_table(shared_data / "ibd" / name) for name in ("table.biom", "table.qza")]
    for file in files:
        table, counts = file.table, file.table.data.counts
        assert (table.n_samples, table.n_features, len(counts)) == (470, 10_099, 82_724)
        assert table.is_integer
        observed = table.features_per_sample()
        assert (observed.min(), np.median(observed), observed.max()) == (2, 172, 508)
        assert (table.depths().min(), table.depths().max()) == (4, 272_029)
    for actual, expected in zip(files[0].table.data, files[1].table.data, strict=True):
        np.testing.assert_array_equal(actual, expected)
    assert (files[0].provenance.uuid, files[0].provenance.type) == (None, None)
    assert files[1].provenance.uuid == "039f76b6-33a7-4d60-b29e-8bac4bed9c77"
    reference = biom.load_table(str(shared_data / "ibd/table.biom"))
    np.testing.assert_array_equal(dense(files[0].table), reference.matrix_data.toarray().T)
    assert files[0].table.sample_ids.tolist() == reference.ids().tolist()
    assert files[0].table.feature_ids.tolist() == reference.ids(axis="observation").tolist()


def test_real_table_with_hashed_ids(shared_data: Path) -> None:
    table = read_table(shared_data / "tadpole/table.qza").table
    assert (table.n_samples, table.n_features) == (18, 4_729)
    rarefied = read_table(shared_data / "tadpole/rarefied_table.qza").table
    assert (rarefied.n_samples, rarefied.n_features) == (17, 3_292)
    assert set(rarefied.depths()) == {7_978}


def test_fractions_only_when_they_are_expected(tmp_path: Path) -> None:
    path = write_biom(tmp_path / "t.biom", COUNTS / 10)
    with pytest.raises(DataError, match=r"6 of 6 counts are fractions.*\(s1, f1\) = 0.5.*--relative-abundance"):
        read_table(path)
    file = read_table(path, relative_abundance=True)
    assert not file.table.is_integer
    np.testing.assert_array_equal(dense(file.table), COUNTS.T / 10)
    assert file.notes == ("the table contains fractions, not reads, so it cannot be rarefied",)
    whole = read_table(write_biom(tmp_path / "whole.biom"), relative_abundance=True)
    assert whole.table.is_integer
    assert whole.notes == ("--relative-abundance: the table contains whole numbers, which are used unchanged",)


def test_counts_beyond_int32(tmp_path: Path) -> None:
    large = COUNTS.astype(np.int64) * 2**45
    table = read_table(write_biom(tmp_path / "t.biom", large)).table
    assert table.data.counts.dtype == np.int64
    np.testing.assert_array_equal(dense(table), large.T)


def test_unsorted_rows_and_stored_zeros(tmp_path: Path) -> None:
    path = write_biom(tmp_path / "t.biom")
    with h5py.File(path, "a") as file:
        replace("sample/matrix/data", [1.0, 5.0, 3.0, 9.0, 0.0, 7.0])(file)
        replace("sample/matrix/indices", [2, 0, 1, 1, 2, 3])(file)
        replace("observation/matrix/data", [5.0, 9.0, 3.0, 0.0, 1.0, 7.0])(file)
        replace("observation/matrix/indices", [0, 2, 1, 2, 0, 2])(file)
    np.testing.assert_array_equal(dense(read_table(path).table), [[5, 0, 1, 0], [0, 3, 0, 0], [0, 9, 0, 7]])


def test_a_sample_without_reads_is_read(tmp_path: Path) -> None:
    counts = COUNTS.copy()
    counts[:, 0] = counts[:, 2] = 0
    table = read_table(write_biom(tmp_path / "t.biom", counts)).table
    assert table.features_per_sample().tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("storage", "counts_dtype", "index_dtype"),
    [("fixed", ">i8", ">i8"), ("variable", ">f4", "<u2")],
    ids=["fixed", "variable"],
)
def test_other_ways_to_store_the_same(tmp_path: Path, storage: str, counts_dtype: str, index_dtype: str) -> None:
    """Fixed-length strings and big-endian or narrow numbers, as other HDF5 writers make them."""
    path = write_biom(tmp_path / "t.biom")
    with h5py.File(path, "a") as file:
        for name, dtype in (("data", counts_dtype), ("indices", index_dtype), ("indptr", index_dtype)):
            values = file[f"sample/matrix/{name}"][:].astype(dtype)
            replace(f"sample/matrix/{name}", values, compression="lzf", shuffle=True)(file)
        if storage == "fixed":
            replace("sample/ids", np.array(SAMPLES, dtype="S8"))(file)
    table = read_table(path).table
    assert table.sample_ids.tolist() == SAMPLES
    np.testing.assert_array_equal(dense(table), COUNTS.T)


def test_non_ascii_ids(tmp_path: Path) -> None:
    features = ["f1", "f\u00e9", "f\u4e2d", "f4"]
    assert read_table(write_biom(tmp_path / "t.biom", features=features)).table.feature_ids.tolist() == features


STRINGS = h5py.string_dtype()


def external_link(file: h5py.File) -> None:
    del file["sample/matrix/data"]
    file["sample/matrix/data"] = h5py.ExternalLink("/etc/other.h5", "/data")


def external_group(file: h5py.File) -> None:
    file["sample/metadata/elsewhere"] = h5py.ExternalLink("other.h5", "/")


def soft_link(file: h5py.File) -> None:
    del file["sample/matrix/data"]
    file["sample/matrix/data"] = h5py.SoftLink("/observation/matrix/data")


def external_storage(file: h5py.File) -> None:
    del file["sample/matrix/data"]
    storage = [("numbers.raw", 0, h5py.h5f.UNLIMITED)]
    file["sample/matrix"].create_dataset("data", shape=(6,), dtype="f8", external=storage)


def virtual_dataset(file: h5py.File) -> None:
    del file["sample/matrix/data"]
    layout = h5py.VirtualLayout(shape=(6,), dtype="f8")
    layout[:] = h5py.VirtualSource("other.h5", "data", shape=(6,))
    file.create_virtual_dataset("sample/matrix/data", layout)


def declares_gigabytes(file: h5py.File) -> None:
    for name in ("data", "indices"):
        del file[f"sample/matrix/{name}"], file[f"observation/matrix/{name}"]
        file.create_dataset(f"sample/matrix/{name}", shape=(10**9,), dtype="f8", chunks=(1000,), compression="gzip")


def declares_what_is_not_there(file: h5py.File) -> None:
    del file["observation/matrix"], file["sample/matrix/data"], file["sample/matrix/indices"]
    for name, dtype in (("data", "f8"), ("indices", "i4")):
        options = {"chunks": (1000,), "compression": "gzip"}
        file.create_dataset(f"sample/matrix/{name}", shape=(10**6,), dtype=dtype, **options)
    pointers(0, 1, 2, 10**6)(file)


def giant_chunk(file: h5py.File) -> None:
    del file["sample/matrix/data"]
    options = {"maxshape": (None,), "chunks": (2**28,), "compression": "gzip"}
    file.create_dataset("sample/matrix/data", shape=(6,), dtype="f8", **options)


def scaled(file: h5py.File) -> None:
    values = file["sample/matrix/data"][:].astype("i4")
    replace("sample/matrix/data", values, scaleoffset=0, chunks=(6,))(file)


def pointers(*values: int) -> Edit:
    return replace("sample/matrix/indptr", np.array(values, dtype="i4"))


def indices(*values: int) -> Edit:
    return replace("sample/matrix/indices", np.array(values, dtype="i4"))


def counts(*values: float) -> Edit:
    return replace("sample/matrix/data", np.array(values, dtype="f8"))


def other(name: str, *values: int) -> Edit:
    """Return an edit of the half that is only compared."""
    return replace(f"observation/matrix/{name}", np.array(values, dtype="f8" if name == "data" else "i4"))


def sample_ids(*values: str | bytes) -> Edit:
    return replace("sample/ids", list(values), dtype=STRINGS)


BROKEN: dict[str, tuple[Edit, str]] = {
    "external link": (external_link, r"sample/matrix/data: a link to another file, /etc/other.h5:/data"),
    "external group": (external_group, r"sample/metadata/elsewhere: a link to another file"),
    "soft link": (soft_link, r"sample/matrix/data: a soft link to /observation/matrix/data"),
    "external storage": (external_storage, r"sample/matrix/data: its values are stored in another file"),
    "virtual dataset": (virtual_dataset, r"sample/matrix/data: its values are stored in another file"),
    "declared gigabytes": (declares_gigabytes, r"declares 16 GB .*--max-input-gb"),
    "declared, not stored": (declares_what_is_not_there, r"declares 4,000,000 bytes, but the 0 bytes"),
    "giant chunk": (giant_chunk, r"sample/matrix/data: declares 2.15 GB"),
    "unusual filter": (scaled, r"unusual HDF5 filters"),
    "no by-sample half": (lambda file: file.pop("sample/matrix"), r"lacks \(sample/matrix/data, sample/matrix/ind"),
    "strings as counts": (replace("sample/matrix/data", ["5"] * 6, dtype=STRINGS), r"expected numbers"),
    "counts of two dimensions": (
        replace("sample/matrix/data", np.ones((6, 1))),
        r"expected 1 dimension, found 2",
    ),
    "fractional pointers": (replace("sample/matrix/indptr", [0.0, 2.0, 3.0, 6.0]), r"expected whole numbers"),
    "numbers as ids": (replace("sample/ids", [1, 2, 3]), r"sample/ids: expected a list of strings"),
    "empty dataspace": (
        replace("sample/matrix/data", h5py.Empty("f8")),
        r"found an empty dataspace",
    ),
    "shape attribute": (lambda file: file.attrs.modify("shape", [40, 3]), r"declares 40 x 3 .* ids of 4 x 3"),
    "shape of text": (lambda file: file.attrs.__setitem__("shape", "4 by 3"), r"attribute shape"),
    "too few pointers": (pointers(0, 2, 6), r"3 row pointers, expected one more than the 3 samples"),
    "first pointer": (pointers(1, 2, 3, 6), r"row pointers go from 1 to 6, expected 0 to 6"),
    "last pointer": (pointers(0, 2, 3, 5), r"row pointers go from 0 to 5, expected 0 to 6"),
    "falling pointers": (pointers(0, 4, 3, 6), r"go backwards at sample number \(2\)"),
    "feature out of range": (indices(0, 2, 1, 1, 2, 4), r"1 of 6 feature numbers are not 0 to 3 \(4\)"),
    "negative feature": (indices(0, 2, -1, 1, 2, 3), r"1 of 6 feature numbers are not 0 to 3 \(-1\)"),
    "unequal lengths": (indices(0, 2, 1, 1, 2), r"5 feature numbers for 6 counts"),
    "feature twice": (indices(0, 2, 1, 1, 1, 3), r"1 of 6 counts repeat a feature of their sample \(\(s3, f2\)"),
    "not a number": (counts(5, 1, np.nan, 9, 2, 7), r"1 of 6 counts are not finite \(\(s2, f2\) = nan\)"),
    "infinite": (counts(5, 1, 3, np.inf, 2, 7), r"1 of 6 counts are not finite \(\(s3, f2\) = inf\)"),
    "negative": (counts(5, 1, 3, 9, -2, 7), r"1 of 6 counts are negative \(\(s3, f3\) = -2\)"),
    "inexact": (counts(5, 1, 3, 9, 2, 2**54), r"add up to 2\^53 or more.*\(s3, f4\) = 1.8"),
    "repeated sample": (sample_ids("s1", "s2", "s1"), r"sample ids that appear more than once \(s1\)"),
    "empty id": (sample_ids("s1", " ", "s3"), r"empty sample ids \(number 2\)"),
    "tab in an id": (sample_ids("s1", "s\t2", "s3"), r"control characters \('s\\t2'\)"),
    "Latin-1 id": (sample_ids("s1", b"s\xe9", "s3"), r"sample/ids: not UTF-8 \(b's\\xe9'\)"),
    "nnz": (lambda file: file.attrs.modify("nnz", 7), r"nnz: declares 7 counts, but contains 6"),
    "by feature, fewer counts": (replace("observation/matrix/data", [5.0]), r"1 counts by feature for 6 counts"),
    "by feature, fewer samples": (replace("observation/matrix/indices", [0]), r"1 sample numbers for 6 counts"),
    "by feature, out of range": (other("indices", 0, 1, 2, 0, 2, 3), r"observation.*1 of 6 sample numbers are not 0"),
    "by feature, pointers": (other("indptr", 0, 1, 3, 2, 6), r"observation.*go backwards at feature number \(3\)"),
    "by feature, features": (other("indptr", 0, 2, 3, 5, 6), r"other counts for 2 of 4 features \(f1, f2\)"),
    "by feature, samples": (other("indices", 0, 1, 1, 0, 2, 2), r"other counts for 1 of 4 features \(f2\)"),
    "by feature, one count": (other("data", 5, 3, 9, 1, 2, 8), r"other counts for 1 of 4 features \(f4\)"),
    "by feature, two exchanged": (other("data", 5, 9, 3, 1, 2, 7), r"other counts for 1 of 4 features \(f2\)"),
    "by feature, reversed": (other("data", 7, 2, 1, 9, 3, 5), r"other counts for 4 of 4 features \(f1, f2, f3, f4\)"),
    "repeated feature": (replace("observation/ids", ["a", "b", "a", "c"], dtype=STRINGS), r"observation/ids: feature"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_file(tmp_path: Path, name: str) -> None:
    edit, message = BROKEN[name]
    path = write_biom(tmp_path / "t.biom")
    with h5py.File(path, "a") as file:
        edit(file)
    with pytest.raises(DataError, match=message) as caught:
        read_table(path, max_input_gb=0.3 if name == "giant chunk" else 8)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_many_ids_that_point_at_one_long_string(tmp_path: Path) -> None:
    path = write_biom(tmp_path / "t.biom")
    n = 5000
    with h5py.File(path, "a") as file:
        replace("observation/ids", ["x" * 50_000] + ["y"] * (n - 1), dtype=STRINGS)(file)
        file.attrs["shape"] = (n, 3)
        start = file["observation/ids"].id.get_offset()
    content = bytearray(path.read_bytes())
    content[start : start + 16 * n] = content[start : start + 16] * n  # a reference has 16 bytes
    path.write_bytes(content)
    assert len(content) < 300_000
    with pytest.raises(DataError, match=r"observation/ids: declares 0.25 GB.*--max-input-gb"):
        read_table(path, max_input_gb=0.01)


def test_too_many_objects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hdf5_guard, "_MAX_OBJECTS", 20)
    path = write_biom(tmp_path / "t.biom")
    with h5py.File(path, "a") as file:
        for i in range(20):
            file["sample/group-metadata"].create_group(f"g{i}")
    with pytest.raises(DataError, match="contains more than 20 objects"):
        read_table(path)


def test_cyclic_groups_end(tmp_path: Path) -> None:
    path = write_biom(tmp_path / "t.biom")
    with h5py.File(path, "a") as file:
        file["sample/metadata/again"] = file["sample"]
    assert read_table(path).table.n_samples == 3


def test_truncated_at_many_places(tmp_path: Path) -> None:
    path = write_biom(tmp_path / "t.biom")
    content = path.read_bytes()
    for size in (*range(8, len(content), 499), len(content) - 1):
        path.write_bytes(content[:size])
        with pytest.raises(DataError, match=r"truncated|damaged"):
            read_table(path)


def test_zero_samples_and_zero_features(tmp_path: Path) -> None:
    for name, shape, message in (("samples", (4, 0), "no samples"), ("features", (0, 3), "no features")):
        path = tmp_path / f"{name}.biom"
        with h5py.File(path, "w") as file:
            file.attrs["shape"] = shape
            for axis, size in (("observation", shape[0]), ("sample", shape[1])):
                file.create_dataset(f"{axis}/ids", data=[f"x{i}" for i in range(size)], dtype=STRINGS)
            file["sample/matrix/data"] = np.zeros(0)
            file["sample/matrix/indices"] = np.zeros(0, dtype="i4")
            file["sample/matrix/indptr"] = np.zeros(shape[1] + 1, dtype="i4")
        with pytest.raises(DataError, match=message):
            read_table(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (gzip.compress(b"\x89HDF", mtime=0), r"not a BIOM file"),
        (gzip.compress(b"f\ts1\na\t1\n", mtime=0)[:-3], r"damaged gzip"),
        ("f\ts1\na\t1\n".encode("utf-16"), r"not UTF-8 text"),
        (gzip.compress(gzip.compress(b"f\ts1\na\t1\n", mtime=0), mtime=0), r"packed again with gzip\. Unpack it once"),
        (b"<html><body>Not found</body></html>", r"is a web page"),
        (bytes(range(256)), r"not a BIOM file"),
        (b"", r"file is empty"),
        (b"PK\x03\x04 not a zip", r"damaged zip"),
    ],
)
def test_other_formats(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "t.biom").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_table(tmp_path / "t.biom")


def test_gzip_of_hdf5(tmp_path: Path) -> None:
    packed = gzip.compress(write_biom(tmp_path / "t.biom").read_bytes())
    (tmp_path / "t.biom.gz").write_bytes(packed)
    np.testing.assert_array_equal(dense(read_table(tmp_path / "t.biom.gz").table), COUNTS.T)


KINDS = ("RelativeFrequency", "PresenceAbsence", "Composition")


@pytest.mark.parametrize("kind", KINDS)
def test_artifacts_without_counts(tmp_path: Path, write_artifact: Callable[..., Path], kind: str) -> None:
    payload = write_biom(tmp_path / "t.biom", COUNTS / 10).read_bytes()
    kind = f"FeatureTable[{kind}]"
    path = write_artifact(tmp_path / "t.qza", kind, "feature-table.biom", payload)
    expected = rf"expected FeatureTable\[Frequency\], got {re.escape(kind)}\..*--relative-abundance"
    with pytest.raises(DataError, match=expected):
        read_table(path)
    file = read_table(path, relative_abundance=True)
    np.testing.assert_array_equal(dense(file.table), COUNTS.T / 10)
    assert file.provenance.type == kind


def test_artifact_that_is_no_table(tmp_path: Path, write_artifact: Callable[..., Path]) -> None:
    path = write_artifact(tmp_path / "t.qza", "Phylogeny[Rooted]", "tree.nwk", b";")
    with pytest.raises(DataError, match=r"expected FeatureTable\[Frequency\], got Phylogeny\[Rooted\]$"):
        read_table(path)
    nested = write_artifact(tmp_path / "n.qza", "FeatureTable[Frequency]", "feature-table.biom", path.read_bytes())
    with pytest.raises(DataError, match="not a BIOM file"):
        read_table(nested)
