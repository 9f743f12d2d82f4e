"""Shares of studies in an epoch, by temperature."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from aam_train.data.study_sampling import StudySampler, shares_of


@pytest.mark.parametrize(
    ("sizes", "temperature", "expected"),
    [
        ([90, 10], 1, [90, 10]),
        ([90, 10], 0, [50, 50]),
        ([90, 10], 0.5, [75, 25]),  # 9.487 : 3.162
        ([64, 1, 1], 0, [22, 22, 22]),
        ([5, 5, 5], 0.3, [5, 5, 5]),
        ([10**6, 1], 1, [10**6, 1]),
        ([7, 2], 0.5, [6, 3]),  # 5.87 : 3.13
    ],
)
def test_shares_are_powers_of_sizes(sizes: list[int], temperature: float, expected: list[int]) -> None:
    assert shares_of(np.array(sizes), temperature).tolist() == expected


def test_every_share_is_a_sample_at_least() -> None:
    numbers = shares_of(np.array([2, 1, 1, 1, 1]), 0.999)
    assert numbers.min() >= 1
    assert numbers.sum() == 6


def test_epochs_repeat_small_studies_and_use_all_of_large_ones() -> None:
    rows = np.arange(100, 220)
    studies = np.array(["large"] * 100 + ["small"] * 20, dtype=object)
    sampler = StudySampler(rows, studies, 0.0, seed=1)
    epochs = [sampler.order(epoch) for epoch in range(12)]
    for order in epochs:
        counts = Counter(order.tolist())
        assert len(order) == 120
        assert sum(n for row, n in counts.items() if row < 200) == 60
        assert max(n for row, n in counts.items() if row < 200) == 1
        assert {n for row, n in counts.items() if row >= 200} == {3}
    assert len(set(np.concatenate(epochs).tolist())) == 120
    assert np.array_equal(sampler.order(3), epochs[3])
    assert not np.array_equal(epochs[3], epochs[4])


def test_the_order_of_studies_changes_nothing() -> None:
    """Rows are those of a corpus to which the studies were added in another order."""
    studies = np.array(["a"] * 5 + ["b"] * 12, dtype=object)
    one = StudySampler(np.arange(17), studies, 0.5, seed=3).order(2)
    turned = np.r_[np.arange(12, 17), np.arange(12)]  # row of each sample in the other corpus
    other = StudySampler(turned, studies, 0.5, seed=3).order(2)
    assert np.array_equal(turned[one], other)
