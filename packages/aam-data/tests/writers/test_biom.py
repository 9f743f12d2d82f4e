"""Tables written in blocks: both halves equal those that biom-format reads and writes."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from biom import Table, load_table
from scipy.sparse import csc_matrix, csr_matrix, random_array

from aam_data.readers.biom.table import read_table
from aam_data.table import SampleCounts
from aam_data.writers import biom as biom_writer
from aam_data.writers.biom import BiomWriter

SAMPLES, FEATURES = 57, 23


def counts(seed: int) -> csr_matrix:
    """Create samples by features; some features have no read, and the last sample and one in the middle are empty."""
    rng = np.random.default_rng(seed)
    matrix = random_array(
        (SAMPLES, FEATURES), density=0.3, format="lil", rng=rng, data_sampler=lambda size: rng.integers(1, 2**31, size)
    )
    matrix[[20, SAMPLES - 1]] = 0
    matrix[:, [0, 11]] = 0
    found = csr_matrix(matrix.tocsr())
    found.eliminate_zeros()
    found.sort_indices()
    return found


def write(path: Path, matrix: csr_matrix, bounds: list[int]) -> int:
    samples = np.array([f"s{i}" for i in range(SAMPLES)], dtype=object)
    features = np.array([f"f{j}" for j in range(FEATURES)], dtype=object)
    with BiomWriter(path, FEATURES) as writer:
        for low, high in zip([0, *bounds], [*bounds, SAMPLES], strict=True):
            block = matrix[low:high]
            writer.append(SampleCounts(block.indptr.astype(np.int64), block.indices, block.data.astype(np.int32)))
        return writer.finish(iter(np.split(samples, bounds)), features)


@pytest.mark.parametrize("entries", [10**6, 40, 1], ids=["one pass", "many passes", "a pass a feature"])
@pytest.mark.parametrize("bounds", [[], [1, 20, 21, 50]])
def test_both_halves_are_the_table(
    entries: int, bounds: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(biom_writer, "PASS_ENTRIES", entries)
    monkeypatch.setattr(biom_writer, "SPOOL_BLOCK", 17)
    matrix, path = counts(entries), tmp_path / "table.biom"
    kept = np.flatnonzero(matrix.sum(axis=0) > 0)
    assert write(path, matrix, bounds) == len(kept) < FEATURES - 1
    expected = Table(matrix[:, kept].T, [f"f{j}" for j in kept], [f"s{i}" for i in range(SAMPLES)], type="OTU table")
    assert load_table(str(path)) == expected
    with h5py.File(path) as file:
        assert Table.from_hdf5(file, ids=["s3", "s9"], axis="sample") == expected.filter(
            ["s3", "s9"], inplace=False
        ).remove_empty(axis="observation")
        assert tuple(file.attrs["shape"]) == (len(kept), SAMPLES)
        assert file.attrs["nnz"] == matrix.nnz
        for half, kind, shape in (("observation", csr_matrix, (len(kept), SAMPLES)), ("sample", csc_matrix, None)):
            data, indices, indptr = (file[f"{half}/matrix/{part}"][:] for part in ("data", "indices", "indptr"))
            again = kind((data, indices, indptr), shape=shape or (len(kept), SAMPLES))
            assert again.has_canonical_format  # ascending, none twice
            assert (again != matrix[:, kept].T).nnz == 0
            assert file[f"{half}/matrix/data"].dtype == np.float64


def test_the_layout_is_that_of_biom_format(tmp_path: Path) -> None:
    matrix = counts(3)
    kept = np.flatnonzero(matrix.sum(axis=0) > 0)
    write(tmp_path / "ours.biom", matrix, [])
    table = Table(matrix[:, kept].T, [f"f{j}" for j in kept], [f"s{i}" for i in range(SAMPLES)], type="OTU table")
    with h5py.File(tmp_path / "theirs.biom", "w") as file:
        table.to_hdf5(file, "biom-format")
    layouts = []
    for name in ("ours.biom", "theirs.biom"):
        with h5py.File(tmp_path / name) as file:
            found = {}
            file.visititems(lambda place, item, found=found: found.update({place: str(getattr(item, "dtype", ""))}))
            layouts.append((found, {key: type(value) for key, value in file.attrs.items()}))
    assert layouts[0] == layouts[1]


def test_our_reader_reads_it(tmp_path: Path) -> None:
    matrix = counts(5)[:19]  # no empty sample
    samples = np.array([f"s{i}" for i in range(19)], dtype=object)
    with BiomWriter(tmp_path / "table.biom", FEATURES) as writer:
        writer.append(SampleCounts(matrix.indptr.astype(np.int64), matrix.indices, matrix.data.astype(np.int32)))
        writer.finish([samples], np.array([f"f{j}" for j in range(FEATURES)], dtype=object))
    table = read_table(tmp_path / "table.biom").table
    kept = np.flatnonzero(matrix.sum(axis=0) > 0)
    assert table.feature_ids.tolist() == [f"f{j}" for j in kept]
    rows = csr_matrix((table.data.counts, table.data.indices, table.data.indptr), (19, len(kept)))
    assert (rows != matrix[:, kept]).nnz == 0


def test_nothing_stays_beside_the_target(tmp_path: Path) -> None:
    with BiomWriter(tmp_path / "table.biom", 2) as writer:
        writer.append(SampleCounts(np.array([0, 1]), np.array([1], np.int32), np.array([5], np.int32)))
        assert list(tmp_path.iterdir()) == []
    assert list(tmp_path.iterdir()) == []  # never finished
