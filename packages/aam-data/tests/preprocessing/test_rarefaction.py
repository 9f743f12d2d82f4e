"""Rarefaction compared with its distribution, and dependence of a draw on nothing but its key."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from aam_data.errors import DataError
from aam_data.preprocessing.rarefaction import Rarefier, deep_enough, shallow_report
from aam_data.table import CountTable, SampleCounts, table_from_triplets

IBD = Path(__file__).parents[5] / "shared/data/ibd/table.biom"


def table_of(dense: np.ndarray, sample_ids: list[str] | None = None) -> CountTable:
    sample, feature = np.nonzero(dense)
    names = sample_ids or [f"s{i}" for i in range(dense.shape[0])]
    return table_from_triplets(
        sample,
        feature,
        dense[sample, feature],
        np.array(names, dtype=object),
        np.array([f"f{j}" for j in range(dense.shape[1])], dtype=object),
    )


def dense_of(counts: SampleCounts, n_features: int) -> np.ndarray:
    dense = np.zeros((counts.n_samples, n_features), dtype=np.int64)
    dense[np.repeat(np.arange(counts.n_samples), np.diff(counts.indptr)), counts.indices] = counts.counts
    return dense


@pytest.fixture
def counts() -> np.ndarray:
    random = np.random.default_rng(0)
    return random.poisson(40, (6, 30)) * (random.random((6, 30)) < 0.4)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 10**6), min_size=5, max_size=5), min_size=1, max_size=4),
    st.integers(1, 50),
    st.integers(-3, 3),
)
def test_draws_have_the_depth_and_never_more_than_there_is(rows: list[list[int]], depth: int, draw: int) -> None:
    dense = np.array(rows)
    deep = np.flatnonzero(dense.sum(axis=1) >= depth)
    drawn = Rarefier(table_of(dense), depth, seed=1).draw(deep, draw)
    result = dense_of(drawn, 5)
    assert (result.sum(axis=1) == depth).all()
    assert (result <= dense[deep]).all()
    assert (drawn.counts > 0).all()
    assert drawn.indptr[-1] == len(drawn.indices) == len(drawn.counts)


def test_a_feature_follows_the_hypergeometric_distribution() -> None:
    """3,000 draws of 6 from (5, 9, 3): the first count against scipy's probabilities, by chi-square."""
    rarefier = Rarefier(table_of(np.array([[5, 9, 3]])), depth=6, seed=7)
    first = [dense_of(rarefier.draw(np.array([0]), draw), 3)[0, 0] for draw in range(3000)]
    expected = 3000 * stats.hypergeom(17, 5, 6).pmf(np.arange(6))
    assert stats.chisquare(np.bincount(first, minlength=6), expected).pvalue > 1e-3


def test_equal_counts_of_two_samples_are_drawn_independently() -> None:
    rarefier = Rarefier(table_of(np.array([[50, 50], [50, 50]])), depth=20, seed=7)
    draws = np.array([dense_of(rarefier.draw(np.array([0, 1]), draw), 2)[:, 0] for draw in range(2000)])
    assert abs(np.corrcoef(draws.T)[0, 1]) < 5 / np.sqrt(2000)


def test_draws_differ_between_epochs_and_seeds_and_repeat_otherwise(counts: np.ndarray) -> None:
    def of(seed: int, draw: int) -> np.ndarray:
        return dense_of(Rarefier(table_of(counts), 100, seed).draw(np.arange(6), draw), 30)

    assert (of(1, 0) == of(1, 0)).all()
    assert (of(1, 0) != of(1, 1)).any(axis=1).all()
    assert (of(1, 0) != of(1, -1)).any(axis=1).all()
    assert (of(1, 0) != of(2, 0)).any(axis=1).all()


def test_a_draw_depends_on_nothing_but_the_sample(counts: np.ndarray) -> None:
    """Samples permuted, left out or asked one by one; features of other samples inserted between."""
    whole = dense_of(Rarefier(table_of(counts), 100, 1).draw(np.arange(6), 3), 30)
    order = np.array([4, 0, 5, 2])
    some = table_of(counts[order], [f"s{i}" for i in order])
    assert (dense_of(Rarefier(some, 100, 1).draw(np.arange(4), 3), 30) == whole[order]).all()
    asked = Rarefier(table_of(counts), 100, 1)
    assert (dense_of(asked.draw(order, 3), 30) == whole[order]).all()
    one_by_one = [dense_of(asked.draw(np.array([row]), 3), 30)[0] for row in range(6)]
    assert (np.stack(one_by_one) == whole).all()
    spread = np.zeros((7, 60), dtype=counts.dtype)
    spread[:6, 1::2] = counts
    spread[6, ::2] = 50
    wider = Rarefier(table_of(spread), 100, 1).draw(np.arange(6), 3)
    assert (dense_of(wider, 60)[:, 1::2] == whole).all()


def test_the_draw_of_a_saved_model_stays_the_same() -> None:
    """Stored numbers. If they change, predictions of saved models change too."""
    drawn = Rarefier(table_of(np.array([[5, 90, 0, 300, 20]]), ["sample"]), 40, seed=42).draw(np.array([0]), -1)
    assert (drawn.indices.tolist(), drawn.counts.tolist()) == ([1, 3, 4], [9, 30, 1])


def test_depth_equal_to_the_reads_or_zero_gives_the_counts_themselves(counts: np.ndarray) -> None:
    table = table_of(counts)
    rows = np.array([3, 1])
    depth = int(counts[3].sum())
    assert (dense_of(Rarefier(table, depth, 1).draw(rows[:1], 0), 30) == counts[rows[:1]]).all()
    assert (dense_of(Rarefier(table, 0, 1).draw(rows, 0), 30) == counts[rows]).all()


def test_relative_abundances_are_rejected_unless_used_as_they_are() -> None:
    table = table_of(np.array([[0.25, 0.75]]))
    assert Rarefier(table, 0, 1).draw(np.array([0]), 0).counts.tolist() == [0.25, 0.75]
    with pytest.raises(DataError, match=r"relative abundances.*--rarefy-depth 0"):
        Rarefier(table, 10, 1)


def test_counts_beyond_int32_are_exact_and_beyond_the_generator_rejected() -> None:
    deep = table_of(np.array([[999_999_000, 999], [3, 4]]))
    assert Rarefier(deep, 7, 1).draw(np.array([0, 1]), 0).counts.sum() == 14
    with pytest.raises(DataError, match=r"1 samples have more than 999,999,999 reads \(s0\)"):
        Rarefier(table_of(np.array([[2**31, 2**33]])), 7, 1)


def test_shallow_samples_are_found_named_and_rejected() -> None:
    table = table_of(np.array([[5, 0], [90, 20], [0, 99]]))
    assert deep_enough(table, 100).tolist() == [False, True, False]
    assert shallow_report(table, 100) == (
        "warning: 2 of 3 samples have fewer than 100 reads and are left out"
        " (quantiles of reads per sample: 0% 5, 5% 5, 25% 5, 50% 99, 75% 99, 100% 110)"
        ". --rarefy-depth 5 would keep at least 95% of the samples"
    )
    with pytest.raises(DataError, match=r"2 samples have fewer than 100 reads \(s0, s2\).*--rarefy-depth"):
        Rarefier(table, 100, 1).draw(np.arange(3), 0)
    with pytest.raises(
        DataError, match=r"has 200 reads; the deepest has 110. --rarefy-depth 5 would keep at least 95%"
    ):
        deep_enough(table, 200)
    with pytest.raises(DataError, match=r"^table.tsv: no sample .* has 110. The model was trained at this depth"):
        deep_enough(table, 200, "table.tsv", of_model=True)
    assert "--rarefy-depth 5" not in str(shallow_report(table, 100, of_model=True))


def test_without_rarefaction_only_empty_samples_are_left_out() -> None:
    table = table_of(np.array([[5, 0], [0, 0]]))
    assert deep_enough(table, 0).tolist() == [True, False]
    assert shallow_report(table.take_samples(np.array([0])), 0) is None
    with pytest.raises(DataError, match="no sample has reads"):
        deep_enough(table.take_samples(np.array([1])), 0)


@pytest.mark.skipif(not IBD.exists(), reason="real data are not at ../shared/data")
def test_expected_counts_on_real_samples() -> None:
    """Mean of 200 draws of three ibd samples against depth * share, within 6 standard errors."""
    with h5py.File(IBD) as file:
        matrix = file["sample/matrix"]
        indptr, indices = matrix["indptr"][:].astype(np.int64), matrix["indices"][:]
        ids = file["sample/ids"].asstr()[:]
        data = SampleCounts(indptr, indices, matrix["data"][:].astype(np.int32))
        table = CountTable(ids, np.arange(file["observation/ids"].shape[0]), data)
    assert np.count_nonzero(deep_enough(table, 5000)) == 428
    rows = np.flatnonzero(table.depths() > 20_000)[:3]
    rarefier = Rarefier(table, 5000, 42)
    mean = np.mean([dense_of(rarefier.draw(rows, draw), table.n_features) for draw in range(200)], axis=0)
    whole = dense_of(table.take_counts(rows), table.n_features)
    total = whole.sum(axis=1, keepdims=True)
    share = whole / total
    variance = 5000 * share * (1 - share) * (total - 5000) / (total - 1)
    assert (np.abs(mean - 5000 * share) <= 6 * np.sqrt(variance / 200)).all()
