"""Division into parts: sizes by hand, classes in proportion, groups whole."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from sklearn.model_selection import GroupShuffleSplit

from aam_data.splits.partition import partition

SHARES = np.array([0.2, 0.1, 0.7])


def divide(strata: list[np.ndarray], shares: np.ndarray, seed: int, *key: int) -> np.ndarray:
    return partition([csr_array(members) for members in strata], shares, seed, *key)


def sizes_of(members: np.ndarray, shares: np.ndarray, seed: int = 0) -> np.ndarray:
    """Count samples by part and class, [P, K]."""
    part = divide([members], shares, seed)
    return np.stack([members[part == number].sum(axis=0) for number in range(len(shares))])


@pytest.mark.parametrize(
    ("n_samples", "shares", "sizes"),
    [
        (100, SHARES, [20, 10, 70]),
        (18, SHARES, [4, 2, 12]),  # 3.6, 1.8, 12.6: the largest remainders are rounded up
        (4, SHARES, [1, 1, 2]),  # 0.8, 0.4, 2.8: no part stays empty
        (3, SHARES, [1, 1, 1]),
        (14, np.full(4, 0.25), [4, 4, 3, 3]),
    ],
)
def test_sizes_without_groups(n_samples: int, shares: np.ndarray, sizes: list[int]) -> None:
    assert sizes_of(np.ones((n_samples, 1), dtype=int), shares)[:, 0].tolist() == sizes


def test_classes_are_in_proportion_within_one_sample() -> None:
    members = np.eye(3, dtype=int)[np.repeat([0, 1, 2], [61, 34, 5])]
    for seed in range(20):
        by_part = sizes_of(members, SHARES, seed)
        assert by_part.sum(axis=1).tolist() == [20, 10, 70]
        assert (np.abs(by_part - SHARES[:, None] * members.sum(axis=0)) < 2).all()
        assert by_part[2].min() >= 1


def test_a_class_of_two_always_has_one_in_the_largest_part() -> None:
    members = np.eye(2, dtype=int)[np.repeat([0, 1], [50, 2])]
    assert all(sizes_of(members, SHARES, seed)[2, 1] >= 1 for seed in range(50))


def test_every_sample_is_in_each_part_in_proportion_to_its_share() -> None:
    parts = np.array([divide([np.ones((10, 1), dtype=int)], SHARES, seed) for seed in range(2000)])
    share = np.stack([(parts == number).mean(axis=0) for number in range(3)])
    assert (np.abs(share - SHARES[:, None]) < 5 * np.sqrt(0.25 / 2000)).all()


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 40), min_size=3, max_size=30), st.integers(0, 1000))
def test_groups_fill_every_part(group_sizes: list[int], seed: int) -> None:
    part = divide([np.array(group_sizes)[:, None]], SHARES, seed)
    assert set(part) == {0, 1, 2}


def test_one_huge_group_goes_to_the_largest_part() -> None:
    assert all(divide([np.array([[5], [90], [5]])], SHARES, seed)[1] == 2 for seed in range(20))


def test_groups_of_one_class_are_balanced_and_beat_random_groups() -> None:
    """24 hosts of 10 to 30 samples, each ill or healthy: the distance from the shares, against GroupShuffleSplit's."""
    random = np.random.default_rng(3)
    ill = random.random(24) < 0.4
    n = random.integers(10, 31, 24)
    members = np.stack([n * ill, n * ~ill], axis=1)
    wanted = np.array([0.2, 0.8])[:, None] * members.sum(axis=0)
    ours = [np.abs(sizes_of(members, np.array([0.2, 0.8]), seed) - wanted).max() for seed in range(10)]
    theirs = []
    for train, test in GroupShuffleSplit(10, test_size=0.2, random_state=0).split(members, groups=np.arange(24)):
        by_part = np.stack([members[test].sum(axis=0), members[train].sum(axis=0)])
        theirs.append(np.abs(by_part - wanted).max())
    assert max(ours) <= 0.02 * n.sum()
    assert np.median(theirs) > 3 * np.median(ours)
    assert len({tuple(divide([members], np.array([0.2, 0.8]), seed)) for seed in range(10)}) > 5


def test_as_many_classes_as_half_the_samples_take_little_memory() -> None:
    """5,000 pairs: a matrix of samples and classes would take 400 MB; each pair is divided where shares allow it."""
    rows = np.arange(10_000)
    members = csr_array((np.ones(10_000, dtype=int), (rows, rows // 2)), shape=(10_000, 5000))
    tracemalloc.start()
    try:
        part = partition([members], np.array([0.5, 0.5]), 0)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert np.bincount(part).tolist() == [5000, 5000]
    assert (part[::2] != part[1::2]).mean() > 0.6  # half of them by chance
    assert peak < 20e6


def test_keys_and_seeds_divide_differently_and_again_alike() -> None:
    members = np.ones((60, 1), dtype=int)
    assert (divide([members], SHARES, 1, 5) == divide([members], SHARES, 1, 5)).all()
    assert (divide([members], SHARES, 1, 5) != divide([members], SHARES, 1, 6)).any()
    assert (divide([members], SHARES, 1, 5) != divide([members], SHARES, 2, 5)).any()


def test_a_class_without_samples_does_not_matter() -> None:
    """In a fold, all samples of a class may be held out."""
    members = np.array([[1, 1, 0], [0, 2, 0], [1, 1, 0], [1, 1, 0], [1, 1, 0], [1, 1, 0]])
    shares = np.array([0.4, 0.6])
    part = divide([members], shares, 0)
    assert np.array_equal(part, divide([members[:, :2]], shares, 0))
    assert set(part) == {0, 1}


def one_hot(classes: np.ndarray) -> np.ndarray:
    return np.eye(classes.max() + 1, dtype=int)[classes]


def test_two_divisions_of_single_samples_are_both_balanced() -> None:
    random = np.random.default_rng(1)
    first, second = random.integers(0, 2, 90), random.integers(0, 5, 90)
    strata = [one_hot(first), one_hot(second)]
    for seed in range(10):
        part = divide(strata, SHARES, seed)
        for members in strata:
            by_part = np.stack([members[part == number].sum(axis=0) for number in range(3)])
            assert by_part.sum(axis=1).tolist() == [18, 9, 63]
            assert (np.abs(by_part - SHARES[:, None] * members.sum(axis=0)) < 2).all()


def test_two_divisions_of_groups_are_both_balanced() -> None:
    """The second division is ignored without it, and close to its shares with it."""
    random = np.random.default_rng(2)
    sizes = random.integers(3, 12, 40)
    first, second = ([random.multinomial(n, p) for n in sizes] for p in ([0.5, 0.5], [0.6, 0.3, 0.1]))
    strata = [np.array(first), np.array(second)]

    def error(part: np.ndarray, members: np.ndarray) -> float:
        by_part = np.stack([members[part == number].sum(axis=0) for number in range(3)])
        return float(np.abs(by_part - SHARES[:, None] * members.sum(axis=0)).max())

    both = [divide(strata, SHARES, seed) for seed in range(8)]
    one = [divide(strata[:1], SHARES, seed) for seed in range(8)]
    assert np.median([error(part, strata[1]) for part in both]) < 0.5 * np.median(
        [error(part, strata[1]) for part in one]
    )
    assert max(error(part, strata[0]) for part in both) < 0.05 * sizes.sum()


@settings(max_examples=8, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=3, max_size=60), st.integers(0, 100))
def test_any_two_divisions_fill_every_part(labels: list[tuple[int, int]], seed: int) -> None:
    strata = [one_hot(np.array(each)) for each in zip(*labels, strict=True)]
    part = divide(strata, SHARES, seed)
    assert set(part) == {0, 1, 2}
