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
        codes: uint8 [A, L] bases (see ``alphabet``), padded with PAD at the end; no START.
        lengths: int32 [A] bases.
        keys: uint64 [A] BLAKE2b of the upper-case letters: a sequence has the same key in every table.
        ambiguous: letters of the features with ambiguity codes, which share one code in ``codes``.
        merged_ids: by feature, the sorted ids of the features in the file that were merged into it because they have
            its sequence; features that were not merged have no entry.
    """

    codes: np.ndarray
    lengths: np.ndarray
    keys: np.ndarray
    ambiguous: Mapping[int, bytes]
    merged_ids: Mapping[int, tuple[str, ...]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.lengths)

    def text(self, feature: int) -> str:
        """Return the letters of one sequence, with its ambiguity codes."""
        if feature in self.ambiguous:
            return self.ambiguous[feature].decode("ascii")
        return decode(self.codes[feature, : self.lengths[feature]])


def build_sequences(sequences: Sequence[bytes], merged_ids: Mapping[int, tuple[str, ...]] | None = None) -> Sequences:
    """Encode sequences.

    Args:
        sequences: upper-case letters of each feature.
        merged_ids: see ``Sequences``.

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
    codes[np.arange(longest) < lengths[:, None]] = encode(b"".join(sequences))
    digests = b"".join(blake2b(sequence, digest_size=8).digest() for sequence in sequences)
    keys = np.frombuffer(digests, dtype="<u8").astype(np.uint64)
    ambiguous = {feature: sequences[feature] for feature in np.flatnonzero((codes == AMBIGUOUS).any(axis=1)).tolist()}
    return Sequences(codes, lengths, keys, ambiguous, merged_ids or {})
