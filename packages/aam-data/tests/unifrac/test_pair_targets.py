"""Targets of pairs, from the tree and from a file."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

from aam_data.errors import DataError
from aam_data.options.base import UnifracMetric
from aam_data.options.simulate import SimulateOptions
from aam_data.preprocessing.rarefaction import Rarefier
from aam_data.readers.distances.matrix import DistanceMatrix
from aam_data.sequences import build_sequences
from aam_data.simulate.study import simulate_study
from aam_data.study.phylogeny import Phylogeny
from aam_data.table import CountTable
from aam_data.unifrac.pair_targets import MatrixTargets, PairTargets, TreeTargets
from aam_data.unifrac.unifrac import faith_pd, unifrac_distances


@pytest.fixture(scope="module")
def study() -> tuple[CountTable, Phylogeny]:
    simulated = simulate_study(SimulateOptions(samples=30, asvs=60, hosts=6, depth=2000))
    names = simulated.table.feature_ids
    sequences = build_sequences([name.encode() for name in names])
    return simulated.table, Phylogeny.from_newick(simulated.tree, names, sequences)


@pytest.mark.parametrize(
    ("metric", "alpha"),
    [("unifrac", 1.0), ("weighted", 1.0), ("weighted_unnormalized", 1.0), ("generalized", 0.5), ("generalized", 1.0)],
)
def test_tree_targets_are_those_of_the_drawn_reads(
    metric: UnifracMetric, alpha: float, study: tuple[CountTable, Phylogeny]
) -> None:
    table, phylogeny = study
    rarefier = Rarefier(table, depth=300, seed=1)
    targets: PairTargets = TreeTargets(phylogeny, rarefier, metric, alpha)
    rows, columns = np.array([4, 0, 17]), np.array([17, 3, 4, 9])
    for draw in (0, 1, -1):
        everything = np.arange(table.n_samples)
        whole = unifrac_distances(phylogeny, rarefier.draw(everything, draw), None, metric, alpha)
        block = targets.pairs(rows, columns, draw)
        assert block.dtype == np.float32
        np.testing.assert_allclose(block, whole[np.ix_(rows, columns)], atol=1e-7)
        assert block[0, 2] == pytest.approx(0, abs=1e-7)  # sample 4 and itself
        np.testing.assert_allclose(targets.pairs(rows, rows, draw), whole[np.ix_(rows, rows)], atol=1e-7)
        diversity = faith_pd(phylogeny, rarefier.draw(everything, draw))
        np.testing.assert_allclose(targets.values(rows, draw), diversity[rows], rtol=1e-6)


def test_draws_differ_and_repeat(study: tuple[CountTable, Phylogeny]) -> None:
    targets = TreeTargets(study[1], Rarefier(study[0], depth=100, seed=1))
    rows = np.arange(10)
    first = targets.pairs(rows, rows, 0)
    assert np.array_equal(first, targets.pairs(rows, rows, 0))
    assert not np.array_equal(first, targets.pairs(rows, rows, 1))


def test_matrix_and_tree_agree_without_rarefaction(study: tuple[CountTable, Phylogeny]) -> None:
    table, phylogeny = study
    order = np.random.default_rng(0).permutation(table.n_samples)
    values = unifrac_distances(phylogeny, table.take_counts(order)).astype(np.float32)
    from_file = MatrixTargets(DistanceMatrix(table.sample_ids[order], values), table.sample_ids)
    from_tree = TreeTargets(phylogeny, Rarefier(table, depth=0, seed=1))
    rows, columns = np.array([5, 2, 29]), np.arange(30)
    np.testing.assert_allclose(from_file.pairs(rows, columns, 3), from_tree.pairs(rows, columns, 3), atol=1e-6)
    assert from_file.pairs(rows, columns, 3).dtype == np.float32


def test_a_sample_off_the_tree_has_no_targets(study: tuple[CountTable, Phylogeny]) -> None:
    table, phylogeny = study
    off = replace(phylogeny, feature_tip=phylogeny.feature_tip.copy())
    off.feature_tip[table.data.row(3)[0]] = -1
    rows = np.array([3, 5])
    for metric in get_args(UnifracMetric):
        targets = TreeTargets(off, Rarefier(table, depth=0, seed=1), metric, 1.0)
        assert np.array_equal(np.isnan(targets.pairs(rows, rows, 0)), [[True, True], [True, False]])
        assert np.isnan(targets.pairs(rows[:1], rows[1:], 0)).all()
    assert np.isnan(targets.values(rows, 0)).tolist() == [True, False]


def test_matrix_targets_keep_unknown_distances_unknown() -> None:
    matrix = DistanceMatrix(np.array(["a", "b"], dtype=object), np.array([[0, np.nan], [np.nan, 0]]))
    targets = MatrixTargets(matrix, np.array(["b", "a"], dtype=object))
    assert np.isnan(targets.pairs(np.array([0]), np.array([1]), 0)).all()


def test_matrix_targets_reject_absent_samples() -> None:
    ids = np.array([f"s{i}" for i in range(10)], dtype=object)
    matrix = DistanceMatrix(ids[:3], np.zeros((3, 3)))
    with pytest.raises(DataError, match=r"7 of 10 samples are not in the distance matrix.*s3, s4.*and 2 more"):
        MatrixTargets(matrix, ids)


def test_a_matrix_has_no_faith_pd() -> None:
    matrix = DistanceMatrix(np.array(["a"], dtype=object), np.zeros((1, 1)))
    with pytest.raises(DataError, match="--tree"):
        MatrixTargets(matrix, matrix.ids).values(np.array([0]), 0)
