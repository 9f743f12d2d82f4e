"""Masks of bases and counts. Keyed: a mask depends on (seed, draw, sequence), never on the rest of the batch."""

from __future__ import annotations

import numpy as np

_GOLDEN = 0x9E3779B97F4A7C15
_WORD = 2**64
MEAN_SPAN, MAX_SPAN = 3.0, 10  # bases; the mean is a codon


def mix(value: np.ndarray) -> np.ndarray:
    """Apply the splitmix64 finalizer (Steele et al. 2014) elementwise: uint64 -> well-mixed uint64."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


def _stream(*numbers: int) -> np.uint64:
    """Combine several integers, which may be negative, into one key."""
    state = np.zeros(1, dtype=np.uint64)
    for number in numbers:
        state = mix(state + np.uint64((number * _GOLDEN + _GOLDEN) % _WORD))
    return np.uint64(state[0])


def masked_positions(
    keys: np.ndarray, maskable: np.ndarray, ratio: float, seed: int, draw: int, strategy: str = "random"
) -> tuple[np.ndarray, np.ndarray]:
    """Choose the positions to mask: ``ratio`` of each sequence's maskable ones, rounded, at least one if there is any.

    Args:
        keys: uint64 [U], hash of each sequence.
        maskable: bool [U, L], real and unambiguous bases.
        ratio: share to mask, in (0, 1).
        seed: of the run.
        draw: epoch or pass.
        strategy: "random" masks single bases, "span" runs of adjacent ones.

    Returns:
        Rows and columns, int64 [M], ascending by row, then by column.
    """
    available = maskable.sum(axis=1)
    wanted = np.minimum(np.maximum(np.rint(ratio * available).astype(np.int64), 1), available)
    scores = _position_scores(keys, maskable.shape[1], seed, draw)
    if strategy == "span":
        scores = _span_scores(keys, maskable, scores, int(wanted.max(initial=0)), seed, draw)
    scores[~maskable] = np.uint64(_WORD - 1)
    last = np.maximum(wanted, 1)[:, None] - 1  # rank of the last position to mask
    threshold = np.take_along_axis(np.sort(scores, axis=1), last, axis=1)
    rows, positions = np.nonzero((scores <= threshold) & maskable)
    return rows, positions


def _position_scores(keys: np.ndarray, n_positions: int, seed: int, draw: int) -> np.ndarray:
    """Draw a random number for every position, uint64 [U, L]; positions are masked in ascending order."""
    columns = (np.arange(n_positions, dtype=np.uint64) + np.uint64(1)) * np.uint64(_GOLDEN)
    return mix(mix(keys ^ _stream(seed, draw))[:, None] + columns[None, :])


def _span_scores(
    keys: np.ndarray, maskable: np.ndarray, scores: np.ndarray, max_bases: int, seed: int, draw: int
) -> np.ndarray:
    """Return scores that mask spans one after the other, each from its start; ``scores`` order the uncovered positions.

    Starts are uniform, lengths geometric and truncated at 10 (SpanBERT, Joshi et al. 2020, arXiv:1907.10529). Draws
    enough spans to cover, almost always, the ``max_bases`` bases that a sequence needs, even if spans overlap.
    """
    n_positions = maskable.shape[1]
    n_spans = -(-2 * max_bases // int(MEAN_SPAN)) + 1
    numbers = mix(
        mix(keys ^ _stream(seed, draw, 2))[:, None]
        + (np.arange(2 * n_spans, dtype=np.uint64) + np.uint64(1))[None, :] * np.uint64(_GOLDEN)
    )
    uniform = (numbers >> np.uint64(11)) * 2.0**-53  # [U, 2 spans] in [0, 1)
    bases = np.where(maskable.any(axis=1), n_positions - maskable[:, ::-1].argmax(axis=1), 1)
    starts = (uniform[:, :n_spans] * bases[:, None]).astype(np.int64)
    lengths = 1 + np.log1p(-uniform[:, n_spans:]) / np.log1p(-1 / MEAN_SPAN)
    stops = starts + np.minimum(lengths, MAX_SPAN).astype(np.int64)
    columns = np.arange(n_positions)
    ordered = (scores >> np.uint64(2)) + np.uint64(2**62)  # uncovered positions come last
    for span in reversed(range(n_spans)):
        covered = (columns >= starts[:, span, None]) & (columns < stops[:, span, None])
        ordered = np.where(covered, (span * n_positions + columns).astype(np.uint64), ordered)
    return ordered


def hidden_occurrences(asv_keys: np.ndarray, sample_keys: np.ndarray, ratio: float, seed: int, draw: int) -> np.ndarray:
    """Choose the occurrences whose count is hidden from the input, bool [N], each with probability ``ratio``.

    Args:
        asv_keys: uint64 [N], hash of each occurrence's sequence.
        sample_keys: uint64 [N], hash of each occurrence's sample id.
    """
    scores = mix(mix(asv_keys ^ _stream(seed, draw, 1)) + mix(sample_keys))
    return scores < np.uint64(min(int(ratio * _WORD), _WORD - 1))
