"""Sequences that a table has in both orientations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aam_data.notes import Note

_COMPLEMENT = bytes.maketrans(b"ACGTURYKMSWBDHVN", b"TGCAAYRMKSWVHDBN")


def reverse_complement(sequence: bytes) -> bytes:
    """Return the other strand of an upper-case sequence, with its ambiguity codes."""
    return sequence.translate(_COMPLEMENT)[::-1]


def orientation_notes(sequences: Sequence[bytes], reads: np.ndarray) -> list[Note]:
    """Return a warning if sequences are reverse complements of each other.

    Args:
        sequences: upper-case letters of A features, before they are trimmed; some may be equal.
        reads: [A] reads or summed relative abundances.
    """
    known = set(sequences)
    both = {s for s in known if (other := reverse_complement(s)) != s and other in known}
    if not both:
        return []
    share = reads[[s in both for s in sequences]].sum() / reads.sum()
    what = f"{len(both):,} of {len(known):,} sequences, with {share:.2%} of all reads, are reverse complements of each "
    what += f"other (pairs: {len(both) // 2:,})"
    what += ": the table seems to merge reads of both orientations, so one organism counts as two ASVs; "
    what += "bring all sequences into one orientation before denoising, or add these pairs up"
    return [Note("sequences-both-orientations", what, "warning")]
