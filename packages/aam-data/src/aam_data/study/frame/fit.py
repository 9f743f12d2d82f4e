"""Fit of a frame to training reads."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from aam_data import alphabet
from aam_data.sequences import Sequences
from aam_data.study.frame.frame import NATIVE, Frame
from aam_data.study.frame.reads import NO_WORD, Reads
from aam_data.study.frame.search import find_placements

_MAX_EFFECTIVE = 200.0  # ASVs that count as independent: relatives are not, and no base is impossible anywhere
_WORD_STEP, _MAX_WORD_POSITIONS = 4, 32
_WORDS_OF_POSITION = 16
_MIN_WORD_SHARE = 0.005
_SAMPLED = 20_000  # ASVs with the most reads, whose words are counted


def fit_frame(sequences: Sequences, reads: np.ndarray, max_bp: int) -> Frame:
    """Fit the frame of a model to the reads that it is trained on.

    ASVs count by the square root of their reads: frequencies are to describe the gene, of which one ASV with most of
    the reads would leave nothing. They are shrunk towards equal ones, by one of each base to the effective number of
    ASVs, so that a frame of few ASVs recognizes nothing but these.

    Args:
        sequences: of A features, all from their first base.
        reads: [A] reads of the training samples, or summed relative abundances; some are above 0.
        max_bp: bases that the model reads.
    """
    rows = np.flatnonzero(reads > 0)
    weights = np.sqrt(reads[rows].astype(np.float64))
    length = max(int(sequences.lengths[rows].max(initial=0)), 1)
    codes = sequences.codes[rows, : min(length, max_bp)]
    frame = Frame(length, _per_mille(codes, weights), {})
    used = Reads(
        codes, np.minimum(sequences.lengths[rows], codes.shape[1]).astype(np.int32), reads[rows] / reads[rows].sum()
    )
    sampled = used.most_read(np.arange(len(used)), _SAMPLED)
    frame = replace(frame, words=_common_words(used.take(sampled), weights[sampled]))
    found = find_placements(used, frame)
    native = sum(share for placement, share in zip(found.placements, found.shares, strict=True) if placement == NATIVE)
    return replace(frame, fits=float(native), others=frozenset(found.placements) - {NATIVE})


def _per_mille(codes: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return frequencies of the bases at each position per thousand, int64 [P, 4], at least 1."""
    effective = min(weights.sum() ** 2 / (weights**2).sum(), _MAX_EFFECTIVE)
    columns = (codes[:, position] for position in range(codes.shape[1]))
    sums = np.stack([np.bincount(column, weights, alphabet.VOCABULARY_SIZE) for column in columns])
    counts = sums[:, alphabet.A : alphabet.T + 1] / weights.sum() * effective + 1
    per_mille = 1000 * counts / counts.sum(axis=1, keepdims=True)
    return np.maximum(np.rint(per_mille), 1).astype(np.int64)


def _common_words(reads: Reads, weights: np.ndarray) -> dict[int, int]:
    """Return the words that many training sequences have at one of up to 32 positions, with that position."""
    best: dict[int, tuple[float, int]] = {}
    n_positions = reads.words.shape[1]
    for position in range(0, n_positions, max(_WORD_STEP, -(-n_positions // _MAX_WORD_POSITIONS))):
        words, index = np.unique(reads.words[:, position], return_inverse=True)
        shares = np.bincount(index, weights=weights) / weights.sum()
        for i in np.argsort(-shares, kind="stable")[:_WORDS_OF_POSITION].tolist():
            word, share = int(words[i]), float(shares[i])
            if word != NO_WORD and share >= _MIN_WORD_SHARE and share > best.get(word, (0.0, 0))[0]:
                best[word] = share, position
    return dict(sorted(((word, position) for word, (_, position) in best.items()), key=lambda item: item[::-1]))
