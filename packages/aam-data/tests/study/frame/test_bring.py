"""Tables brought into the frame of a model: what was moved comes back, other regions stop."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aam_data.errors import DataError
from aam_data.sequences import build_sequences
from aam_data.study.frame.bring import bring_into_frame
from aam_data.study.frame.fit import fit_frame
from aam_data.study.frame.frame import NATIVE, Frame, Placement, word_number
from aam_data.study.frame.gene import GENE
from aam_data.study.frame.reads import Reads
from aam_data.study.frame.search import find_placements
from aam_data.study.orientation import reverse_complement

N, LENGTH = 120, 100


def relatives(start: int, seed: int = 0, length: int = LENGTH) -> list[bytes]:
    """Return reads of 120 organisms from a base of the gene: a fifth of the bases differ from those of E. coli."""
    random = np.random.default_rng(seed)
    gene = np.frombuffer(GENE[start - 1 : start - 1 + length].encode(), dtype=np.uint8)
    reads = np.tile(gene, (N, 1))
    replaced = random.random(reads.shape) < 0.2
    reads[replaced] = random.choice(np.frombuffer(b"ACGT", dtype=np.uint8), int(replaced.sum()))
    return [read.tobytes() for read in reads]


V4 = relatives(534)
READS = np.random.default_rng(1).integers(1, 1000, N).astype(float)
FRAME = fit_frame(build_sequences(V4), READS, LENGTH)


def test_a_frame_by_hand() -> None:
    """Two ASVs of 4 and 16 reads weigh 2 and 4: 6^2 / 20 = 1.8 effective ASVs, to which one of each base is added."""
    frame = fit_frame(build_sequences([b"ACG", b"AG"]), np.array([4, 16]), 2)
    assert frame.length == 3
    second = np.array([0, 2 / 6, 4 / 6, 0]) * 1.8 + 1
    expected = [[2.8, 1, 1, 1], second]
    assert frame.per_mille.tolist() == [np.rint(1000 * np.array(one) / 5.8).tolist() for one in expected]
    assert frame.words == {}
    assert not frame.is_informative
    assert frame.consensus == "AG"


def test_common_words_have_one_position_each() -> None:
    repeated = b"ACGGTTCA" * 6  # the same word every eight bases
    frame = fit_frame(build_sequences([repeated]), np.array([3]), 48)
    assert frame.words == {word_number(repeated[start : start + 24].decode()): start for start in (0, 4)}


def test_frames_are_stored() -> None:
    frame = Frame(FRAME.length, FRAME.per_mille, FRAME.words, 0.9, frozenset({Placement(True, -3)}))
    read = Frame.from_dict(json.loads(json.dumps(frame.to_dict())))
    assert read == frame
    assert read != FRAME
    assert read != "frame"
    assert hash(read) == hash(frame)
    assert (read.table == frame.table).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"length": 10}, "impossible sizes"),
        ({"length": "10"}, r"frame: values of a wrong type \(length\)"),
        ({"per_mille": {"A": "1", "C": "1", "G": "1"}}, r"frame: missing keys \(T\)"),
        ({"per_mille": {"A": "1 2", "C": "1", "G": "1", "T": "1"}}, "values that no frame has"),
        ({"per_mille": {"A": "0", "C": "1", "G": "1", "T": "1"}}, "impossible sizes"),
        ({"per_mille": {"A": "x", "C": "1", "G": "1", "T": "1"}}, "values that no frame has"),
        ({"words": ["3 ACGT"]}, "values that no frame has"),
        ({"words": [f"500 {'A' * 24}"]}, "words outside of it"),
        ({"words": [f"3 {'N' * 24}"]}, "values that no frame has"),
        ({"words": [3]}, "values that no frame has"),
        ({"others": ["backward 3"]}, "values that no frame has"),
        ({"fits": float("nan")}, r"wrong type \(fits\)"),
        ({"more": 1}, r"unknown keys \(more\)"),
    ],
)
def test_anything_else_is_rejected(change: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Frame.from_dict(FRAME.to_dict() | change)


def test_the_frame_of_a_region_has_its_name() -> None:
    assert FRAME.is_informative
    assert FRAME.fits > 0.95
    assert FRAME.others == frozenset()
    assert FRAME.describe() == "V4 from 515F (E. coli 534 to 633)"


def test_reads_in_the_frame_stay_as_they_are() -> None:
    brought = bring_into_frame(V4, READS, FRAME)
    assert brought.sequences == V4
    assert brought.notes == ()


@settings(max_examples=25)
@given(st.integers(-30, 30), st.booleans(), st.integers(0, 100))
def test_moved_reads_come_back_where_bases_exist(offset: int, turned: bool, seed: int) -> None:
    random = np.random.default_rng(seed)
    front = [random.choice(list(b"ACGT"), max(-offset, 0)).astype(np.uint8).tobytes() for _ in V4]
    moved = [more + one[max(offset, 0) :] for more, one in zip(front, V4, strict=True)]
    moved = [reverse_complement(one) for one in moved] if turned else moved
    brought = bring_into_frame(moved, READS, FRAME)
    expected = [b"-" * max(offset, 0) + one[max(offset, 0) :] for one in V4]
    assert brought.sequences == expected
    assert [note.code for note in brought.notes] == ([] if moved == V4 else ["sequences-brought-into-frame"])


def test_primers_barcodes_and_far_reads_are_cut() -> None:
    """V3-V4 from 341F has 176 bases before V4, many more than the offsets that are always tried."""
    random = np.random.default_rng(0)
    for n in (19, 35, 176):
        front = [random.choice(list(b"ACGT"), n).astype(np.uint8).tobytes() for _ in V4]
        longer = [more + one + b"ACGTTGCA" * 4 for more, one in zip(front, V4, strict=True)]
        brought = bring_into_frame(longer, READS, FRAME)
        assert brought.sequences == V4
        assert f"start {n} bases earlier: 120 of 120 sequences" in brought.notes[0]


def test_far_reads_of_several_lengths_are_cut_where_the_frame_starts() -> None:
    """V3 differs in length between organisms."""
    random = np.random.default_rng(0)
    fronts = [176] * 100 + [175] * 15 + [151] * 5
    longer = [bytes(random.choice(list(b"ACGT"), n).astype(np.uint8)) + one for n, one in zip(fronts, V4, strict=True)]
    assert bring_into_frame(longer, np.ones(N), FRAME).sequences == V4


def test_longer_reads_are_cut_and_shorter_ones_are_not_filled() -> None:
    longer = bring_into_frame([one + b"ACGTTG" for one in V4], READS, FRAME)
    assert longer.sequences == V4
    assert "100.0% of the reads are longer than the model's 100 bases" in longer.notes[0]
    shorter = [one[:60] for one in V4]
    assert bring_into_frame(shorter, READS, FRAME).sequences == shorter


def test_mixed_reads_are_moved_each_by_its_own_placement() -> None:
    mixed = [(one, reverse_complement(one), one[7:])[i % 3] for i, one in enumerate(V4)]
    brought = bring_into_frame(mixed, np.ones(N), FRAME)
    assert brought.sequences == [b"-" * 7 + one[7:] if i % 3 == 2 else one for i, one in enumerate(V4)]
    assert "33.3% of the reads are of the other strand" in brought.notes[0]
    assert "33.3% of the reads start 7 bases later" in brought.notes[0]


def test_an_insertion_near_the_start_of_one_organism_is_no_shift() -> None:
    """Its read fits best one base later, but most reads lie at 0, and so did it in training."""
    other = b"T" + V4[0][:-1]
    reads = np.append(np.full(N, 10.0), 20.0)
    brought = bring_into_frame([*V4, other], reads, FRAME)
    assert brought.sequences[-1] == other


def test_few_reads_with_a_deletion_are_no_shift_unless_they_are_many() -> None:
    deleted = [one[:5] + one[25:] for one in relatives(534, length=120)[:4]]
    sequences = [*V4, *deleted]
    few, many = np.append(np.full(N, 10.0), [2.0] * 4), np.append(np.full(N, 10.0), [10.0] * 4)
    assert bring_into_frame(sequences, few, FRAME).sequences == sequences
    assert bring_into_frame(sequences, many, FRAME).sequences[-1] == b"-" * 20 + deleted[-1][:80]


def test_what_training_reads_had_among_themselves_stays() -> None:
    turned = [reverse_complement(one) for one in V4]
    both = [*V4, *turned]
    reads = np.concatenate([READS * 3, READS])
    frame = fit_frame(build_sequences(both), reads, LENGTH)
    assert frame.others == {Placement(True, 0)}
    assert bring_into_frame(both, reads, frame).sequences == both
    assert bring_into_frame([one[4:] for one in V4], READS, frame).sequences == [b"----" + one[4:] for one in V4]


@pytest.mark.parametrize(("start", "name"), [(28, "V1 from 27F"), (358, "V3 from 341F"), (800, "V5 from 799F")])
def test_other_regions_stop_by_name(start: int, name: str) -> None:
    with pytest.raises(DataError) as raised:
        bring_into_frame(relatives(start), READS, FRAME, "table.biom")
    assert raised.value.code == "sequences-other-region"
    text = str(raised.value)
    assert text.startswith("table.biom: another region or primer: this model reads V4 from 515F (E. coli 534 to 633)")
    assert f"they are {name} " in text
    assert "--frame ignore" in text


def test_reads_with_few_bases_in_the_frame_stop() -> None:
    """They overlap with it by 40 of 100 bases."""
    further = relatives(594)
    frame = fit_frame(build_sequences(relatives(534, length=160)), READS, 100)  # words and profile of 100 positions
    with pytest.raises(DataError, match="and only 40 bases of most reads lie there on either strand; they are V4"):
        bring_into_frame(further, READS, frame)
    assert bring_into_frame([one[45:] for one in V4], READS, FRAME).sequences == [b"-" * 45 + one[45:] for one in V4]


def test_a_minority_of_another_gene_follows_with_a_warning() -> None:
    other = [bytes(np.random.default_rng(i).choice(list(b"ACGT"), LENGTH).astype(np.uint8)) for i in range(N // 4)]
    sequences = [*(one[5:] for one in V4), *other]
    brought = bring_into_frame(sequences, np.ones(len(sequences)), FRAME)
    assert brought.sequences[-1] == b"-----" + other[-1][:95]
    assert [note.code for note in brought.notes] == ["sequences-brought-into-frame", "sequences-fit-partly"]
    assert brought.notes[1].startswith("warning: 20.")


def test_reads_without_a_base_in_the_frame_are_dropped() -> None:
    front = b"ACGTACGTACGTACGTACGT"
    sequences = [*(front + one for one in V4), b"ACGTTGCATG"]
    brought = bring_into_frame(sequences, np.ones(N + 1), FRAME)
    assert brought.sequences == [*V4, b""]
    assert "1 with 0.83% of the reads have no base in it and were dropped" in brought.notes[0]


@settings(max_examples=25)
@given(st.integers(0, 20), st.integers(0, 15), st.integers(0, 50), st.booleans())
def test_unrelated_sequences_are_found_by_their_words(later: int, front: int, seed: int, turned: bool) -> None:
    """Twelve sequences without anything in common have no profile, but they are recognized one by one."""
    random = np.random.default_rng(seed)
    letters = [bytes(random.choice(list(b"ACGT"), 60).astype(np.uint8)) for _ in range(12)]
    frame = fit_frame(build_sequences(letters), np.ones(12), 60)
    assert not frame.is_informative
    before = bytes(random.choice(list(b"ACGT"), front).astype(np.uint8))
    later = 0 if front else later
    moved = [before + one[later:] for one in letters]
    moved = [reverse_complement(one) for one in moved] if turned else moved
    assert bring_into_frame(moved, np.ones(12), frame).sequences == [b"-" * later + one[later:] for one in letters]
    others = [bytes(random.choice(list(b"ACGT"), 60).astype(np.uint8)) for _ in range(12)]
    brought = bring_into_frame(others, np.ones(12), frame)  # nothing to compare, so nothing to stop for
    assert brought.sequences == others
    assert brought.notes == ()


def test_placements_of_a_table_without_reads_of_the_frame() -> None:
    found = find_placements(Reads.encode([b"ACGT"], np.ones(1)), FRAME)
    assert found.placements == ()
    assert found.placement_of.tolist() == [-1]
    assert found.fitting == 0


def test_native_is_no_move() -> None:
    assert NATIVE == (False, 0)
