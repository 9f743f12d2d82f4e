"""Columns and rows that add up the others; the cases of tests/broken_files have the messages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aam_data.errors import DataError
from aam_data.readers.biom.sums import check_no_sums
from aam_data.readers.ids import as_objects
from aam_data.table import CountTable, table_from_triplets


def table(counts: np.ndarray, names: list[str] | None = None) -> CountTable:
    """A table from counts [samples, features]."""
    sample, feature = np.nonzero(counts)
    ids = names or [f"s{b}" for b in range(len(counts))]
    features = as_objects([f"f{k}" for k in range(counts.shape[1])])
    return table_from_triplets(sample, feature, counts[sample, feature], as_objects(ids), features)


@pytest.mark.parametrize("seed", range(20))
def test_random_tables_have_no_sums_and_their_sums_are_found(seed: int) -> None:
    rng = np.random.Generator(np.random.PCG64(seed))
    counts = rng.negative_binomial(1, 0.01, (int(rng.integers(2, 9)), int(rng.integers(3, 30)))) * rng.integers(0, 2)
    counts = counts + rng.integers(1, 50, counts.shape)
    check_no_sums(table(counts), Path("t"))
    position = int(rng.integers(len(counts) + 1))
    with pytest.raises(DataError, match=rf"a sample is the sum of all other samples \(s{position}\)"):
        check_no_sums(table(np.insert(counts, position, counts.sum(0), axis=0)), Path("t"))
    if len(counts) > 2:
        with pytest.raises(DataError, match="a feature is the sum of all other features"):
            check_no_sums(table(np.insert(counts, 1, counts.sum(1), axis=1)), Path("t"))


@pytest.mark.parametrize(
    "counts",
    [
        [[1, 2, 3], [1, 2, 3]],  # two equal samples
        [[1, 2, 3]],
        [[1, 2, 3], [1, 2, 3], [0, 0, 0]],  # the third has no reads
        [[1], [2], [3]],  # one feature adds up by chance
        [[5, 5, 5], [5, 5, 5], [5, 5, 5]],
        [[5, 3, 2], [10, 6, 4], [15, 9, 6]],  # alike, so that one sum is as good as all
        [[1, 0], [0, 1], [1, 1]],
    ],
)
def test_what_is_no_sum(counts: list[list[float]]) -> None:
    check_no_sums(table(np.array(counts)), Path("t"))


@pytest.mark.parametrize("decimals", [2, 3, 5])
def test_rounded_sums_of_fractions(decimals: int) -> None:
    rng = np.random.Generator(np.random.PCG64(decimals))
    shares = rng.dirichlet(np.ones(12), 9)
    check_no_sums(table(shares.round(decimals)), Path("t"))
    with pytest.raises(DataError, match="a sample is the sum"):
        check_no_sums(table(np.vstack([shares, shares.sum(0)]).round(decimals)), Path("t"))
