"""Samples of a dataset: the draw of the rarefier, cut to the most abundant ASVs, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from aam_data.preprocessing.dataset import SampleDataset, cut_report
from aam_data.preprocessing.preprocessor import Preprocessor
from aam_data.preprocessing.rarefaction import Rarefier
from aam_data.sequences import build_sequences
from aam_data.study.study import Study
from aam_data.table import table_from_triplets

COUNTS = np.array(
    [
        [4, 9, 0, 4, 1, 4],  # with a limit of 3: 9, and the first two of the fours
        [0, 7, 0, 0, 2, 0],
        [1, 2, 3, 4, 5, 6],
    ]
)
SEQUENCES = [b"A" * 10, b"C" * 12, b"C" * 15, b"G" * 9, b"G" * 12, b"T" * 12]


def dataset_of(
    counts: np.ndarray,
    depth: int = 0,
    limit: int = 1024,
    max_bp: int = 150,
    sampling: str = "abundance",
    file_rows: list[int] | None = None,
) -> SampleDataset:
    sample, feature = np.nonzero(counts)
    ids = np.array([f"s{i}" for i in range(len(counts))], dtype=object)
    features = np.array([sequence.decode() for sequence in SEQUENCES], dtype=object)
    table = table_from_triplets(sample, feature, counts[sample, feature], ids, features)
    if file_rows is not None:
        table = replace(table, file_rows=np.array(file_rows))
    preprocessor = Preprocessor(max_bp, 0, depth, 42, limit, asv_sampling=sampling)
    return SampleDataset(Study(table, build_sequences(SEQUENCES)), Rarefier(table, depth, 42), preprocessor)


def test_a_sample_within_the_limit_is_the_row_of_the_table() -> None:
    dataset = dataset_of(COUNTS)
    assert len(dataset) == 3
    sample = dataset.sample(1, 0)
    assert (sample.row, sample.reads_cut, sample.asvs_cut) == (1, 0.0, 0)
    assert (sample.asv_rows.tolist(), sample.counts.tolist()) == ([1, 4], [7.0, 2.0])
    assert (sample.asv_rows.dtype, sample.counts.dtype) == (np.int64, np.float32)


def test_the_most_abundant_are_kept_in_canonical_order() -> None:
    first, second, third = dataset_of(COUNTS, limit=3).samples(np.arange(3), 0)
    assert (first.asv_rows.tolist(), first.counts.tolist()) == ([0, 1, 3], [4, 9, 4])
    assert (first.reads_cut, first.asvs_cut) == (5.0, 2)
    assert (second.asvs_cut, second.reads_cut) == (0, 0.0)
    assert (third.asv_rows.tolist(), third.reads_cut, third.asvs_cut) == ([3, 4, 5], 6.0, 3)


def test_the_limit_cuts_the_draw_and_every_read_is_accounted_for() -> None:
    counts = np.random.default_rng(1).poisson(20, (8, 6)) + 1
    whole, cut = dataset_of(counts, depth=30), dataset_of(counts, depth=30, limit=2)
    for row in range(8):
        drawn, kept = whole.sample(row, 3), cut.sample(row, 3)
        assert drawn.counts.sum() == 30 == kept.counts.sum() + kept.reads_cut
        assert len(kept.asv_rows) == 2 == len(drawn.asv_rows) - kept.asvs_cut
        assert set(zip(kept.asv_rows, kept.counts, strict=True)) <= set(zip(drawn.asv_rows, drawn.counts, strict=True))
        assert sorted(kept.counts) == sorted(drawn.counts)[-2:]


def test_many_samples_are_the_same_as_one_by_one_in_any_order() -> None:
    dataset = dataset_of(COUNTS, depth=9, limit=2)
    rows = np.array([2, 0, 2])
    for sample, row in zip(dataset.samples(rows, 5), rows, strict=True):
        alone = dataset.sample(int(row), 5)
        assert sample.row == row
        for ours, theirs in zip(sample, alone, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_relative_abundances_stay_what_they_are() -> None:
    sample = dataset_of(np.array([[0.5, 0.125, 0, 0.25, 0.125, 0]]), limit=2).sample(0, 0)
    assert (sample.asv_rows.tolist(), sample.counts.tolist(), sample.reads_cut) == ([0, 3], [0.5, 0.25], 0.25)


def test_a_rarefier_that_is_not_the_preprocessors_is_rejected() -> None:
    dataset = dataset_of(COUNTS)
    with pytest.raises(ValueError, match="depth and seed"):
        SampleDataset(dataset.study, Rarefier(dataset.study.table, 5, 42), dataset.preprocessor)


def test_report_of_what_is_cut() -> None:
    rows = np.arange(3)
    assert cut_report(dataset_of(COUNTS), rows, 0) is None
    assert cut_report(dataset_of(COUNTS, limit=3, max_bp=10), rows, 0) == (
        "--max-asvs 3 leaves out the 5 rarest ASVs of 2 of 3 samples (25.58% of their reads);"
        " --max-bp 10 cuts the ends of 4 of 6 sequences"
    )
    assert cut_report(dataset_of(COUNTS, max_bp=1), rows, 0) == (
        "warning: --max-bp 1 cuts the end of every one of the 6 sequences; --max-bp 15 in training keeps all of them"
        " whole"
    )
    assert cut_report(dataset_of(COUNTS, depth=2, limit=2), rows, 0) is None  # 2 reads are 2 ASVs at most
    assert cut_report(dataset_of(COUNTS, limit=3), np.array([1]), 0) is None


def test_the_first_are_those_of_the_file() -> None:
    dataset = dataset_of(COUNTS, limit=3, sampling="first", file_rows=[5, 0, 4, 1, 3, 2])
    first, _, third = dataset.samples(np.arange(3), 0)
    assert (first.asv_rows.tolist(), first.reads_cut, first.asvs_cut) == ([1, 3, 5], 5.0, 2)
    assert third.asv_rows.tolist() == [1, 3, 5]
    assert "leaves out the 5 last ASVs of the file of 2 of 3 samples" in (cut_report(dataset, np.arange(3), 0) or "")


def test_random_ones_are_uniform_keyed_and_others_in_every_draw() -> None:
    dataset = dataset_of(COUNTS, limit=2, sampling="random")
    draws = [dataset.sample(2, draw).asv_rows.tolist() for draw in range(3000)]
    times = np.bincount(np.concatenate(draws), minlength=6)
    assert abs(times - 1000).max() < 5 * np.sqrt(3000 * 1 / 3 * 2 / 3)
    pairs = {tuple(draw) for draw in draws}
    assert len(pairs) == 15
    alone = dataset_of(COUNTS[[2]], limit=2, sampling="random")
    assert [alone.sample(0, draw).asv_rows.tolist() for draw in range(20)] != draws[:20]  # the key is the sample's id
    again = dataset_of(COUNTS, limit=2, sampling="random")
    assert [again.sample(2, draw).asv_rows.tolist() for draw in range(20)] == draws[:20]
    assert "leaves out 7 random ASVs of 2 of 3 samples" in (cut_report(dataset, np.arange(3), -1) or "")


@pytest.mark.parametrize(
    ("options", "fixed"),
    [
        ({}, True),
        ({"depth": 5}, False),
        ({"sampling": "random"}, True),  # no sample exceeds the limit
        ({"sampling": "random", "limit": 5}, False),
        ({"limit": 5}, True),
    ],
)
def test_whether_all_draws_are_the_same(options: dict[str, object], fixed: bool) -> None:
    dataset = dataset_of(COUNTS, **options)  # type: ignore[arg-type]
    assert dataset.are_fixed(np.arange(3)) == fixed
    same = [np.array_equal(dataset.sample(2, 0).asv_rows, dataset.sample(2, draw).asv_rows) for draw in range(30)]
    assert all(same) or not fixed
