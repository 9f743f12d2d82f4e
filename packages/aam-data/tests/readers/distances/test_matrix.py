"""Distance matrices: every format yields the same matrix, and other files are rejected."""

from __future__ import annotations

import io
import shutil
import subprocess
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import skbio

from aam_data.errors import DataError
from aam_data.options.base import UnifracMetric
from aam_data.readers.distances import ssu as distances_ssu
from aam_data.readers.distances.checks import check_range
from aam_data.readers.distances.matrix import open_distances, read_distances
from aam_data.readers.ids import as_objects
from aam_data.readers.qiime2 import open_artifact

IDS = ["s1", "s2", "s3"]
VALUES = np.array([[0, 0.25, 0.5], [0.25, 0, 1], [0.5, 1, 0]])
TEXT = "\ts1\ts2\ts3\ns1\t0\t0.25\t0.5\ns2\t0.25\t0\t1.0\ns3\t0.5\t1e0\t0\n"


def write_ssu(path: Path, values: np.ndarray = VALUES, names: tuple[str, ...] = ("matrix",)) -> Path:
    """The layout of ``ssu --format hdf5_fp32``."""
    with h5py.File(path, "w") as file:
        file.create_dataset("format", data=[b"BDSM"])
        file.create_dataset("version", data=[b"2020.12"])
        file.create_dataset("order", data=IDS, dtype=h5py.string_dtype("ascii"))
        for name in names:
            file.create_dataset(name, data=values)
        file.create_dataset("pcoa_eigvals", data=np.ones(2))
    return path


def test_ssu_hdf5(tmp_path: Path) -> None:
    for dtype in (np.float32, np.float64):
        matrix = read_distances(write_ssu(tmp_path / "m.h5", VALUES.astype(dtype)))
        assert matrix.ids.tolist() == IDS
        assert matrix.values.dtype == dtype
        np.testing.assert_array_equal(matrix.values, VALUES)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("m.tsv", TEXT),
        ("m.tsv", "# made by hand\n\n" + TEXT.replace("\n", "\r\n\r\n")),
        ("m.tsv", "Sample" + TEXT),
        ("m.csv", TEXT.replace("\t", ",")),
    ],
    ids=["lsmat", "comments", "header", "csv"],
)
def test_text(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content, newline="")
    matrix = read_distances(tmp_path / name)
    assert matrix.ids.tolist() == IDS
    np.testing.assert_array_equal(matrix.values, VALUES)


def test_artifact(tmp_path: Path, write_artifact: Callable[..., Path]) -> None:
    path = write_artifact(tmp_path / "m.qza", "DistanceMatrix", "distance-matrix.tsv", TEXT.encode())
    np.testing.assert_array_equal(read_distances(path).values, VALUES)
    wrong = write_artifact(tmp_path / "t.qza", "Phylogeny[Rooted]", "tree.nwk", b";")
    with pytest.raises(DataError, match="expected DistanceMatrix, got Phylogeny"):
        read_distances(wrong)


def test_numpy(tmp_path: Path) -> None:
    for order in "CF":
        np.save(tmp_path / "m.npy", np.asarray(VALUES, order=order))
        (tmp_path / "ids.txt").write_text("s1\ns2\n\n s3 \n")
        matrix = read_distances(tmp_path / "m.npy", tmp_path / "ids.txt")
        assert matrix.ids.tolist() == IDS
        np.testing.assert_array_equal(matrix.values, VALUES)
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "m.npz", distances=VALUES.astype(np.float32), ids=np.array(IDS))
        matrix = read_distances(tmp_path / "m.npz")
        assert matrix.ids.tolist() == IDS
        np.testing.assert_array_equal(matrix.values, VALUES)


@pytest.mark.parametrize("kind", ["unweighted", "weighted"])
def test_real_matrices(tmp_path: Path, shared_data: Path, kind: str) -> None:
    path = shared_data / f"tadpole/{kind}_unifrac_distance_matrix.qza"
    (tmp_path / "m.tsv").write_bytes(open_artifact(path, ("DistanceMatrix",), 10**7).payload)
    reference = skbio.DistanceMatrix.read(str(tmp_path / "m.tsv"), format="lsmat")
    for matrix in (read_distances(path), read_distances(tmp_path / "m.tsv")):
        assert tuple(matrix.ids) == reference.ids
        np.testing.assert_array_equal(matrix.values, reference.data)


def test_take(tmp_path: Path) -> None:
    matrix = read_distances(write_ssu(tmp_path / "m.h5")).take(np.array(["s3", "new", "s1"], dtype=object))
    assert matrix.ids.tolist() == ["s3", "new", "s1"]
    expected = [[0, np.nan, 0.5], [np.nan, np.nan, np.nan], [0.5, np.nan, 0]]
    np.testing.assert_array_equal(matrix.values, expected)


def changed(i: int, j: int, value: float, *, both: bool = True) -> np.ndarray:
    values = VALUES.copy()
    values[i, j] = value
    if both:
        values[j, i] = value
    return values


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (changed(0, 1, np.nan), r"2 of 9 distances are not finite \(\(s1, s2\) = nan, \(s2, s1\) = nan\)"),
        (changed(0, 2, np.inf), r"2 of 9 distances are not finite"),
        (changed(1, 2, -0.1), r"2 of 9 distances are negative \(\(s2, s3\) = -0.1"),
        (changed(1, 1, 0.1), r"1 of 9 distances of a sample to itself are not 0 \(\(s2, s2\) = 0.1\)"),
        (changed(0, 1, 0.2501, both=False), r"2 of 9 distances differ between .*\(\(s1, s2\) = 0.2501"),
        (VALUES[:2], "expected a square matrix of 3 samples, found 2 x 3"),
        (VALUES[0], "expected numbers of 2 dimensions"),
        (VALUES.astype(np.float16), "distances of type float16"),
        (VALUES.astype(int), "expected numbers"),
    ],
)
def test_what_is_no_distance(tmp_path: Path, values: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_distances(write_ssu(tmp_path / "m.h5", values))


def test_every_block_of_a_large_matrix_is_checked(tmp_path: Path) -> None:
    n = 1500
    points = np.random.default_rng(0).random(n)
    values = np.abs(points[:, None] - points)
    (tmp_path / "ids").write_text("\n".join(map(str, range(n))))
    np.save(tmp_path / "m.npy", values)
    np.testing.assert_array_equal(read_distances(tmp_path / "m.npy", tmp_path / "ids").values, values)
    for (i, j), message in {
        (1499, 3): "2 of 2,250,000 distances differ",
        (1400, 1400): "1 of 2,250,000 distances of a sample to itself",
    }.items():
        wrong = values.copy()
        wrong[i, j] += 0.5
        np.save(tmp_path / "m.npy", wrong)
        with pytest.raises(DataError, match=rf"{message}.*\({i}, {j}\)"):
            read_distances(tmp_path / "m.npy", tmp_path / "ids")


def test_rounding_is_tolerated(tmp_path: Path) -> None:
    values = changed(0, 1, 0.250009, both=False) + np.diag([0, 0, 1e-6])
    assert read_distances(write_ssu(tmp_path / "m.h5", values)).values[0, 1] == 0.250009


def write_multi(path: Path, n_matrices: int = 3) -> Path:
    """The layout of ``ssu --mode multi``: one matrix for each rarefaction, here k + 1 times VALUES / 4."""
    with h5py.File(path, "w") as file:
        file.create_dataset("format", data=[b"SUJK"])
        file.create_dataset("version", data=[b"2023.03"])
        file.create_dataset("order", data=IDS, dtype=h5py.string_dtype("ascii"))
        for k in range(n_matrices):
            file.create_dataset(f"matrix:{k}", data=(VALUES * (k + 1) / 4).astype(np.float32))
            file.create_dataset(f"pcoa_eigvals:{k}", data=np.ones(2))
        file.create_dataset("stat_method", data=[b"PERMANOVA"])
    return path


def test_several_matrices_of_ssu(tmp_path: Path) -> None:
    path = write_multi(tmp_path / "m.h5")
    mean = read_distances(path)
    np.testing.assert_allclose(mean.values, VALUES / 2, rtol=1e-6)
    assert mean.values.dtype == np.float32
    for k in range(3):
        np.testing.assert_array_equal(read_distances(path, matrix_index=k).values, VALUES * (k + 1) / 4)
    with pytest.raises(DataError, match=r"--matrix-index 3: this file has the matrices 0 to 2.*mean of all"):
        read_distances(path, matrix_index=3)
    with h5py.File(path, "a") as file:
        file["matrix:4"] = file["matrix:2"][:2]
    with pytest.raises(DataError, match=r"4 matrices, but not numbered from matrix:0 without gaps \(matrix:3\)"):
        read_distances(path)
    with h5py.File(path, "a") as file:
        file.move("matrix:4", "matrix:3")
    with pytest.raises(DataError, match=r"several sizes \(.*matrix:2 3 x 3, matrix:3 2 x 3\)"):
        read_distances(path)


def test_a_number_of_the_only_matrix(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"contains one matrix.*Leave out --matrix-index"):
        read_distances(write_ssu(tmp_path / "m.h5"), matrix_index=0)
    (tmp_path / "m.tsv").write_text(TEXT)
    with pytest.raises(DataError, match=r"contains one matrix.*ssu --mode multi"):
        read_distances(tmp_path / "m.tsv", matrix_index=0)


def test_a_file_of_ssu_without_matrix(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no matrix \(ssu --format hdf5_nodist\).*--format hdf5_fp32"):
        read_distances(write_ssu(tmp_path / "m.h5", names=()))


@pytest.fixture(params=["contiguous", "chunked", "multi", "npy"])
def large(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Path | None, np.ndarray]:
    """A file of distances between 400 samples s0, s1, ..., its ids if they are in another file, and its values."""
    points = np.random.default_rng(1).random(400)
    values = np.abs(points[:, None] - points).astype(np.float32)
    ids = [f"s{i}" for i in range(400)]
    if request.param == "npy":
        np.save(tmp_path / "m.npy", np.asfortranarray(values))
        (tmp_path / "ids").write_text("\n".join(ids))
        return tmp_path / "m.npy", tmp_path / "ids", values
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file.create_dataset("order", data=ids)
        if request.param == "multi":
            file["matrix:0"], file["matrix:1"] = values / 2, values * 1.5
        else:
            chunked = {"chunks": (37, 50), "compression": "gzip"} if request.param == "chunked" else {}
            file.create_dataset("matrix", data=values, **chunked)
    return tmp_path / "m.h5", None, values


@pytest.mark.parametrize("block_bytes", [1, 50_000, 10**7])
def test_takes_some_rows(
    large: tuple[Path, Path | None, np.ndarray], block_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distances_ssu, "_BLOCK_BYTES", block_bytes)
    path, ids, values = large
    file = open_distances(path, ids)
    rng = np.random.default_rng(2)
    for size in (0, 1, 3, 60, 400):
        rows = rng.permutation(400)[:size]
        taken = file.take(as_objects([f"s{i}" for i in rows]))
        np.testing.assert_allclose(taken.values, values[np.ix_(rows, rows)], rtol=1e-6)
        assert taken.ids.tolist() == [f"s{i}" for i in rows]
        assert taken.values.dtype == np.float32
    taken = file.take(as_objects(["s7", "new", "s3"]))
    expected = [[0, np.nan, values[7, 3]], [np.nan] * 3, [values[3, 7], np.nan, 0]]
    np.testing.assert_allclose(taken.values, expected, rtol=1e-6)
    np.testing.assert_allclose(read_distances(path, ids).values, values, rtol=1e-6)


def test_only_what_is_taken_is_checked(tmp_path: Path) -> None:
    file = open_distances(write_ssu(tmp_path / "m.h5", changed(0, 1, -1.0)))
    assert file.take(as_objects(["s3", "s1"])).values.tolist() == [[0, 0.5], [0.5, 0]]
    with pytest.raises(DataError, match=r"2 of 4 distances are negative \(\(s2, s1\) = -1.0"):
        file.take(as_objects(["s2", "s1"]))


def test_memory_follows_what_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From 32 MB of distances, in blocks of at most 1 MB."""
    monkeypatch.setattr(distances_ssu, "_BLOCK_BYTES", 2**20)
    n = 2000
    ids = [f"s{i}" for i in range(n)]
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file.create_dataset("order", data=ids)
        file.create_dataset("matrix", data=np.zeros((n, n)))
    np.save(tmp_path / "m.npy", np.zeros((n, n)))
    (tmp_path / "ids").write_text("\n".join(ids))
    for opened in (open_distances(tmp_path / "m.h5"), open_distances(tmp_path / "m.npy", tmp_path / "ids")):
        tracemalloc.start()
        taken = opened.take(as_objects(ids[::20]))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert taken.values.shape == (100, 100)
        assert peak < 4 * 2**20


@pytest.mark.parametrize("metric", ["unifrac", "weighted", "generalized", "weighted_unnormalized"])
def test_range_of_a_metric(metric: UnifracMetric) -> None:
    ids, path = as_objects(IDS), Path("m.h5")
    check_range(ids, changed(0, 1, 1.000009), metric, path)
    check_range(ids, changed(0, 1, np.nan), metric, path)
    if metric == "weighted_unnormalized":
        check_range(ids, 7 * VALUES, metric, path)
        return
    with pytest.raises(DataError, match=r"6 of 9 distances are above 1, up to 7; .*\(s1, s3\) = 3.5, .*ssu -m "):
        check_range(ids, 7 * VALUES, metric, path)


@pytest.mark.skipif(shutil.which("ssu") is None, reason="ssu (unifrac-binaries) is not installed")
def test_files_that_ssu_writes(tmp_path: Path, shared_data: Path) -> None:
    for name, kind, artifact in (
        ("t.biom", "FeatureTable[Frequency]", "rarefied_table.qza"),
        ("t.nwk", "Phylogeny[Rooted]", "rooted-tree.qza"),
    ):
        (tmp_path / name).write_bytes(open_artifact(shared_data / "tadpole" / artifact, (kind,), 10**8).payload)

    def ssu(output: str, *options: str) -> Path:
        command = ["ssu", "-m", "unweighted", "-i", "t.biom", "-t", "t.nwk", "-o", output, *options]
        subprocess.run(command, check=True, cwd=tmp_path, capture_output=True)
        return tmp_path / output

    theirs = read_distances(shared_data / "tadpole" / "unweighted_unifrac_distance_matrix.qza")
    for path, dtype in (
        (ssu("32.h5", "--format", "hdf5_fp32"), np.float32),
        (ssu("64.h5", "--format", "hdf5_fp64", "--pcoa", "0"), np.float64),
        (ssu("ascii.tsv"), np.float64),
    ):
        actual = read_distances(path).take(theirs.ids)
        assert actual.values.dtype == dtype
        np.testing.assert_allclose(actual.values, theirs.values, atol=1e-6)
    with pytest.raises(DataError, match=r"a partial result of ssu.*merge-partial"):
        read_distances(ssu("part.bin", "--mode", "partial", "--start", "0", "--stop", "2"))


def test_other_hdf5(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file["sample/ids"] = [1]
    with pytest.raises(DataError, match=r"not a matrix written by ssu \(sample/ids\)"):
        read_distances(tmp_path / "m.h5")
    write_ssu(tmp_path / "link.h5")
    with h5py.File(tmp_path / "link.h5", "a") as file:
        del file["matrix"]
        file["matrix"] = h5py.ExternalLink("other.h5", "matrix")
    with pytest.raises(DataError, match="matrix: a link to another file"):
        read_distances(tmp_path / "link.h5")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "file is empty"),
        (b"# nothing\n", "no header"),
        (b"\t\n", "no header"),
        (b"just text\n", "no samples"),
        (b"\ts1\ts2\ns1\t0\t1\n", "2 samples in the header, 1 rows"),
        (b"\ts1\ns1\t0\ns2\t1\n", "1 samples in the header, more rows"),
        (b"\ts1\ts2\ns2\t0\t1\ns1\t1\t0\n", "row 2: starts with s2, expected s1"),
        (b"\ts1\ts2\ns1\t0\t1\t5\ns2\t1\t0\n", "row 2: 4 cells, the header has 3"),
        (b"\ts1\ts2\ns1\t0\tfar\ns2\t1\t0\n", "1 distances are not numbers .*s1, s2. = 'far'"),
        (b"\ts1\ts2\ns1\t0\t0_1\ns2\t0_1\t0\n", "2 distances are not numbers .*s1, s2. = '0_1'"),
        (b"\ts1\ts1\ns1\t0\t1\ns1\t1\t0\n", r"appear more than once \(s1\)"),
        (b"\ts1\ts2\ns1\t0\tnan\ns2\tnan\t0\n", "2 of 4 distances are not finite"),
        (b"\x28\xb5\x2f\xfd\x00", "unzstd"),
        (b"SSU-PARTIAL-01....", "merge-partial"),
        (b"\x02\xba\x8a\x08\x00\x00", "merge-partial"),
        (b"\x01\x02\x00\x03", "not UTF-8 text"),
    ],
)
def test_broken_text(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "m.tsv").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_distances(tmp_path / "m.tsv")


class Evil:
    """Would leave a trace if it were unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.trace,)


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    trace, objects = tmp_path / "trace", np.empty((1, 1), dtype=object)
    objects[0, 0] = Evil(trace)
    np.save(tmp_path / "m.npy", objects, allow_pickle=True)
    (tmp_path / "ids").write_text("s1\n")
    with pytest.raises(DataError, match="Python objects"):
        read_distances(tmp_path / "m.npy", tmp_path / "ids")
    np.savez(tmp_path / "m.npz", distances=np.zeros((1, 1)), ids=objects[0])
    with pytest.raises(DataError, match=r"ids: an array of Python objects.*astype\(str\)"):
        read_distances(tmp_path / "m.npz")
    assert not trace.exists()


def npy(values: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, values)
    return stream.getvalue()


def test_broken_numpy(tmp_path: Path) -> None:
    path, ids = tmp_path / "m.npy", tmp_path / "ids"
    ids.write_text("s1\ns2\ns3\n")
    giant = npy(VALUES).replace(b"(3, 3)", b"(999999, 999999)").replace(b" " * 10, b"", 1)
    for content, message in {
        npy(VALUES)[:-1]: "declares 72 bytes of values, but 71 follow",
        giant: "declares 7,999,984,000,008 bytes of values, but 72 follow",
        npy(VALUES)[:40]: "damaged",
        npy(VALUES)[:7]: "damaged",
        b"\x93NUMPY\x09\x00" + npy(VALUES)[8:]: "damaged",
        npy(VALUES).replace(b"(3, 3), ", b"(-3, -3)"): "damaged",
        npy(VALUES).replace(b"(3, 3), ", b"(3, 3) {("): "damaged",
        npy(VALUES).replace(b"'<f8'", b"'<q9'"): "damaged",
        npy(np.zeros((0, 3))).replace(b"(0, 3), }      ", b"(0, 1234567), }"): "declares 0 bytes of values, but 0",
        npy(np.zeros(0)).replace(b"<f8", b"<U0").replace(b"(0,), }      ", b"(9999999,), }"): "declares 0 bytes",
        npy(VALUES)[:8] + b"\x76\xff" + npy(VALUES)[10:]: "damaged",
        npy(np.zeros((3, 1, 3))): "not a .npy array of numbers or text",
        npy(np.zeros(3, dtype=[("a", float)])): "not a .npy array of numbers or text",
        npy(np.zeros(3)): "expected a square matrix of 3 samples, found 3",
        npy(np.array(0.0)): "3 ids for the 0 rows",
        npy(np.zeros((0, 3))): "3 ids for the 0 rows",
        npy(np.zeros((2, 2))): "3 ids for the 2 rows",
        npy(VALUES.astype(np.float16)): "distances of type float16.*Save it as float32 or float64",
        npy(VALUES.astype(np.int64)): "distances of type int64",
        npy(VALUES.astype(complex)): "distances of type complex128",
    }.items():
        path.write_bytes(content)
        with pytest.raises(DataError, match=message):
            read_distances(path, ids)


def test_ids_of_numpy_files(tmp_path: Path) -> None:
    np.save(tmp_path / "m.npy", VALUES)
    with pytest.raises(DataError, match="--matrix-ids"):
        read_distances(tmp_path / "m.npy")
    names = np.array(["c", "a", "b"], dtype=object)
    opened = open_distances(tmp_path / "m.npy", table_samples=names)
    assert opened.ids.tolist() == ["c", "a", "b"]
    assert (opened.take(names).values == VALUES).all()
    (note,) = opened.notes
    assert note.startswith(
        "warning: m.npy: a .npy matrix has no ids; its rows are taken to be the 3 samples of --table"
    )
    assert "--matrix-ids" in note
    with pytest.raises(DataError, match=r"has no ids, and it is 3 x 3 while --table has 2 samples\. .*--matrix-ids"):
        open_distances(tmp_path / "m.npy", table_samples=names[:2])
    (tmp_path / "m.tsv").write_text(TEXT)
    with pytest.raises(DataError, match="has its own ids"):
        read_distances(tmp_path / "m.tsv", tmp_path / "m.npy")
    np.savez(tmp_path / "m.npz", matrix=VALUES, ids=np.array(IDS))
    with pytest.raises(DataError, match=r"expected the arrays distances and ids, found \(matrix, ids\)"):
        read_distances(tmp_path / "m.npz")
    np.savez(tmp_path / "m.npz", distances=VALUES, ids=np.arange(3))
    with pytest.raises(DataError, match="ids: expected a list of text, found int64"):
        read_distances(tmp_path / "m.npz")


def test_numpy_in_another_byte_order(tmp_path: Path) -> None:
    np.savez(tmp_path / "m.npz", distances=VALUES.astype(">f4"), ids=np.array(IDS, dtype=">U5"))
    matrix = read_distances(tmp_path / "m.npz")
    assert (matrix.ids.tolist(), matrix.values.dtype) == (IDS, np.dtype(np.float32))
    np.testing.assert_array_equal(matrix.values, VALUES)


def test_numpy_larger_than_allowed(tmp_path: Path) -> None:
    np.save(tmp_path / "m.npy", np.zeros((50, 50)))
    (tmp_path / "ids").write_text("\n".join(map(str, range(50))))
    with pytest.raises(DataError, match="--max-input-gb"):
        read_distances(tmp_path / "m.npy", tmp_path / "ids", max_input_gb=1e-5)


def test_npz_with_a_name_that_leads_out(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "m.npz", "w") as archive:
        archive.writestr("../distances.npy", npy(VALUES))
    with pytest.raises(DataError, match="lead out of the archive"):
        read_distances(tmp_path / "m.npz")
