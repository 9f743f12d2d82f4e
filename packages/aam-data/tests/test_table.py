"""Tables processed in parts: all results equal those of the dense matrix, for any size of the parts."""

from __future__ import annotations

import numpy as np
import pytest

from aam_data import table as module
from aam_data.table import CountTable, SampleCounts, rows_from_triplets, table_from_triplets


def random_table(*, fractions: bool = False) -> tuple[CountTable, np.ndarray]:
    """A table of 40 samples, some of them empty, and its counts as a dense matrix."""
    random = np.random.default_rng(5)
    dense = random.poisson(0.8, (40, 11)) * (random.random((40, 1)) < 0.9)
    dense = dense / 8 if fractions else dense
    sample, feature = np.nonzero(dense)
    ids = np.array([f"s{i}" for i in range(40)], dtype=object), np.array([f"f{i}" for i in range(11)], dtype=object)
    return table_from_triplets(sample, feature, dense[sample, feature], *ids), dense


def dense_of(rows: SampleCounts, n_features: int) -> np.ndarray:
    found = np.zeros((rows.n_samples, n_features), dtype=rows.counts.dtype)
    found[np.repeat(np.arange(rows.n_samples), np.diff(rows.indptr)), rows.indices] = rows.counts
    return found


@pytest.mark.parametrize("fractions", [False, True])
@pytest.mark.parametrize("at_once", [1, 5, 17, 10**6])
def test_parts_add_up(at_once: int, fractions: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_ENTRIES", at_once)
    table, dense = random_table(fractions=fractions)
    parts = list(table.data.parts())
    assert [row for rows, _ in parts for row in range(rows.start, rows.stop)] == list(range(40))
    assert all(len(part.counts) <= at_once or part.n_samples == 1 for _, part in parts)
    chosen = np.arange(11) % 3 == 0
    np.testing.assert_array_equal(table.depths(), dense.sum(axis=1))
    np.testing.assert_array_equal(table.reads_in(chosen), dense[:, chosen].sum(axis=1))
    np.testing.assert_array_equal(table.number_of(chosen), (dense[:, chosen] > 0).sum(axis=1))
    np.testing.assert_array_equal(table.reads_per_feature(), dense.sum(axis=0))
    np.testing.assert_array_equal(table.samples_per_feature(), (dense > 0).sum(axis=0))
    rows = np.array([7, 30, 2, 7])
    np.testing.assert_array_equal(table.observed_in(rows[:1]), np.flatnonzero(dense[7]))
    np.testing.assert_array_equal(table.observed_in(rows), np.flatnonzero(dense[rows].any(axis=0)))
    np.testing.assert_array_equal(dense_of(table.take_counts(rows), 11), dense[rows])


@pytest.mark.parametrize("fractions", [False, True])
@pytest.mark.parametrize("at_once", [1, 17, 10**6])
def test_features_are_regrouped_in_parts(at_once: int, fractions: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_ENTRIES", at_once)
    table, dense = random_table(fractions=fractions)
    new_index = np.array([3, -1, 0, 3, 1, 2, -1, 2, 0, 4, 4])
    found = table.regroup_features(new_index, np.array(list("abcde"), dtype=object))
    expected = np.stack([dense[:, new_index == group].sum(axis=1) for group in range(5)], axis=1)
    np.testing.assert_array_equal(dense_of(found.data, 5), expected)
    assert found.data.counts.dtype == (np.float64 if fractions else np.int32)
    assert (found.data.indices.dtype, found.data.indptr.dtype) == (np.int32, np.int64)
    assert found.file_rows is not None
    assert found.file_rows.tolist() == [2, 4, 5, 0, 9]


def test_sums_beyond_31_bits_and_fractions_that_become_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_ENTRIES", 2)
    ids = np.array(["s", "t", "u"], dtype=object), np.array(["f", "g"], dtype=object)
    sample, feature = np.array([0, 0, 1, 1, 2]), np.array([0, 1, 0, 1, 0])
    large = table_from_triplets(sample, feature, np.array([1, 2, 2**30, 2**30, 5]), *ids)
    both = large.regroup_features(np.zeros(2, dtype=np.int64), ids[1][:1])
    assert both.data.counts.dtype == np.int64
    assert both.data.counts.tolist() == [3, 2**31, 5]
    first = both.regroup_features(np.zeros(1, dtype=np.int64), ids[1][:1]).take_samples(np.array([0, 2]))
    assert first.data.counts.tolist() == [3, 5]
    halves = table_from_triplets(sample, feature, np.array([0.5, 0.5, 1.5, 2.5, 1.0]), *ids)
    whole = halves.regroup_features(np.zeros(2, dtype=np.int64), ids[1][:1])
    assert whole.is_integer
    assert whole.data.counts.tolist() == [1, 4, 1]


def test_rows_of_a_table_are_stored_small() -> None:
    rows = rows_from_triplets(np.array([0, 0]), np.array([1, 0]), np.array([2.0, 3.0]), 1)
    assert (rows.indices.tolist(), rows.counts.tolist(), rows.counts.dtype) == ([0, 1], [3, 2], np.int32)
