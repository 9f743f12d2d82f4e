"""Sequences in both orientations, against scikit-bio."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from skbio import DNA

from aam_data.study.orientation import orientation_notes, reverse_complement


@given(st.text("ACGTRYKMSWBDHVN", min_size=1))
def test_reverse_complements_are_scikit_bios(sequence: str) -> None:
    assert reverse_complement(sequence.encode()).decode() == str(DNA(sequence).reverse_complement())


def test_pairs_are_counted_with_their_reads() -> None:
    sequences = [b"AACC", b"GGTT", b"ACGT", b"AAAA", b"TTTT", b"CCCA"]  # ACGT is its own reverse complement
    (text,) = orientation_notes(sequences, np.array([10.0, 20, 30, 5, 5, 30]))
    assert text.startswith(
        "warning: 4 of 6 sequences, with 40.00% of all reads, are reverse complements of each other (pairs: 2)"
    )
    assert orientation_notes([b"ACGT", b"AAAA"], np.ones(2)) == []
