"""Nearly equal communities: distances compared with SciPy's, and the numbers of samples compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.distance import braycurtis, jaccard

from aam_data.checks import near_duplicates
from aam_data.checks.near_duplicates import find_near_duplicates
from aam_data.options.files import MetadataOptions
from aam_data.readers.biom.table import read_table
from aam_data.readers.metadata.metadata import read_metadata
from aam_data.table import CountTable, SampleCounts, table_from_rows

IBD = Path(__file__).parents[5] / "shared/data/ibd/table.biom"


def table_of(counts: np.ndarray) -> CountTable:
    row, column = np.nonzero(counts)
    indptr = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=len(counts)))])
    ids = np.array([f"s{i}" for i in range(len(counts))], dtype=object)
    features = np.array([f"f{i}" for i in range(counts.shape[1])], dtype=object)
    return table_from_rows(SampleCounts(indptr, column, counts[row, column]), ids, features)


def communities(n: int, n_asvs: int = 60, seed: int = 0) -> np.ndarray:
    """Samples of one depth that share about half of their ASVs with each other."""
    random = np.random.default_rng(seed)
    share = random.lognormal(0, 1.5, (n, n_asvs)) * (random.random((n, n_asvs)) < 0.5)
    return np.stack([random.multinomial(4000, row / row.sum()) for row in share])


def test_twins_are_found_with_their_distance() -> None:
    counts = communities(30)
    random = np.random.default_rng(1)
    counts[3] = random.multinomial(4000, counts[20] / counts[20].sum())  # sequenced again
    counts[7] = 2 * counts[25]  # half the depth
    counts[9] = counts[22]
    found = find_near_duplicates(table_of(counts), np.arange(10), np.arange(10, 30))
    assert [(pair.sample_id, pair.known_id) for pair in found.duplicates] == [
        ("s7", "s25"),
        ("s9", "s22"),
        ("s3", "s20"),
    ]
    shares = counts / counts.sum(axis=1, keepdims=True)
    assert [pair.bray_curtis for pair in found.duplicates] == pytest.approx([0, 0, braycurtis(shares[3], shares[20])])
    assert found.duplicates[2].bray_curtis > 0.01
    assert (found.compared, found.n_samples, found.known, found.n_known) == (10, 10, 20, 20)


def test_rounding_makes_no_distance_negative() -> None:
    counts = np.ones((2, 60), dtype=np.int64) * [[1], [4]]  # 60 times 1 / 60 add up to more than 1
    (pair,) = find_near_duplicates(table_of(counts), np.arange(1), np.arange(1, 2)).duplicates
    assert f"{pair.bray_curtis:.3f}" == "0.000"


def test_both_distances_like_scipy() -> None:
    counts = communities(8)
    table, known = table_of(counts), np.arange(3, 8)
    by_asv = near_duplicates._by_asv(table, known)
    shares = counts / counts.sum(axis=1, keepdims=True)
    for row in range(3):
        bray_curtis, other = near_duplicates._distances(table.data, row, by_asv, table.features_per_sample()[known])
        assert bray_curtis == pytest.approx([braycurtis(shares[row], shares[k]) for k in known])
        assert other == pytest.approx([jaccard(counts[row] > 0, counts[k] > 0) for k in known])


def test_a_shared_dominant_asv_and_few_asvs_do_not_count() -> None:
    random = np.random.default_rng(2)
    counts = np.zeros((4, 100), dtype=int)
    for row in range(2):  # 97 % of one ASV, and 20 others each
        counts[row, 1 + random.choice(99, 20, replace=False)] = 3
        counts[row, 0] = 2000
    counts[2:, :9] = 5  # equal, but nine ASVs say little
    shares = counts / counts.sum(axis=1, keepdims=True)
    assert braycurtis(shares[0], shares[1]) < 0.1
    assert find_near_duplicates(table_of(counts), np.array([0, 2]), np.array([1, 3])).duplicates == ()


def test_big_tables_are_compared_in_part_and_equal_samples_are_all_found(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = communities(40)
    counts[11] = counts[31]
    table = table_of(counts)
    monkeypatch.setattr(near_duplicates, "_MAX_ENTRIES", 300)
    monkeypatch.setattr(near_duplicates, "_MAX_WORK", 1000)
    found = find_near_duplicates(table, np.arange(20), np.arange(20, 40))
    assert found.compared < found.n_samples == 20
    assert found.known < found.n_known == 20
    assert [(pair.sample_id, pair.known_id, pair.bray_curtis) for pair in found.duplicates] == [("s11", "s31", 0.0)]


@pytest.mark.parametrize(("rows", "known"), [([], [1]), ([0], []), ([], [])])
def test_nothing_to_compare(rows: list[int], known: list[int]) -> None:
    table = table_of(communities(2))
    found = find_near_duplicates(table, np.array(rows, dtype=np.int64), np.array(known, dtype=np.int64))
    assert found.duplicates == ()


@pytest.mark.skipif(not IBD.exists(), reason="real data are not at ../shared/data")
def test_measurements_behind_the_limits() -> None:
    """Of all pairs of samples of the study with 2,000 reads, those within both limits are of one person."""
    table = read_table(IBD).table
    metadata = read_metadata(IBD.with_name("metadata.tsv"), MetadataOptions()).take(table.sample_ids)
    rows = np.flatnonzero(table.depths() >= 2000)
    host = metadata.text("host_subject_id")[rows]
    n_asvs, by_asv = table.features_per_sample()[rows], near_duplicates._by_asv(table, rows)
    pairs, near = {"one": 0, "two": 0}, {"one": 0, "two": 0}
    for i, row in enumerate(rows):
        bray_curtis, jaccard_distance = near_duplicates._distances(table.data, row, by_asv, n_asvs)
        within = (bray_curtis <= near_duplicates.MAX_BRAY_CURTIS) & (jaccard_distance <= near_duplicates.MAX_JACCARD)
        for people, chosen in (("one", host == host[i]), ("two", host != host[i])):
            later = chosen[i + 1 :]
            pairs[people] += int(later.sum())
            near[people] += int((later & within[i + 1 :]).sum())
    assert (pairs, near) == ({"one": 4339, "two": 94451}, {"one": 11, "two": 0})


@pytest.mark.skipif(not IBD.exists(), reason="real data are not at ../shared/data")
def test_replicates_of_real_samples_are_found() -> None:
    """A tenth of the reads of each deep sample and the rest of them: nearly all pairs are recognised."""
    table = read_table(IBD).table
    deep = np.flatnonzero(table.depths() >= 20_000)[:40]
    random = np.random.default_rng(0)
    counts = np.zeros((80, table.n_features), dtype=np.int64)  # the tenths, then the rests
    for number, row in enumerate(deep):
        features, reads = table.data.row(row)
        counts[number, features] = random.binomial(reads, 0.1)
        counts[40 + number, features] = reads - counts[number, features]
    found = find_near_duplicates(table_of(counts), np.arange(40), np.arange(40, 80))
    right = sum(int(pair.known_id[1:]) == int(pair.sample_id[1:]) + 40 for pair in found.duplicates)
    assert right >= 36
    assert len(found.duplicates) - right <= 1
    assert 0.03 < np.median([pair.bray_curtis for pair in found.duplicates]) < 0.06
