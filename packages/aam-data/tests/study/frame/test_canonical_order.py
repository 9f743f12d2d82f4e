"""Features of a table in the frame of a model: merged, counted, found in a tree by their own letters."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from aam_data.options.files import TableOptions
from aam_data.sequences import Sequences, build_sequences
from aam_data.study.canonical_order import canonical_features
from aam_data.study.feature_sequences import FeatureSequences
from aam_data.study.frame.fit import fit_frame
from aam_data.study.frame.gene import GENE
from aam_data.study.orientation import reverse_complement
from aam_data.table import CountTable, table_from_triplets

BASES = 80


def organisms(n: int) -> list[bytes]:
    random = np.random.default_rng(3)
    reads = np.tile(np.frombuffer(GENE[533 : 533 + BASES].encode(), dtype=np.uint8), (n, 1))
    replaced = random.random(reads.shape) < 0.2
    reads[replaced] = random.choice(np.frombuffer(b"ACGT", dtype=np.uint8), int(replaced.sum()))
    return [read.tobytes() for read in reads]


V4 = organisms(60)
FRAME = fit_frame(build_sequences(V4), np.ones(60), BASES)


def in_frame(letters: list[bytes], trim_length: int = 0) -> tuple[CountTable, Sequences, list[str]]:
    """Return a table of two samples in the frame: feature i has i + 1 reads in the first, and one in the second."""
    n, ids = len(letters), np.array([f"f{i}" for i in range(len(letters))], dtype=object)
    sample, feature = np.repeat([0, 1], n), np.tile(np.arange(n), 2)
    counts = np.concatenate([np.arange(n) + 1, np.ones(n, dtype=int)])
    table = table_from_triplets(sample, feature, counts, np.array(["a", "b"], dtype=object), ids)
    options = TableOptions(Path("table.biom"), trim_length=trim_length)
    counts_in_frame, sequences, notes = canonical_features(table, FeatureSequences(list(letters), ()), options, FRAME)
    return counts_in_frame, sequences, [note.code for note in notes]


def test_reads_that_differ_outside_of_the_frame_only_are_added_up() -> None:
    primers = (b"GTGCCAGCAGCCGCGGTAA", b"GTGTCAGCAGCCGCGGTAA")
    letters = [primer + one for one in V4 for primer in primers]  # features 2 i and 2 i + 1 are one organism
    table, sequences, codes = in_frame(letters)
    assert table.n_features == 60
    assert sorted(codes) == ["sequences-brought-into-frame", "sequences-merged"]
    order = sorted(range(60), key=lambda i: V4[i])
    assert [decoded(sequences, feature) for feature in range(60)] == [V4[i] for i in order]
    for feature, i in enumerate(order):
        assert set(sequences.merged_ids[feature]) == {f"f{2 * i}", f"f{2 * i + 1}"}
    first = dict(zip(*(part.tolist() for part in table.data.row(0)), strict=True))
    assert first == {feature: (2 * i + 1) + (2 * i + 2) for feature, i in enumerate(order)}
    assert table.data.row(1)[1].tolist() == [2] * 60


def decoded(sequences: Sequences, feature: int) -> bytes:
    """Return the bases of a feature in the frame."""
    codes = sequences.codes[feature, sequences.starts[feature] : sequences.lengths[feature]]
    return np.frombuffer(b"-ACGT", dtype=np.uint8)[codes].tobytes()


def test_moved_sequences_keep_the_letters_of_the_file() -> None:
    letters = [reverse_complement(one[6:]) for one in V4]
    table, sequences, _ = in_frame(letters)
    assert sequences.starts.tolist() == [6] * 60
    assert sequences.lengths.tolist() == [BASES] * 60
    assert not sequences.codes[:, :6].any()
    assert sequences.codes[:, 6:].all()
    for feature, name in enumerate(table.feature_ids):
        assert sequences.text(feature) == letters[int(name[1:])].decode()
        assert decoded(sequences, feature) == V4[int(name[1:])][6:]


def test_trimming_counts_positions_of_the_frame() -> None:
    _, sequences, _ = in_frame([one[6:] for one in V4], trim_length=50)
    assert set(sequences.lengths.tolist()) == {50}
    assert {decoded(sequences, feature) for feature in range(len(sequences))} == {one[6:50] for one in V4}


def test_features_without_a_base_in_the_frame_are_dropped() -> None:
    table, sequences, codes = in_frame([*(b"ACGTACGTACGT" + one for one in V4), b"TTTTGGGG"])
    assert table.n_features == len(sequences) == 60
    assert "f60" not in table.feature_ids
    assert table.depths().tolist() == [sum(range(1, 61)), 60]
    assert codes == ["sequences-brought-into-frame"]
