"""A tree beside a distance matrix checks it; the right matrices are scikit-bio's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from skbio import TreeNode
from skbio.diversity import beta_diversity

from aam_data.errors import DataError
from aam_data.options.files import PhylogenyOptions, TableOptions
from aam_data.options.simulate import SimulateOptions
from aam_data.readers.biom.table import read_table
from aam_data.simulate.study import simulate_study, write_simulated_study
from aam_data.study.study import Study, read_study
from aam_data.unifrac.tree_check import check_by_tree

N = 40


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of 40 samples with scikit-bio's matrices, without ids."""
    folder = tmp_path_factory.mktemp("study")
    write_simulated_study(simulate_study(SimulateOptions(N, asvs=60, hosts=12, bases=40, depth=300, seed=3)), folder)
    table = read_table(folder / "table.biom").table
    counts = np.zeros((N, table.n_features), dtype=int)
    data = table.data
    counts[np.repeat(np.arange(N), np.diff(data.indptr)), data.indices] = data.counts
    tree = TreeNode.read(str(folder / "tree.nwk"))
    for metric in ("unweighted_unifrac", "weighted_unifrac"):
        found = beta_diversity(metric, counts, table.sample_ids, taxa=table.feature_ids, tree=tree)
        np.save(folder / f"{metric}.npy", np.array(found.data))
    return folder


def read(files: Path, matrix: Path) -> tuple[Study, PhylogenyOptions]:
    phylogeny = PhylogenyOptions(tree=files / "tree.nwk", unifrac_matrix=matrix)
    return read_study(TableOptions(files / "table.biom"), phylogeny=phylogeny), phylogeny


def test_a_matrix_of_these_samples_passes(files: Path) -> None:
    study, options = read(files, files / "unweighted_unifrac.npy")
    check_by_tree(study, options)
    assert study.distances is not None
    gaps = study.distances.values.copy()
    gaps[3] = gaps[:, 3] = np.nan  # as of a sample that the matrix lacks
    check_by_tree(replace(study, distances=replace(study.distances, values=gaps)), options)


def test_two_samples_in_each_others_place_are_found(files: Path, tmp_path: Path) -> None:
    """Wherever they are: every sample's distances to others are compared."""
    values = np.load(files / "unweighted_unifrac.npy")
    for i in range(0, N - 1, 3):
        order = np.arange(N)
        order[[i, i + 1]] = i + 1, i
        if np.abs(values[np.ix_(order, order)] - values).max() < 0.02:
            continue  # the two have the same ASVs
        np.save(tmp_path / "m.npy", values[np.ix_(order, order)])
        study, options = read(files, tmp_path / "m.npy")
        with pytest.raises(DataError, match=r"m.npy: .* distances differ from those of .*tree.nwk.*--matrix-ids"):
            check_by_tree(study, options)


def test_the_other_metric_is_found_and_named(files: Path) -> None:
    study, options = read(files, files / "weighted_unifrac.npy")
    metric = replace(options, unifrac_metric="weighted_unnormalized")
    check_by_tree(study, metric)
    with pytest.raises(DataError, match=r"differ from those of .*\(S.*, S.*\) = .*, not .*--unifrac-metric"):
        check_by_tree(study, replace(options, unifrac_metric="weighted"))
