"""UniFrac and Faith's PD compared with scikit-bio, with sums over branches, and by hand."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from aam_data.options.base import UnifracMetric
from aam_data.unifrac.branch_shares import branch_shares, shear_to
from aam_data.unifrac.unifrac import faith_pd, unifrac_blocks, unifrac_distances

from .cases import (
    SHAPES,
    as_phylogeny,
    as_samples,
    by_definition,
    by_scikit_bio,
    ladder,
    random_counts,
    random_newick,
    read_with_scikit_bio,
)

METRICS: tuple[UnifracMetric, ...] = get_args(UnifracMetric)
# Every metric, generalized with the alphas that go their own way.
WAYS: list[tuple[UnifracMetric, float]] = [
    *((metric, 1.0) for metric in METRICS),
    *(("generalized", alpha) for alpha in (0.0, 0.3, 0.5)),
]


@pytest.mark.parametrize("shape", SHAPES)
def test_two_hundred_random_trees_against_scikit_bio(shape: str) -> None:
    for seed in range(40):
        rng = np.random.default_rng([SHAPES.index(shape), seed])
        n_tips = int(rng.integers(2, 40))
        names = [f"t{i}" for i in range(n_tips)]
        text, counts = random_newick(shape, n_tips, rng), random_counts(n_tips, rng)
        theirs = by_scikit_bio(read_with_scikit_bio(text), counts, names)
        phylogeny, samples = as_phylogeny(text, names), as_samples(counts)
        np.testing.assert_allclose(faith_pd(phylogeny, samples), theirs.pop("faith_pd"), rtol=1e-12)
        theirs["generalized"] = theirs["weighted"]
        assert set(theirs) == set(METRICS)
        for metric in METRICS:
            ours = unifrac_distances(phylogeny, samples, metric=metric)
            np.testing.assert_allclose(ours, theirs[metric], rtol=0, atol=1e-12)
            ours = unifrac_distances(phylogeny, samples, samples, metric)
            np.testing.assert_allclose(ours, theirs[metric], rtol=0, atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_generalized_is_its_definition(shape: str) -> None:
    for seed in range(10):
        rng = np.random.default_rng([SHAPES.index(shape), seed])
        n_tips = int(rng.integers(2, 20))
        names = [f"t{i}" for i in range(n_tips)]
        text, counts = random_newick(shape, n_tips, rng), random_counts(n_tips, rng)
        tree, phylogeny, samples = read_with_scikit_bio(text), as_phylogeny(text, names), as_samples(counts)
        for alpha in (0.0, 0.2, 0.5, 1.0):
            expected = by_definition(tree, counts, names, alpha)
            for others in (None, samples):
                ours = unifrac_distances(phylogeny, samples, others, "generalized", alpha)
                np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-12)


def test_twenty_thousand_levels() -> None:
    rng = np.random.default_rng(0)
    text, names = ladder(20_001, rng)
    counts = (rng.random((3, len(names))) < np.array([[0.5], [0.01], [0.0005]])).astype(np.int64)
    theirs = by_scikit_bio(read_with_scikit_bio(text), counts, names)
    phylogeny, samples = as_phylogeny(text, names), as_samples(counts)
    for metric in ("unifrac", "weighted", "weighted_unnormalized"):
        ours = unifrac_distances(phylogeny, samples, metric=metric)
        np.testing.assert_allclose(ours, theirs[metric], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(faith_pd(phylogeny, samples), theirs["faith_pd"], rtol=1e-9)


def test_by_hand() -> None:
    phylogeny = as_phylogeny("((A:1,B:2):3,(C:4,D:5):6):99;", ["A", "B", "C", "D"])
    samples = as_samples(np.array([[5, 0, 0, 0], [0, 2, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [1, 0, 3, 0]]))
    distances = unifrac_distances(phylogeny, samples)
    assert faith_pd(phylogeny, samples).tolist() == [4, 5, 6, 10, 14]
    assert distances[0] == pytest.approx([0, 1 - 3 / 6, 1 - 4 / 6, 1, 1 - 4 / 14])
    # Branches of sample 0: A 1, AB 1. Of sample 2: A 1/2, B 1/2, AB 1. Of sample 4: A 1/4, C 3/4, AB 1/4, CD 3/4.
    raw = unifrac_distances(phylogeny, samples, metric="weighted_unnormalized")
    assert raw[0] == pytest.approx([0, 1 + 2, 1 / 2 + 2 / 2, 4 + 10, (1 + 3) * 3 / 4 + 10 * 3 / 4])
    normalized = unifrac_distances(phylogeny, samples, metric="weighted")
    assert normalized[0] == pytest.approx([0, 3 / 9, 1.5 / (4 + 4.5), 1, 10.5 / (4 + 1 + 7.5)])
    # alpha 0: every branch counts as |a - b| / (a + b).
    half = unifrac_distances(phylogeny, samples, metric="generalized", alpha=0)
    assert half[0] == pytest.approx([0, 3 / 6, (1 / 3 + 2) / 6, 1, ((1 + 3) * 0.75 / 1.25 + 10) / 14])
    root = unifrac_distances(phylogeny, samples, metric="generalized", alpha=0.5)
    both = (1 + 3) * 1.25**0.5
    assert root[0, 4] == pytest.approx((both * 0.75 / 1.25 + 10 * 0.75**0.5) / (both + 10 * 0.75**0.5))


def test_shares_below_branches() -> None:
    phylogeny = as_phylogeny("((A:1,B:1):1,C:1);", ["A", "B", "C", "off"])
    shares = branch_shares(phylogeny, as_samples(np.array([[2, 1, 1, 8], [0, 3, 1, 0], [0, 0, 0, 5]])))
    assert shares.toarray().tolist() == [[1, 0.75, 0.5, 0.25, 0.25], [1, 0.75, 0, 0.75, 0.25], [0] * 5]
    fractions = branch_shares(phylogeny, as_samples(np.array([[0.1, 0.2, 0.0, 0.0]])))
    assert fractions.toarray()[0] == pytest.approx([1, 1, 1 / 3, 2 / 3, 0])
    assert fractions.indices.tolist() == [0, 1, 2, 3]


def test_fractions_leave_no_trace_where_nothing_is() -> None:
    rng = np.random.default_rng(5)
    names = [f"t{i}" for i in range(300)]
    phylogeny = as_phylogeny(random_newick("binary", 300, rng), names)
    counts = random_counts(300, rng)
    fractions = counts / counts.sum(axis=1, keepdims=True)
    for metric, alpha in WAYS:
        from_reads = unifrac_distances(phylogeny, as_samples(counts), metric=metric, alpha=alpha)
        from_fractions = unifrac_distances(phylogeny, as_samples(fractions), metric=metric, alpha=alpha)
        np.testing.assert_allclose(from_fractions, from_reads, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("metric", "alpha"), WAYS)
def test_fractions_that_sums_lose(metric: UnifracMetric, alpha: float) -> None:
    """1e-20 below a branch is 0 after a sum with 0.5; all samples still have distances, as if it were absent."""
    phylogeny = as_phylogeny("((A:1,B:1):1,C:1);", ["A", "B", "C"])
    fractions = np.array([[0.5, 1e-20, 0.5], [0.9, 1e-20, 0.1], [0.2, 0, 0.8]])
    values = unifrac_distances(phylogeny, as_samples(fractions), metric=metric, alpha=alpha)
    assert np.isfinite(values).all()
    if metric != "unifrac" and alpha > 0:
        fractions[:, 1] = 0
        without = unifrac_distances(phylogeny, as_samples(fractions), metric=metric, alpha=alpha)
        np.testing.assert_allclose(values, without, rtol=0, atol=1e-12)


def test_a_sheared_tree_gives_the_same_distances() -> None:
    rng = np.random.default_rng(6)
    names = [f"t{i}" for i in range(200)]
    phylogeny = as_phylogeny(random_newick("long root path", 200, rng), names)
    few = as_samples((rng.random((3, 200)) < 0.03) * rng.integers(1, 9, (3, 200)))
    sheared = shear_to(phylogeny, few)
    assert sheared.n_tips == len(np.unique(few.indices))
    assert sheared.n_branches < phylogeny.n_branches / 5
    np.testing.assert_allclose(faith_pd(sheared, few), faith_pd(phylogeny, few), rtol=1e-14)
    for metric, alpha in WAYS:
        ours, expected = (unifrac_distances(tree, few, few, metric, alpha) for tree in (sheared, phylogeny))
        np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize(("metric", "alpha"), WAYS)
def test_samples_without_a_read_on_the_tree_have_nothing(metric: UnifracMetric, alpha: float) -> None:
    phylogeny = as_phylogeny("((A:1,B:1):1,C:1);", ["A", "off", "C"])
    samples = as_samples(np.array([[1, 1, 0], [0, 9, 0], [0, 0, 0], [1, 0, 1]]))
    nothing = np.array([False, True, True, False])
    undefined = nothing[:, None] | nothing
    for others in (None, samples):
        distances = unifrac_distances(phylogeny, samples, others, metric, alpha)
        assert np.array_equal(np.isnan(distances), undefined)
    assert np.array_equal(np.isnan(faith_pd(phylogeny, samples)), nothing)
    only_nothing = as_samples(np.array([[0, 9, 0]]))
    assert np.isnan(unifrac_distances(phylogeny, only_nothing, None, metric, alpha)).all()
    assert np.isnan(unifrac_distances(phylogeny, only_nothing, samples, metric, alpha)).all()
    assert np.isnan(faith_pd(phylogeny, only_nothing)).all()


@pytest.mark.parametrize(("metric", "alpha"), WAYS)
def test_branches_without_length_do_not_tell_samples_apart(metric: UnifracMetric, alpha: float) -> None:
    phylogeny = as_phylogeny("((A:0,B:0):0,C:0);", ["A", "B", "C"])
    samples = as_samples(np.array([[1, 1, 0], [0, 9, 3]]))
    assert not unifrac_distances(phylogeny, samples, samples, metric, alpha).any()


@pytest.mark.parametrize(("metric", "alpha"), [("unifrac", 1.0), ("weighted", 1.0), ("generalized", 0.5)])
def test_many_blocks_make_up_the_matrix(metric: UnifracMetric, alpha: float) -> None:
    """More rows than one block has."""
    n, rng = 2100, np.random.default_rng(4)
    names = [f"t{i}" for i in range(15)]
    phylogeny = as_phylogeny(random_newick("binary", 15, rng), names)
    samples = as_samples((rng.random((n, 15)) < 0.2) * rng.integers(1, 9, (n, 15)))
    whole = unifrac_distances(phylogeny, samples, samples, metric, alpha)
    again, shares, times = np.full_like(whole, np.nan), [], np.zeros_like(whole)
    for number, block in enumerate(unifrac_blocks(phylogeny, samples, metric, alpha)):
        assert block.number == number
        assert block.values.shape == (block.rows.stop - block.rows.start, block.columns.stop - block.columns.start)
        again[block.rows, block.columns] = block.values
        again[block.columns, block.rows] = block.values.T
        times[block.rows, block.columns] += 1
        shares.append(block.share)
    np.testing.assert_allclose(again, whole, rtol=0, atol=1e-13)
    assert np.array_equal(again, again.T, equal_nan=True)
    assert set(again.diagonal()[~np.isnan(again.diagonal())]) == {0.0}
    assert (times[np.triu_indices(n)] == 1).all()
    assert shares == sorted(shares)
    assert shares[-1] == 1
    rest = list(unifrac_blocks(phylogeny, samples, metric, alpha, first=len(shares) - 3))
    assert [block.number for block in rest] == [len(shares) - 3, len(shares) - 2, len(shares) - 1]
    assert np.array_equal(rest[0].values, again[rest[0].rows, rest[0].columns], equal_nan=True)
    assert list(unifrac_blocks(phylogeny, samples, metric, alpha, first=len(shares))) == []


def test_more_branches_than_one_step() -> None:
    """A row of 96 columns takes 682 branches at a time."""
    rng = np.random.default_rng(7)
    text, names = ladder(900, rng)
    phylogeny = as_phylogeny(text, names)
    counts = rng.integers(1, 50, (100, 900))
    samples = as_samples(counts)
    shares = branch_shares(phylogeny, samples).toarray()
    length = phylogeny.branch_length
    raw = np.array([[length @ abs(a - b) for b in shares] for a in shares[:5]])
    total = np.array([[length @ (a + b) for b in shares] for a in shares[:5]])
    ours = {m: unifrac_distances(phylogeny, samples, metric=m)[:5] for m in METRICS}
    np.testing.assert_allclose(ours["weighted_unnormalized"], raw, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(ours["weighted"], raw / total, rtol=1e-9, atol=1e-14)
    above = np.array([[length @ (abs(a - b) / np.sqrt(a + b)) for b in shares] for a in shares[:5]])
    below = np.array([[length @ np.sqrt(a + b) for b in shares] for a in shares[:5]])
    ours_half = unifrac_distances(phylogeny, samples, metric="generalized", alpha=0.5)[:5]
    np.testing.assert_allclose(ours_half, above / below, rtol=1e-9, atol=1e-14)


def test_no_samples() -> None:
    phylogeny = as_phylogeny("((A:1,B:1):1,C:1);", ["A", "B", "C"])
    nobody = as_samples(np.zeros((0, 3), dtype=np.int64))
    assert unifrac_distances(phylogeny, nobody).shape == (0, 0)
    assert faith_pd(phylogeny, nobody).shape == (0,)
