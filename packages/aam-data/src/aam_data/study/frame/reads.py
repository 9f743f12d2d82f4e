"""Many sequences as arrays: encoding, the other strand, words, and scores of offsets against a profile.

Axes: A sequences, L positions of a sequence, P positions of a profile, O offsets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from aam_data import alphabet

WORD = 24  # bases of a word: two bits each, so that a word is one number
NO_WORD = np.uint64(2**64 - 1)  # where a word has an ambiguity code or does not fit in the sequence
_AT_ONCE = 2048  # sequences whose bases are expanded to one number per base and code
_COMPLEMENT = np.arange(alphabet.VOCABULARY_SIZE, dtype=np.uint8)
_COMPLEMENT[[alphabet.A, alphabet.C, alphabet.G, alphabet.T]] = alphabet.T, alphabet.G, alphabet.C, alphabet.A


@dataclass(frozen=True, eq=False)
class Reads:
    """Sequences of A ASVs with their numbers of reads.

    Attributes:
        codes: uint8 [A, L] bases, padded with PAD at the end.
        lengths: int32 [A].
        weights: float64 [A] shares of all reads.
    """

    codes: np.ndarray
    lengths: np.ndarray
    weights: np.ndarray

    @classmethod
    def encode(cls, sequences: Sequence[bytes], reads: np.ndarray) -> Reads:
        """Encode upper-case letters; ``reads`` [A] need not add up to 1."""
        lengths = np.fromiter(map(len, sequences), np.int32, len(sequences))
        codes = np.zeros((len(sequences), int(lengths.max(initial=0))), dtype=np.uint8)
        codes[np.arange(codes.shape[1]) < lengths[:, None]] = alphabet.encode(b"".join(sequences))
        return cls(codes, lengths, np.asarray(reads, dtype=np.float64) / max(float(reads.sum()), 1e-300))

    def __len__(self) -> int:
        return len(self.lengths)

    def take(self, rows: np.ndarray) -> Reads:
        """Return the sequences ``rows``; their weights stay shares of all reads."""
        return Reads(self.codes[rows], self.lengths[rows], self.weights[rows])

    def most_read(self, rows: np.ndarray, limit: int) -> np.ndarray:
        """Return those of ``rows`` that have the most reads, at most ``limit``, most reads first."""
        return rows[np.argsort(-self.weights[rows], kind="stable")[:limit]]

    def first_bases(self, n: int) -> Reads:
        """Return the first ``n`` bases of every sequence."""
        return Reads(self.codes[:, :n], np.minimum(self.lengths, n).astype(np.int32), self.weights)

    @cached_property
    def columns(self) -> np.ndarray:
        """The codes by position, uint8 [L, A]."""
        return np.ascontiguousarray(self.codes.T)

    @cached_property
    def turned(self) -> Reads:
        """The reverse complements."""
        reverse = _COMPLEMENT[self.codes[:, ::-1]]
        codes, width = np.zeros_like(self.codes), self.codes.shape[1]
        for length in np.unique(self.lengths).tolist():
            rows = self.lengths == length
            codes[rows, :length] = reverse[rows, width - length :]
        return Reads(codes, self.lengths, self.weights)

    @cached_property
    def words(self) -> np.ndarray:
        """Every run of `WORD` bases as a number, uint64 [A, L - WORD + 1]; NO_WORD where there is none."""
        n = self.codes.shape[1] - WORD + 1
        if n <= 0:
            return np.zeros((len(self), 0), dtype=np.uint64)
        is_base = (self.codes >= alphabet.A) & (self.codes <= alphabet.T)
        pairs = np.where(is_base, self.codes - np.uint8(alphabet.A), 0).astype(np.uint64)
        eight = _joined(_joined(_joined(pairs, 1), 2), 4)
        words = (_joined(eight, 8)[:, :n] << np.uint64(16)) | eight[:, 16 : 16 + n]
        not_bases = np.zeros((len(self), self.codes.shape[1] + 1), dtype=np.int32)
        np.cumsum(~is_base, axis=1, out=not_bases[:, 1:])
        words[not_bases[:, WORD:] > not_bases[:, :n]] = NO_WORD
        return words


def _joined(words: np.ndarray, size: int) -> np.ndarray:
    """Join each word of ``size`` bases with the one that follows it."""
    return (words[:, :-size] << np.uint64(2 * size)) | words[:, size:]


def log_odds(profile: np.ndarray) -> np.ndarray:
    """Return logarithms of base frequencies [P, 4] over a quarter, float32 [P, codes]; 0 for what is no base."""
    table = np.zeros((len(profile), alphabet.VOCABULARY_SIZE), dtype=np.float32)
    table[:, alphabet.A : alphabet.T + 1] = np.log(4 * profile)
    return table


def scores_at(reads: Reads, table: np.ndarray, offset: int) -> np.ndarray:
    """Score every sequence with its first base at position ``offset`` of the profile, float32 [A].

    Args:
        table: float32 [P, codes] of `log_odds`; bases outside of the profile score 0.
    """
    scores = np.zeros(len(reads), dtype=np.float32)
    for column in range(max(0, -offset), min(reads.codes.shape[1], len(table) - offset)):
        scores += table[column + offset].take(reads.columns[column])
    return scores


def overlaps(lengths: np.ndarray, n_positions: int, offset: int) -> np.ndarray:
    """Count the bases of every sequence that lie on the profile at this offset, int [A]."""
    return np.maximum(np.minimum(lengths, n_positions - offset) - max(0, -offset), 0)


def scores_of_offsets(reads: Reads, table: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Score every sequence at several offsets, float32 [A, O]; see `scores_at`."""
    first, last = int(offsets.min(initial=0)), int(offsets.max(initial=0))
    width = min(reads.codes.shape[1], len(table) - first)
    if width <= 0 or len(offsets) == 0:
        return np.zeros((len(reads), len(offsets)), dtype=np.float32)
    padded = np.zeros((width + last - first + len(table), 4), dtype=np.float32)  # row p is position p + first
    padded[-first : len(table) - first] = table[:, alphabet.A : alphabet.T + 1]
    shifted = np.stack([padded[offset - first : offset - first + width] for offset in offsets.tolist()])
    weights = shifted.reshape(len(offsets), width * 4).T
    scores = np.empty((len(reads), len(offsets)), dtype=np.float32)
    bases = np.arange(alphabet.A, alphabet.T + 1, dtype=np.uint8)
    for start in range(0, len(reads), _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        expanded = (reads.codes[some, :width, None] == bases).astype(np.float32)
        scores[some] = expanded.reshape(len(expanded), width * 4) @ weights
    return scores
