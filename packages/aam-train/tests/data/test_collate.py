"""Batches against a slow reference in plain Python."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from aam_data import alphabet
from aam_data.preprocessing.dataset import Sample
from aam_data.random_keys import sample_key
from aam_data.sequences import build_sequences
from aam_data.study.study import Study
from aam_data.table import CountTable, SampleCounts
from aam_models.batch.batch import Batch, PaddedGroup
from aam_models.batch.padding import MIN_SLOTS_SAVED, pad
from aam_train.data.collate import MIN_CHUNK_ASVS, MIN_LENGTH_RATIO, Collator, cut_chunks
from aam_train.data.corruptions import Corruptions, HideCounts, MaskBases
from aam_train.data.masking import hidden_occurrences, masked_positions

MAX_BP = 25
LETTERS = {"A": 1, "C": 2, "G": 3, "T": 4, "N": 7}
BOTH = (MaskBases(0.3), HideCounts(0.4))


@pytest.fixture(scope="module")
def mixed() -> Study:
    """Six samples of 90 ASVs of 20 to 30 bases, 50 of them with 24; some bases are ambiguous."""
    random = np.random.default_rng(0)
    lengths = [24] * 50 + list(random.integers(20, 31, 40))
    sequences = sorted("".join(random.choice(list("ACGTACGTACGTN"), n)) for n in lengths)
    present = random.random((6, 90)) < 0.4
    counts = SampleCounts(
        np.concatenate([[0], np.cumsum(present.sum(axis=1))]),
        np.nonzero(present)[1].astype(np.int32),
        random.integers(1, 50, present.sum()).astype(np.int32),
    )
    ids = np.array([f"S{i}" for i in range(6)], dtype=object)
    table = CountTable(ids, np.array(sequences, dtype=object), counts)
    return Study(table, build_sequences([s.encode() for s in sequences]))


def samples_of(study: Study, rows: list[int]) -> list[Sample]:
    parts = [study.table.data.row(row) for row in rows]
    return [
        Sample(row, features.astype(np.int64), counts.astype(np.float32), 0.0, 0)
        for row, (features, counts) in zip(rows, parts, strict=True)
    ]


def collate(study: Study, rows: list[int], corruptions: Corruptions = BOTH, chunk_size: int = 16) -> Batch:
    targets = np.array([[0.1], [np.nan], [0.3], [0.4], [0.5], [0.6]], dtype=np.float32)
    collator = Collator(study, max_bp=MAX_BP, chunk_size=chunk_size, seed=5, targets=targets)
    return collator.collate(samples_of(study, rows), draw=3, corruptions=corruptions)


ROWS = [4, 0, 3, 1]


def test_occurrences_lead_to_the_sequences_and_reads_of_their_samples(mixed: Study) -> None:
    batch = collate(mixed, ROWS, ())
    for b, row in enumerate(ROWS):
        features, counts = mixed.table.data.row(row)
        here = slice(int(batch.sample_ptr[b]), int(batch.sample_ptr[b + 1]))
        assert batch.asv_rows[batch.asv_index[here]].tolist() == features.tolist()
        assert batch.counts[here].tolist() == counts.tolist()
        for feature, unique in zip(features, batch.asv_index[here].tolist(), strict=True):
            tokens = [alphabet.START, *(LETTERS[letter] for letter in mixed.table.feature_ids[feature][:MAX_BP])]
            assert batch.tokens[unique, : batch.lengths[unique]].tolist() == tokens
            assert (batch.tokens[unique, batch.lengths[unique] :] == alphabet.PAD).all()
    assert batch.sample_keys.tolist() == [[0, row] for row in ROWS]
    assert batch.targets is not None
    np.testing.assert_array_equal(batch.targets[:, 0], np.float32([0.5, 0.1, 0.4, np.nan]))


def test_each_asv_stands_once_ordered_by_length(mixed: Study) -> None:
    batch = collate(mixed, ROWS)
    present = {feature for row in ROWS for feature in mixed.table.data.row(row)[0].tolist()}
    assert sorted(batch.asv_rows.tolist()) == sorted(present)
    assert batch.tokens.dtype == torch.uint8
    assert batch.tokens.shape == (len(present), int(batch.lengths.max()))
    order = [(min(len(mixed.table.feature_ids[row]), MAX_BP), row) for row in batch.asv_rows.tolist()]
    assert order == sorted(order)


def test_slots_list_the_occurrences_of_each_sample(mixed: Study) -> None:
    batch = collate(mixed, ROWS)
    longest = max(len(mixed.table.data.row(row)[0]) for row in ROWS)
    assert batch.groups == (PaddedGroup(len(ROWS), longest),)
    (slots,) = batch.by_group(batch.slots)
    for b in range(len(ROWS)):
        own = list(range(int(batch.sample_ptr[b]), int(batch.sample_ptr[b + 1])))
        assert slots[b].tolist() == own + [batch.n_occurrences] * (longest - len(own))
        assert batch.sample_of[own].tolist() == [b] * len(own)


@given(st.lists(st.one_of(st.integers(1, 50), st.integers(500, 3000)), min_size=1, max_size=30))
def test_samples_are_padded_with_those_of_similar_size(sizes: list[int]) -> None:
    padding, n = pad(np.array(sizes)), sum(sizes)
    assert sum(group.n_samples for group in padding.groups) == len(sizes)
    assert len(padding.slots) == sum(group.total for group in padding.groups)
    assert padding.slots[padding.slot_of].tolist() == list(range(n))
    assert np.count_nonzero(padding.slots == n) == len(padding.slots) - n
    starts = np.cumsum(sizes) - sizes
    firsts = [place * g.n_slots + sum(before.total for before in padding.groups[:number])
              for number, g in enumerate(padding.groups) for place in range(g.n_samples)]  # fmt: skip
    for sample, place in enumerate(padding.order.tolist()):
        first = firsts[place]
        assert padding.slots[first : first + sizes[sample]].tolist() == list(
            range(starts[sample], starts[sample] + sizes[sample])
        )
        assert (padding.sample_of[starts[sample] : starts[sample] + sizes[sample]] == sample).all()
    spared = len(sizes) * max(sizes) - len(padding.slots)
    assert spared >= MIN_SLOTS_SAVED * (len(padding.groups) - 1)
    if len(padding.groups) == 1:
        assert padding.order.tolist() == list(range(len(sizes)))
    for left, right in pairwise(padding.groups):
        assert right.n_slots <= left.n_slots / 2


def test_masked_positions_hold_mask_and_remember_their_base(mixed: Study) -> None:
    plain, masked = collate(mixed, ROWS, ()), collate(mixed, ROWS)
    assert plain.masked_rows.shape == (0,)
    rows, columns = masked.masked_rows, masked.masked_columns
    assert (masked.tokens[rows, columns] == alphabet.MASK).all()
    assert (plain.tokens[rows, columns].long() - alphabet.A == masked.masked_bases).all()
    assert ((masked.masked_bases >= 0) & (masked.masked_bases < 4)).all()
    changed = torch.nonzero(masked.tokens != plain.tokens)
    assert changed.tolist() == torch.stack([rows, columns], dim=1).tolist()
    for unique, row in enumerate(masked.asv_rows.tolist()):
        known = sum(letter != "N" for letter in mixed.table.feature_ids[row][:MAX_BP])
        assert int((rows == unique).sum()) == max(1, round(0.3 * known))


def test_masks_depend_on_the_sequence_not_on_the_batch(mixed: Study) -> None:
    def by_asv(batch: Batch) -> dict[int, list[int]]:
        return {
            row: batch.masked_columns[batch.masked_rows == unique].tolist()
            for unique, row in enumerate(batch.asv_rows.tolist())
        }

    whole, part = by_asv(collate(mixed, ROWS)), by_asv(collate(mixed, [3]))
    assert part == {row: whole[row] for row in part}
    keys = mixed.sequences.keys[sorted(whole)]
    maskable = (mixed.sequences.codes[sorted(whole), :MAX_BP] - 1) < 4
    columns = np.concatenate([np.zeros((len(maskable), 1), dtype=bool), maskable], axis=1)
    expected = masked_positions(keys, columns, 0.3, seed=5, draw=3)[1]
    assert [column for row in sorted(whole) for column in whole[row]] == expected.tolist()


def test_hidden_counts_depend_on_the_sample_and_the_sequence(mixed: Study) -> None:
    batch = collate(mixed, ROWS)
    assert collate(mixed, ROWS, (MaskBases(0.3),)).hidden_counts is None
    assert batch.hidden_counts is not None
    for b, row in enumerate(ROWS):
        features = mixed.table.data.row(row)[0]
        sample = np.full(len(features), sample_key(f"S{row}"), dtype=np.uint64)
        expected = hidden_occurrences(mixed.sequences.keys[features], sample, 0.4, seed=5, draw=3)
        here = slice(int(batch.sample_ptr[b]), int(batch.sample_ptr[b + 1]))
        assert batch.hidden_counts[here].tolist() == expected.tolist()
    assert 0.2 < float(batch.hidden_counts.float().mean()) < 0.6


def test_asvs_alone_are_masked_as_in_samples(mixed: Study) -> None:
    collator = Collator(mixed, max_bp=MAX_BP, chunk_size=0, seed=5)
    alone = collator.asvs(np.array([7, 2, 50]), 3, BOTH)
    whole = collate(mixed, list(range(6)))
    for unique, row in enumerate(alone.asv_rows.tolist()):
        other = int((whole.asv_rows == row).nonzero())
        length = int(alone.lengths[unique])
        assert alone.tokens[unique, :length].tolist() == whole.tokens[other, :length].tolist()


@given(st.lists(st.integers(1, 40), min_size=1, max_size=150), st.integers(0, 50), st.data())
def test_chunks_cover_every_asv_once(lengths: list[int], chunk_size: int, data: st.DataObject) -> None:
    ordered = np.sort(np.array(lengths, dtype=np.int32))
    masked = np.sort(np.array(data.draw(st.lists(st.integers(0, len(lengths) - 1), max_size=20)), dtype=np.int64))
    chunks = cut_chunks(ordered, chunk_size, masked)
    assert [i for chunk in chunks for i in range(chunk.start, chunk.stop)] == list(range(len(lengths)))
    assert [i for chunk in chunks for i in range(chunk.first_masked, chunk.last_masked)] == list(range(len(masked)))
    for chunk in chunks:
        here = ordered[chunk.start : chunk.stop]
        assert 1 <= len(here) <= (chunk_size or len(lengths))
        assert chunk.length == here.max()
        assert chunk.uniform == (here.min() == here.max())
        assert here.min() >= MIN_LENGTH_RATIO * here.max()
        own = masked[chunk.first_masked : chunk.last_masked]
        assert all(chunk.start <= row < chunk.stop for row in own)
    if chunk_size == 0:
        for length, count in zip(*np.unique(ordered, return_counts=True), strict=True):
            if count >= MIN_CHUNK_ASVS and chunks[0].length == length == ordered[0]:
                assert chunks[0].uniform
                assert chunks[0].stop == count


def test_missing_bases_in_front_are_padding_that_is_never_masked() -> None:
    letters = [b"--ACGTACGT", b"ACGTACGTAA", b"---------T", b"GGTTACGTAC"]
    ids = np.array([one.decode() for one in letters], dtype=object)
    counts = SampleCounts(np.array([0, 4]), np.arange(4, dtype=np.int32), np.ones(4, dtype=np.int32))
    study = Study(CountTable(np.array(["S"], dtype=object), ids, counts), build_sequences(letters))
    assert study.sequences.starts.tolist() == [2, 0, 9, 0]
    collator = Collator(study, max_bp=12, chunk_size=0, seed=0)
    samples = samples_of(study, [0])
    batch = collator.collate(samples, 0, (MaskBases(0.9),))
    assert batch.tokens[0, :3].tolist() == [alphabet.START, alphabet.PAD, alphabet.PAD]
    assert batch.lengths.tolist() == [11] * 4
    masked = set(zip(batch.masked_rows.tolist(), batch.masked_columns.tolist(), strict=True))
    bases = {(row, column + 1) for row, one in enumerate(letters) for column in range(10) if one[column] != ord("-")}
    assert masked < bases
    assert {row for row, _ in masked} == {0, 1, 2, 3}
    assert [chunk.uniform for chunk in batch.chunks] == [False]
    assert collator.chunks_of(samples) == tuple(chunk._replace(first_masked=0, last_masked=0) for chunk in batch.chunks)


def test_chunks_without_missing_bases_need_no_mask() -> None:
    lengths, gaps = np.full(6, 11, dtype=np.int32), np.array([False, False, True, False, False, False])
    chunks = cut_chunks(lengths, 2, np.zeros(0, dtype=np.int64), gaps)
    assert [chunk.uniform for chunk in chunks] == [True, False, True]
