"""UniFrac and Faith's PD of real studies compared with QIIME 2's files, scikit-bio and ssu."""

from __future__ import annotations

import shutil
import subprocess
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from biom.table import Table

from aam_data.options.base import UnifracMetric
from aam_data.options.files import PhylogenyOptions, TableOptions
from aam_data.readers.distances.matrix import DistanceMatrix, read_distances
from aam_data.study.study import read_study
from aam_data.unifrac.unifrac import faith_pd, unifrac_distances

from .cases import (
    as_phylogeny,
    as_samples,
    by_sample,
    by_scikit_bio,
    ibd_newick,
    random_newick,
    read_ibd,
    read_with_scikit_bio,
)

needs_ssu = pytest.mark.skipif(shutil.which("ssu") is None, reason="ssu (Debian unifrac-tools) is not installed")
# Names of ssu, with its exact arithmetic.
SSU: list[tuple[UnifracMetric, float, list[str]]] = [
    ("unifrac", 1.0, ["-m", "unweighted_fp64"]),
    ("weighted", 1.0, ["-m", "weighted_normalized_fp64"]),
    ("weighted_unnormalized", 1.0, ["-m", "weighted_unnormalized_fp64"]),
    ("generalized", 1.0, ["-m", "generalized_fp64"]),
    ("generalized", 0.5, ["-m", "generalized_fp64", "-a", "0.5"]),
    ("generalized", 0.2, ["-m", "generalized_fp64", "-a", "0.2"]),
    ("generalized", 0.0, ["-m", "generalized_fp64", "-a", "0"]),
]


def test_tadpole_as_qiime2_computed_it(shared_data: Path) -> None:
    folder = shared_data / "tadpole"
    study = read_study(
        TableOptions(table=folder / "rarefied_table.qza", sequences=folder / "rep-seqs.qza"),
        phylogeny=PhylogenyOptions(tree=folder / "rooted-tree.qza"),
    )
    assert study.phylogeny is not None
    theirs: list[tuple[UnifracMetric, str]] = [("unifrac", "unweighted"), ("weighted_unnormalized", "weighted")]
    for metric, name in theirs:
        values = read_distances(folder / f"{name}_unifrac_distance_matrix.qza").take(study.table.sample_ids).values
        ours = unifrac_distances(study.phylogeny, study.table.data, metric=metric)
        np.testing.assert_allclose(ours, values, rtol=1e-6, atol=1e-6)
    with zipfile.ZipFile(folder / "faith_pd_vector.qza") as archive:
        (member,) = [name for name in archive.namelist() if name.endswith("data/alpha-diversity.tsv")]
        lines = archive.read(member).decode().splitlines()[1:]
    diversity = dict(line.split("\t") for line in lines)
    expected = [float(diversity[sample_id]) for sample_id in study.table.sample_ids]
    np.testing.assert_allclose(faith_pd(study.phylogeny, study.table.data), expected, rtol=1e-5)


def test_ibd_against_scikit_bio(shared_data: Path) -> None:
    phylogeny, table = read_ibd(shared_data)
    assert (phylogeny.n_tips, phylogeny.n_branches) == (9_970, 19_939)
    table = table.take_samples(np.arange(0, table.n_samples, 40))
    seen = np.zeros(table.n_features, dtype=bool)
    seen[table.data.indices] = True
    features = np.flatnonzero(seen & (phylogeny.feature_tip >= 0))
    tree = read_with_scikit_bio(ibd_newick(shared_data))
    theirs = by_scikit_bio(tree, by_sample(table, features).toarray(), table.feature_ids[features].tolist())
    np.testing.assert_allclose(faith_pd(phylogeny, table.data), theirs["faith_pd"], rtol=1e-10)
    for metric in ("unifrac", "weighted", "weighted_unnormalized"):
        ours = unifrac_distances(phylogeny, table.data, metric=metric)
        np.testing.assert_allclose(ours, theirs[metric], rtol=1e-10, atol=1e-12)


@needs_ssu
def test_ibd_against_ssu(shared_data: Path, tmp_path: Path) -> None:
    phylogeny, table = read_ibd(shared_data)
    table = table.take_samples(np.arange(0, table.n_samples, 3))
    seen = np.bincount(table.data.indices, minlength=table.n_features) > 0
    features = np.flatnonzero(seen & (phylogeny.feature_tip >= 0))
    counts = by_sample(table, features)
    (tmp_path / "tree.nwk").write_text(ibd_newick(shared_data))
    for metric, alpha, options in (way for way in SSU if way[1] in (0.5, 1.0)):
        theirs = ssu(tmp_path, counts.toarray(), list(table.feature_ids[features]), list(table.sample_ids), options)
        ours = unifrac_distances(phylogeny, table.data, metric=metric, alpha=alpha)
        np.testing.assert_allclose(ours, theirs.take(table.sample_ids).values, rtol=0, atol=1e-7)


@needs_ssu
@pytest.mark.parametrize("shape", ["ladder", "binary", "polytomies"])
def test_small_trees_against_ssu(shape: str, tmp_path: Path) -> None:
    """To 1e-7, since ssu keeps branch lengths in less than double precision."""
    rng = np.random.default_rng(len(shape))
    names = [f"t{i}" for i in range(25)]
    text = random_newick(shape, 25, rng)
    counts = (rng.random((8, 25)) < 0.4) * rng.integers(1, 100, (8, 25))
    counts[:, :2] += 1
    (tmp_path / "tree.nwk").write_text(text)
    phylogeny, samples, ids = as_phylogeny(text, names), as_samples(counts), [f"s{i}" for i in range(8)]
    for metric, alpha, options in SSU:
        theirs = ssu(tmp_path, counts, names, ids, options).take(np.array(ids, dtype=object))
        ours = unifrac_distances(phylogeny, samples, metric=metric, alpha=alpha)
        np.testing.assert_allclose(ours, theirs.values, rtol=0, atol=1e-7)


def ssu(folder: Path, counts: np.ndarray, names: list[str], ids: list[str], options: list[str]) -> DistanceMatrix:
    """Compute distances of the samples ``counts`` [S, A] on ``tree.nwk`` in the folder with ssu."""
    with h5py.File(folder / "table.biom", "w") as file:
        Table(counts.T, names, ids).to_hdf5(file, "test")
    command = ["ssu", "-i", "table.biom", "-t", "tree.nwk", "-o", "out.h5", "-r", "hdf5_fp64", "--pcoa", "0", *options]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return read_distances(folder / "out.h5")
