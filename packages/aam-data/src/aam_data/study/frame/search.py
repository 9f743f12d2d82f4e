"""Where reads lie in a frame: one placement for nearly all of them, or a few.

A placement is shared: an insertion near the start of one organism's gene looks like a shift of its reads by one base,
so a sequence keeps the placement of most reads if it fits there at all, and only then is another one looked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from aam_data.study.frame.frame import NATIVE, Frame, Placement
from aam_data.study.frame.reads import NO_WORD, Reads, overlaps, scores_at, scores_of_offsets

_NEAR = np.arange(-30, 31)  # offsets that are always tried; others are proposed by common words
_SAMPLED = 2000  # sequences with the most reads, which propose placements
_BY_WORDS = 20_000  # sequences whose words are looked up if the profile has too little information
_MAX_PROPOSED = 8  # offsets by words, of either strand
_MAX_PLACEMENTS = 32
_INDEL = 3  # bases: a smaller distance from the placement of most reads may be an insertion or a deletion
_MIN_SHARE = 0.001  # of all reads, that a placement on the other strand has
_MIN_SHARE_FAR, _MIN_SHARE_NEAR = 0.01, 0.05  # the same on the strand of most reads: it may be a longer deletion
_MAX_ROUNDS = 4


@dataclass(frozen=True, eq=False)
class Found:
    """Placements of the reads of a table.

    Attributes:
        placements: those that many reads share, the one with the most reads first.
        placement_of: int64 [A], index of each sequence's placement; -1 where it fits none.
        shares: share of all reads of each placement.
    """

    placements: tuple[Placement, ...]
    placement_of: np.ndarray
    shares: tuple[float, ...]

    @property
    def fitting(self) -> float:
        """Share of all reads that fit the frame at one of the placements."""
        return sum(self.shares)


def find_placements(reads: Reads, frame: Frame) -> Found:
    """Find where the reads of a table lie in a frame.

    Offsets of up to 30 bases in both directions and those at which common words of the frame occur are scored against
    its base frequencies, on both strands, for the sequences with the most reads; then every sequence is scored at the
    placements that were found, until no other placement has enough reads.
    """
    fit = _fit_by_profile if frame.is_informative else _fit_by_words
    placement_of = np.full(len(reads), -1, dtype=np.int64)
    placements: list[Placement] = []
    for _ in range(_MAX_ROUNDS):
        left = np.flatnonzero(placement_of < 0)
        tried = len(placements)
        for placement in _proposed(reads, left, frame, placements):
            left = left[placement_of[left] < 0]
            if len(placements) == _MAX_PLACEMENTS or len(left) == 0:
                break
            fitting = left[fit(reads.take(left), frame, placement)]
            main = placements[0] if placements else placement
            if len(fitting) and reads.weights[fitting].sum() >= _least_share(placement, main):
                placement_of[fitting] = len(placements)
                placements.append(placement)
        if len(placements) == tried or reads.weights[placement_of < 0].sum() < _MIN_SHARE:
            break
    return _by_share(reads, placements, placement_of)


def _by_share(reads: Reads, placements: list[Placement], placement_of: np.ndarray) -> Found:
    shares = np.bincount(placement_of + 1, weights=reads.weights, minlength=len(placements) + 1)[1:]
    order = np.argsort(-shares, kind="stable")
    rank = np.append(np.argsort(order), -1)  # placement_of -1 stays -1
    return Found(tuple(placements[i] for i in order), rank[placement_of], tuple(shares[order].tolist()))


def _fit_by_profile(reads: Reads, frame: Frame, placement: Placement) -> np.ndarray:
    """Return which reads the profile recognizes at a placement, bool [A]."""
    some = reads.turned if placement.turned else reads
    scores = scores_at(some, frame.table, placement.offset)
    return scores >= frame.least_score(overlaps(some.lengths, len(frame.table), placement.offset))


def _fit_by_words(reads: Reads, frame: Frame, placement: Placement) -> np.ndarray:
    """Return which reads have a common word where the frame has it, bool [A]."""
    rows = reads.most_read(np.arange(len(reads)), _BY_WORDS)
    row, offset = _word_offsets(reads.take(rows), frame, turned=placement.turned)
    fits = np.zeros(len(reads), dtype=bool)
    fits[rows[row[offset == placement.offset]]] = True
    return fits


def _proposed(reads: Reads, left: np.ndarray, frame: Frame, found: list[Placement]) -> Iterator[Placement]:
    """Yield placements that enough of the reads ``left`` would have, those of most reads first."""
    if len(left) == 0:
        return
    sample = reads.take(reads.most_read(left, _SAMPLED))
    propose = _best_by_profile if frame.is_informative else _best_by_words
    shares = propose(sample, frame)
    for placement, share in sorted(shares.items(), key=lambda item: (-item[1], item[0] != NATIVE, item[0])):
        main = found[0] if found else placement
        if placement not in found and share >= _least_share(placement, main):
            yield placement


def _least_share(placement: Placement, main: Placement) -> float:
    """Return the share of all reads that a placement needs besides that of most reads, which needs none.

    Reads that start long before the frame differ in how many bases they have before it, so each length counts.
    """
    if placement == main:
        return 0.0
    if placement.turned != main.turned or main.offset < _NEAR[0]:
        return _MIN_SHARE
    return _MIN_SHARE_NEAR if abs(placement.offset - main.offset) <= _INDEL else _MIN_SHARE_FAR


def _best_by_profile(sample: Reads, frame: Frame) -> dict[Placement, float]:
    """Sum the weights of the sequences by their best placement; those that fit nowhere are left out."""
    columns, offsets = [], []
    for turned in (False, True):
        some = sample.turned if turned else sample
        tried = np.concatenate([_NEAR, _far_offsets(sample, frame, turned=turned)])
        near = scores_of_offsets(some, frame.table, _NEAR)
        scores = np.column_stack([near, *(scores_at(some, frame.table, int(far)) for far in tried[len(_NEAR) :])])
        least = [frame.least_score(overlaps(some.lengths, len(frame.table), int(offset))) for offset in tried]
        columns.append(np.where(scores >= np.stack(least, axis=1), scores, -np.inf))
        offsets += [Placement(turned, int(offset)) for offset in tried]
    scores = np.concatenate(columns, axis=1)
    best = scores.argmax(axis=1)
    fits = np.isfinite(scores[np.arange(len(best)), best])
    shares = np.bincount(best[fits], weights=sample.weights[fits], minlength=len(offsets))
    return {offsets[i]: float(shares[i]) for i in np.flatnonzero(shares)}


def _far_offsets(sample: Reads, frame: Frame, *, turned: bool) -> np.ndarray:
    """Return the offsets beyond `_NEAR` at which common words lie, int64, those of most reads first."""
    row, offset = _word_offsets(sample, frame, turned=turned)
    far = (offset < _NEAR[0]) | (offset > _NEAR[-1])
    values, index = np.unique(offset[far], return_inverse=True)
    shares = np.bincount(index, weights=sample.weights[row[far]], minlength=len(values))
    return values[np.argsort(-shares, kind="stable")[:_MAX_PROPOSED]]


def _best_by_words(sample: Reads, frame: Frame) -> dict[Placement, float]:
    """Sum the weights of the sequences that have a common word at a placement."""
    shares: dict[Placement, float] = {}
    for turned in (False, True):
        row, offset = _word_offsets(sample, frame, turned=turned)
        for value in np.unique(offset).tolist():
            rows = np.unique(row[offset == value])
            shares[Placement(turned, value)] = float(sample.weights[rows].sum())
    return shares


def _word_offsets(reads: Reads, frame: Frame, *, turned: bool) -> tuple[np.ndarray, np.ndarray]:
    """Find the frame's words in the reads: the row of each occurrence and the offset that it means, int64 [n] each."""
    known, positions = frame.sorted_words
    words = (reads.turned if turned else reads).words
    if len(known) == 0 or words.size == 0:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    place = np.minimum(np.searchsorted(known, words), len(known) - 1)
    row, column = np.nonzero((known[place] == words) & (words != NO_WORD))
    return row, positions[place[row, column]] - column
