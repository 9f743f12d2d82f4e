"""Which bases and counts are hidden. Keyed: a mask depends on (seed, draw, sequence), never on the batch around it."""

from __future__ import annotations

import numpy as np

_GOLDEN = 0x9E3779B97F4A7C15
_WORD = 2**64


def mix(value: np.ndarray) -> np.ndarray:
    """The splitmix64 finalizer (Steele et al. 2014): uint64 -> well-mixed uint64, elementwise."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


def _stream(*numbers: int) -> np.uint64:
    """One key out of several integers (negative ones too)."""
    state = np.zeros(1, dtype=np.uint64)
    for number in numbers:
        state = mix(state + np.uint64((number * _GOLDEN + _GOLDEN) % _WORD))
    return np.uint64(state[0])


def masked_positions(
    keys: np.ndarray, maskable: np.ndarray, ratio: float, seed: int, draw: int
) -> tuple[np.ndarray, np.ndarray]:
    """Positions to mask: ``ratio`` of each sequence's maskable ones, rounded, at least one where there is any.

    Args:
        keys: uint64 [U], hash of each sequence.
        maskable: bool [U, L], real and unambiguous bases.
        ratio: share to mask, in (0, 1).
        seed: of the run.
        draw: epoch or pass.

    Returns:
        rows and columns, int64 [M], ascending by row, then by column.
    """
    columns = (np.arange(maskable.shape[1], dtype=np.uint64) + np.uint64(1)) * np.uint64(_GOLDEN)
    scores = mix(mix(keys ^ _stream(seed, draw))[:, None] + columns[None, :])
    scores[~maskable] = np.uint64(_WORD - 1)
    available = maskable.sum(axis=1)
    wanted = np.minimum(np.maximum(np.rint(ratio * available).astype(np.int64), 1), available)
    last = np.maximum(wanted, 1)[:, None] - 1  # rank of the last position to mask
    threshold = np.take_along_axis(np.sort(scores, axis=1), last, axis=1)
    rows, positions = np.nonzero((scores <= threshold) & maskable)
    return rows, positions


def hidden_occurrences(asv_keys: np.ndarray, sample_keys: np.ndarray, ratio: float, seed: int, draw: int) -> np.ndarray:
    """Occurrences whose count is hidden from the input, bool [N], each with probability ``ratio``.

    Args:
        asv_keys: uint64 [N], hash of each occurrence's sequence.
        sample_keys: uint64 [N], hash of each occurrence's sample id.
    """
    scores = mix(mix(asv_keys ^ _stream(seed, draw, 1)) + mix(sample_keys))
    return scores < np.uint64(min(int(ratio * _WORD), _WORD - 1))
