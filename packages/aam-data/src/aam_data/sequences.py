"""Sequences of ASVs, encoded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

import numpy as np

from aam_data.alphabet import AMBIGUOUS, PAD, decode, encode


@dataclass(frozen=True, eq=False)
class Sequences:
    """DNA sequences of A features.

    Attributes:
        codes: uint8 [A, L] bases (see ``alphabet``), padded with PAD at the end, and in front where ``starts`` says so;
            no START.
        lengths: int32 [A] positions, with those in front of the first base.
        keys: uint64 [A] BLAKE2b of the upper-case letters: a sequence has the same key in every table.
        ambiguous: letters of the features with ambiguity codes, which share one code in ``codes``.
        merged_ids: by feature, the sorted ids of the features in the file that were merged into it because they have
            its sequence; features that were not merged have no entry.
        starts: int32 [A] positions in front of the first base, which sequences have that were brought into the frame
            of a model and start later than it.
        file_letters: letters in the file, by feature, of those that were brought into a frame.
    """

    codes: np.ndarray
    lengths: np.ndarray
    keys: np.ndarray
    ambiguous: Mapping[int, bytes]
    merged_ids: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    starts: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int32))
    file_letters: Mapping[int, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.starts) != len(self.lengths):
            object.__setattr__(self, "starts", np.zeros_like(self.lengths))

    def __len__(self) -> int:
        return len(self.lengths)

    def text(self, feature: int) -> str:
        """Return the letters of one sequence, with its ambiguity codes, as they are in the file."""
        for letters in (self.file_letters, self.ambiguous):
            if feature in letters:
                return letters[feature].decode("ascii")
        return decode(self.codes[feature, : self.lengths[feature]])


def build_sequences(
    sequences: Sequence[bytes],
    merged_ids: Mapping[int, tuple[str, ...]] | None = None,
    file_letters: Mapping[int, bytes] | None = None,
) -> Sequences:
    """Encode sequences.

    Args:
        sequences: upper-case letters of each feature, after a ``-`` for each position in front of its first base.
        merged_ids, file_letters: see ``Sequences``.

    Returns:
        The sequences, in the same order.

    Raises:
        ValueError: letters that are not IUPAC DNA.

    Example:
        >>> build_sequences([b"ACGT", b"ACN"]).text(1)
        'ACN'
    """
    lengths = np.fromiter(map(len, sequences), np.int32, len(sequences))
    longest = int(lengths.max(initial=0))
    codes = np.full((len(sequences), longest), PAD, dtype=np.uint8)
    bases = [sequence.lstrip(b"-") for sequence in sequences]
    starts = (lengths - np.fromiter(map(len, bases), np.int32, len(bases))).astype(np.int32)
    positions = np.arange(longest)
    codes[(positions >= starts[:, None]) & (positions < lengths[:, None])] = encode(b"".join(bases))
    digests = b"".join(blake2b(sequence, digest_size=8).digest() for sequence in sequences)
    keys = np.frombuffer(digests, dtype="<u8").astype(np.uint64)
    ambiguous = {feature: bases[feature] for feature in np.flatnonzero((codes == AMBIGUOUS).any(axis=1)).tolist()}
    return Sequences(codes, lengths, keys, ambiguous, merged_ids or {}, starts, file_letters or {})
