"""Masks: their number and positions, which only depend on key, seed and draw."""

from __future__ import annotations

import numpy as np
import pytest

from aam_data import alphabet
from aam_train.data.corruptions import BatchArrays, MaskBases
from aam_train.data.masking import hidden_occurrences, masked_positions, mix

RANDOM = np.random.default_rng(0)
KEYS = RANDOM.integers(0, 2**64, 60, dtype=np.uint64)
ALL = np.ones((60, 40), dtype=bool)


def as_sets(rows: np.ndarray, columns: np.ndarray, n_rows: int) -> list[set[int]]:
    return [set(columns[rows == row].tolist()) for row in range(n_rows)]


def close_to_expected(counts: np.ndarray, expected: float, variance: float) -> bool:
    """Check that the chi-square of the counts is within five standard deviations of its mean."""
    statistic = float(((counts - expected) ** 2).sum() / variance)
    return abs(statistic - len(counts)) < 5 * np.sqrt(2 * len(counts))


def test_mix_is_the_finalizer_of_splitmix64() -> None:
    """First outputs of the reference generator (Vigna, prng.di.unimi.it/splitmix64.c) for the seed 1234567."""
    states = np.array([(1234567 + i * 0x9E3779B97F4A7C15) % 2**64 for i in range(1, 6)], dtype=np.uint64)
    assert mix(states).tolist() == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]


@pytest.mark.parametrize("strategy", ["random", "span"])
@pytest.mark.parametrize("ratio", [0.01, 0.15, 0.5, 0.99])
def test_the_ratio_is_met_exactly_and_only_what_may_be_masked_is(ratio: float, strategy: str) -> None:
    maskable = RANDOM.random((60, 40)) < RANDOM.random((60, 1))
    maskable[:, 0] = False
    maskable[:3] = False
    maskable[:2, 5] = True
    rows, columns = masked_positions(KEYS, maskable, ratio, seed=1, draw=2, strategy=strategy)
    assert rows.dtype == columns.dtype == np.int64
    assert maskable[rows, columns].all()
    for row, masked in enumerate(as_sets(rows, columns, 60)):
        available = int(maskable[row].sum())
        assert len(masked) == (max(1, round(ratio * available)) if available else 0)
    order = rows * 40 + columns
    assert (np.diff(order) > 0).all()


def test_ambiguous_bases_start_and_padding_are_never_masked() -> None:
    clear = np.random.default_rng(3).integers(0, alphabet.VOCABULARY_SIZE, (40, 20)).astype(np.uint8)
    none = np.zeros(0, dtype=np.int64)
    batch = BatchArrays(clear.copy(), KEYS[:40], none, none.astype(np.uint64), seed=3, draw=1)
    MaskBases(0.99).apply(batch)
    changed = clear != batch.tokens
    is_base = (clear >= alphabet.A) & (clear <= alphabet.T)
    assert 0.9 < changed.sum() / is_base.sum() <= 1
    assert is_base[changed].all()
    assert (batch.tokens[changed] == alphabet.MASK).all()
    assert (clear[batch.masked_rows, batch.masked_columns] - alphabet.A).tolist() == batch.masked_bases.tolist()


def test_masks_do_not_depend_on_the_batch_around_the_sequence() -> None:
    rows, columns = masked_positions(KEYS, ALL, 0.15, seed=1, draw=2)
    whole = as_sets(rows, columns, 60)
    order = RANDOM.permutation(60)
    assert as_sets(*masked_positions(KEYS[order], ALL, 0.15, seed=1, draw=2), 60) == [whole[i] for i in order]
    padded = np.concatenate([ALL[:5], np.zeros((5, 30), dtype=bool)], axis=1)
    assert as_sets(*masked_positions(KEYS[:5], padded, 0.15, seed=1, draw=2), 5) == whole[:5]


@pytest.mark.parametrize("change", [{"seed": 2}, {"draw": 3}, {"draw": -2}, {"seed": 2, "draw": 1}])
def test_other_seeds_draws_and_keys_give_unrelated_masks(change: dict[str, int]) -> None:
    keys = np.arange(2000, dtype=np.uint64)
    maskable = np.ones((2000, 40), dtype=bool)

    def mask(keys: np.ndarray, seed: int = 1, draw: int = 2) -> np.ndarray:
        masked = np.zeros_like(maskable)
        masked[masked_positions(keys, maskable, 0.15, seed, draw)] = True
        return masked

    assert np.array_equal(mask(keys), mask(keys))
    expected = 2000 * 40 * 0.15**2
    for other in (mask(keys, **change), mask(keys + np.uint64(1))):
        assert abs((mask(keys) & other).sum() - expected) < 5 * np.sqrt(expected)


@pytest.mark.parametrize("keys", ["random", "counting"])
def test_every_position_is_masked_equally_often(keys: str) -> None:
    n, length, ratio = 20_000, 40, 0.15
    values = np.arange(n, dtype=np.uint64) if keys == "counting" else RANDOM.integers(0, 2**64, n, dtype=np.uint64)
    _, columns = masked_positions(values, np.ones((n, length), dtype=bool), ratio, seed=0, draw=0)
    counts = np.bincount(columns, minlength=length)
    assert counts.sum() == n * 6
    # a row masks exactly 6 of 40: the variance of a position is that of sampling without replacement
    assert close_to_expected(counts, n * ratio, n * ratio * (1 - ratio) * length / (length - 1))


def test_neighbours_are_masked_together_as_often_as_chance_says() -> None:
    n, length = 20_000, 40
    masked = np.zeros((n, length), dtype=bool)
    masked[masked_positions(np.arange(n, dtype=np.uint64), ~masked, 0.15, seed=0, draw=0)] = True
    together = (masked[:, 1:] & masked[:, :-1]).sum()
    expected = n * (length - 1) * (6 / 40) * (5 / 39)
    assert abs(together - expected) < 5 * np.sqrt(expected)


def occurrences(n_samples: int, n_asvs: int) -> tuple[np.ndarray, np.ndarray]:
    asvs = np.tile(np.arange(n_asvs, dtype=np.uint64), n_samples)
    return asvs, np.repeat(np.arange(n_samples, dtype=np.uint64), n_asvs)


@pytest.mark.parametrize("ratio", [0.05, 0.15, 0.9])
def test_hidden_counts_have_the_ratio_in_every_sample_and_for_every_asv(ratio: float) -> None:
    asvs, samples = occurrences(200, 300)
    hidden = hidden_occurrences(asvs, samples, ratio, seed=1, draw=2).reshape(200, 300)
    spread = ratio * (1 - ratio)
    assert abs(hidden.sum() - 60_000 * ratio) < 5 * np.sqrt(60_000 * spread)
    assert close_to_expected(hidden.sum(axis=0), 200 * ratio, 200 * spread)
    assert close_to_expected(hidden.sum(axis=1), 300 * ratio, 300 * spread)


def test_hidden_counts_depend_on_sample_and_asv_seed_and_draw_only() -> None:
    asvs, samples = occurrences(50, 60)
    hidden = hidden_occurrences(asvs, samples, 0.3, seed=1, draw=2)
    order = RANDOM.permutation(3000)
    assert np.array_equal(hidden_occurrences(asvs[order], samples[order], 0.3, seed=1, draw=2), hidden[order])
    expected = 3000 * 0.3**2
    # the same ASV in another sample, another ASV in the same sample, sample and ASV exchanged, other draws
    for others in (
        hidden_occurrences(asvs, samples + np.uint64(100), 0.3, seed=1, draw=2),
        hidden_occurrences(asvs + np.uint64(100), samples, 0.3, seed=1, draw=2),
        hidden_occurrences(samples, asvs, 0.3, seed=1, draw=2),
        hidden_occurrences(asvs, samples, 0.3, seed=2, draw=2),
        hidden_occurrences(asvs, samples, 0.3, seed=1, draw=3),
    ):
        assert abs((hidden & others).sum() - expected) < 5 * np.sqrt(expected)


def run_lengths(columns: np.ndarray) -> list[int]:
    """Return the lengths of runs of consecutive numbers."""
    ends = np.flatnonzero(np.diff(columns) != 1)
    return np.diff(np.concatenate([[-1], ends, [len(columns) - 1]])).tolist()


def test_spans_are_runs_of_three_on_average_and_keyed_like_single_bases() -> None:
    keys = np.random.default_rng(1).integers(0, 2**64, 400, dtype=np.uint64)
    maskable = np.ones((400, 150), dtype=bool)
    rows, columns = masked_positions(keys, maskable, 0.1, seed=1, draw=0, strategy="span")
    lengths = [length for row in range(400) for length in run_lengths(columns[rows == row])]
    # a geometric distribution of mean 3, cut at 10, has 2.95; the last span of a sequence is cut, neighbours join
    assert 2.6 < np.mean(lengths) < 3.4
    alone = [n for row in range(400) for n in run_lengths(masked_positions(keys, maskable, 0.1, 1, 0)[1][rows == row])]
    assert np.mean(alone) < 1.3
    inner = np.bincount(columns, minlength=150)[10:140]
    assert close_to_expected(inner, inner.mean(), 3 * inner.mean())  # spans mask neighbours together
    order = np.random.default_rng(2).permutation(400)
    again, others = masked_positions(keys[order], maskable, 0.1, seed=1, draw=0, strategy="span")
    assert as_sets(again, others, 400) == [as_sets(rows, columns, 400)[row] for row in order]
    for change in ({"seed": 2}, {"draw": 1}):
        found = masked_positions(keys, maskable, 0.1, **({"seed": 1, "draw": 0} | change), strategy="span")
        assert as_sets(*found, 400) != as_sets(rows, columns, 400)


def test_spans_do_not_depend_on_the_padding_of_a_batch() -> None:
    narrow = np.ones((60, 40), dtype=bool)
    wide = np.concatenate([narrow, np.zeros((60, 25), dtype=bool)], axis=1)
    one = masked_positions(KEYS, narrow, 0.2, seed=3, draw=0, strategy="span")
    other = masked_positions(KEYS, wide, 0.2, seed=3, draw=0, strategy="span")
    assert as_sets(*one, 60) == as_sets(*other, 60)
