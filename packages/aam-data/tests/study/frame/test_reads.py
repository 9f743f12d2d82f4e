"""Scores, words and the other strand, against plain Python and scikit-bio."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from skbio import DNA

from aam_data.alphabet import decode
from aam_data.study.frame.frame import word_number, word_text
from aam_data.study.frame.reads import (
    NO_WORD,
    WORD,
    Reads,
    log_odds,
    overlaps,
    scores_at,
    scores_of_offsets,
)

sequences = st.lists(st.text("ACGTN", min_size=1, max_size=60), min_size=1, max_size=6)


def encoded(letters: list[str]) -> Reads:
    return Reads.encode([one.encode() for one in letters], np.ones(len(letters)))


@given(sequences)
def test_turned_reads_are_scikit_bios_reverse_complements(letters: list[str]) -> None:
    turned = encoded(letters).turned
    for row, one in enumerate(letters):
        assert decode(turned.codes[row, : len(one)]) == str(DNA(one).reverse_complement())
        assert not turned.codes[row, len(one) :].any()


@given(sequences, st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_scores_are_sums_of_logarithms_over_the_overlap(letters: list[str], n_positions: int, seed: int) -> None:
    profile = np.random.default_rng(seed).dirichlet(np.ones(4), n_positions) + 1e-3
    reads, table, offsets = encoded(letters), log_odds(profile), np.array([-61, -30, -2, 0, 1, 30, 39])
    together = scores_of_offsets(reads, table, offsets)
    for column, offset in enumerate(offsets.tolist()):
        for row, one in enumerate(letters):
            lying = [(i + offset, base) for i, base in enumerate(one) if 0 <= i + offset < n_positions]
            expected = sum(np.log(4 * profile[p, "ACGT".index(base)]) for p, base in lying if base != "N")
            assert np.isclose(together[row, column], expected, atol=1e-3)
            assert np.isclose(scores_at(reads, table, offset)[row], expected, atol=1e-3)
            assert overlaps(reads.lengths, n_positions, offset)[row] == len(lying)


@given(sequences)
def test_words_are_the_letters_of_every_run(letters: list[str]) -> None:
    words = encoded(letters).words
    for row, one in enumerate(letters):
        for start in range(words.shape[1]):
            run = one[start : start + WORD]
            expected = word_number(run) if len(run) == WORD and "N" not in run else int(NO_WORD)
            assert int(words[row, start]) == expected


def test_words_are_numbers_and_letters() -> None:
    letters = "ACGT" * 6
    assert word_text(word_number(letters)) == letters
    assert word_number("A" * WORD) == 0
    assert word_number("T" * WORD) == 2**48 - 1


def test_the_most_read_come_first_and_weights_are_shares() -> None:
    reads = Reads.encode([b"A", b"C", b"G"], np.array([1, 6, 3]))
    assert reads.weights.tolist() == [0.1, 0.6, 0.3]
    assert reads.most_read(np.array([0, 2]), 5).tolist() == [2, 0]
    assert reads.most_read(np.arange(3), 1).tolist() == [1]
