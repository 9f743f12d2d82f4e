"""UniFrac and Faith's PD against scikit-bio, QIIME 2's files, ssu, and sums over branches."""

from __future__ import annotations

import io
import shutil
import subprocess
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import skbio
from biom.table import Table
from scipy.sparse import csr_matrix
from skbio.diversity import alpha_diversity, beta_diversity

from aam_data.config import PhylogenyOptions, TableOptions
from aam_data.phylogeny import Phylogeny
from aam_data.readers.biom import read_table
from aam_data.readers.distances import read_distances
from aam_data.readers.newick import parse_newick, read_newick
from aam_data.sequences import build_sequences
from aam_data.study import read_study
from aam_data.table import CountTable, SampleCounts
from aam_data.unifrac import branch_counts, faith_pd, unweighted_unifrac, unweighted_unifrac_blocks

SHAPES = ("ladder", "star", "binary", "polytomies", "long root path")


def random_newick(shape: str, n_tips: int, rng: np.random.Generator) -> str:
    """A tree over the tips t0, t1, ... in random order, a third of its branches of length 0."""

    def length() -> str:
        return f":{0.0 if rng.random() < 1 / 3 else rng.exponential():.6f}"

    parts = [f"t{i}{length()}" for i in rng.permutation(n_tips)]
    while len(parts) > 1:
        joined = {"ladder": 2, "star": n_tips, "polytomies": int(rng.integers(2, 6))}.get(shape, 2)
        first = 0 if shape == "ladder" else int(rng.integers(0, max(1, len(parts) - joined + 1)))
        parts[first : first + joined] = [f"({','.join(parts[first : first + joined])}){length()}"]
    for _ in range(5 if shape == "long root path" else 0):
        parts = [f"({parts[0]}):2.5"]
    return f"{parts[0]};"


def random_counts(n_tips: int, rng: np.random.Generator) -> np.ndarray:
    """Reads of 6 samples over n_tips ASVs: sparse, full, one ASV, neighbours only. None is empty."""
    density = np.array([0.1, 0.3, 0.6, 1.0, 0.0, 0.0])
    counts = (rng.random((6, n_tips)) < density[:, None]) * rng.integers(1, 1000, (6, n_tips))
    counts[5, : int(rng.integers(1, n_tips + 1))] = 7
    counts[np.arange(6), rng.integers(0, n_tips, 6)] += 1
    return counts


def as_samples(counts: np.ndarray) -> SampleCounts:
    matrix = csr_matrix(counts)
    return SampleCounts(matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32), matrix.data)


def as_phylogeny(text: str, names: list[str]) -> Phylogeny:
    ids = np.array(names, dtype=object)
    return Phylogeny.from_newick(parse_newick(text.encode()), ids, build_sequences([b"ACGT"] * len(ids)))


def read_with_scikit_bio(text: str) -> skbio.TreeNode:
    tree = skbio.TreeNode.read(io.StringIO(text), convert_underscores=False)
    tree.length = 0.0
    return tree


def scikit_bio(tree: skbio.TreeNode, counts: np.ndarray, names: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Unweighted UniFrac [S, S] and Faith's PD [S]."""
    ids = [str(i) for i in range(len(counts))]
    distances = beta_diversity("unweighted_unifrac", counts, ids, taxa=names, tree=tree, validate=False)
    return distances.data, alpha_diversity("faith_pd", counts, taxa=names, tree=tree, validate=False).to_numpy()


@pytest.mark.parametrize("shape", SHAPES)
def test_two_hundred_random_trees_against_scikit_bio(shape: str) -> None:
    for seed in range(40):
        rng = np.random.default_rng([SHAPES.index(shape), seed])
        n_tips = int(rng.integers(2, 40))
        names = [f"t{i}" for i in range(n_tips)]
        text, counts = random_newick(shape, n_tips, rng), random_counts(n_tips, rng)
        distances, diversity = scikit_bio(read_with_scikit_bio(text), counts, names)
        phylogeny, samples = as_phylogeny(text, names), as_samples(counts)
        np.testing.assert_allclose(unweighted_unifrac(phylogeny, samples), distances, rtol=0, atol=1e-12)
        np.testing.assert_allclose(unweighted_unifrac(phylogeny, samples, samples), distances, rtol=0, atol=1e-12)
        np.testing.assert_allclose(faith_pd(phylogeny, samples), diversity, rtol=1e-12)


def test_twenty_thousand_levels() -> None:
    n_tips, rng = 20_001, np.random.default_rng(0)
    names = [f"t{i}" for i in range(n_tips)]
    lengths = rng.exponential(size=(n_tips, 2))
    text = "(" * (n_tips - 1) + "t0:1"
    text += "".join(f",t{i}:{tip:.6f}):{up:.6f}" for i, (tip, up) in enumerate(lengths[1:], start=1)) + ";"
    counts = (rng.random((3, n_tips)) < np.array([[0.5], [0.01], [0.0005]])).astype(np.int64)
    distances, diversity = scikit_bio(read_with_scikit_bio(text), counts, names)
    phylogeny, samples = as_phylogeny(text, names), as_samples(counts)
    np.testing.assert_allclose(unweighted_unifrac(phylogeny, samples), distances, atol=1e-9)
    np.testing.assert_allclose(faith_pd(phylogeny, samples), diversity, rtol=1e-9)


def test_by_hand() -> None:
    phylogeny = as_phylogeny("((A:1,B:2):3,(C:4,D:5):6):99;", ["A", "B", "C", "D"])
    samples = as_samples(np.array([[5, 0, 0, 0], [0, 2, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [1, 0, 1, 0]]))
    distances = unweighted_unifrac(phylogeny, samples)
    assert faith_pd(phylogeny, samples).tolist() == [4, 5, 6, 10, 14]
    assert distances[0] == pytest.approx([0, 1 - 3 / 6, 1 - 4 / 6, 1, 1 - 4 / 14])
    assert np.array_equal(distances, distances.T)
    assert not distances.diagonal().any()


def test_reads_below_branches_are_exact() -> None:
    names = ["A", "B", "C", "off"]
    phylogeny = as_phylogeny("((A:1,B:1):1,C:1);", names)
    counts = np.array([[2**53 + 1, 1, 1, 8], [0, 3, 4, 0]])
    below = branch_counts(phylogeny, as_samples(counts))
    assert below.dtype == np.int64
    assert below.tolist() == [[2**53 + 3, 7], [2**53 + 2, 3], [2**53 + 1, 0], [1, 3], [1, 4]]
    shares = branch_counts(phylogeny, as_samples(np.array([[0.25, 0.5, 0.25, 0.0]])))
    assert shares[:, 0].tolist() == [1, 0.75, 0.25, 0.5, 0.25]


def test_samples_without_a_read_on_the_tree_have_nothing() -> None:
    phylogeny = as_phylogeny("((A:1,B:1):1,C:1);", ["A", "off", "C"])
    samples = as_samples(np.array([[1, 1, 0], [0, 9, 0], [0, 0, 0], [1, 0, 1]]))
    nothing = np.array([False, True, True, False])
    undefined = nothing[:, None] | nothing
    assert np.array_equal(np.isnan(unweighted_unifrac(phylogeny, samples)), undefined)
    assert np.array_equal(np.isnan(unweighted_unifrac(phylogeny, samples, samples)), undefined)
    assert np.array_equal(np.isnan(faith_pd(phylogeny, samples)), nothing)
    only_nothing = as_samples(np.array([[0, 9, 0]]))
    assert np.isnan(unweighted_unifrac(phylogeny, only_nothing)).all()
    assert np.isnan(faith_pd(phylogeny, only_nothing)).all()


def test_blocks_make_up_the_matrix() -> None:
    rng = np.random.default_rng(3)
    names = [f"t{i}" for i in range(50)]
    phylogeny = as_phylogeny(random_newick("binary", 50, rng), names)
    samples = as_samples(np.concatenate([random_counts(50, rng) for _ in range(5)]))
    whole = unweighted_unifrac(phylogeny, samples)
    again = np.full_like(whole, np.nan)
    for block in unweighted_unifrac_blocks(phylogeny, samples, block_size=7):
        assert block.rows.start <= block.columns.start
        again[block.rows, block.columns] = block.values
        again[block.columns, block.rows] = block.values.T
    np.testing.assert_allclose(again, whole, atol=1e-14)


def test_more_samples_than_one_block() -> None:
    rng = np.random.default_rng(4)
    names = [f"t{i}" for i in range(30)]
    phylogeny = as_phylogeny(random_newick("binary", 30, rng), names)
    counts = (rng.random((1100, 30)) < 0.2).astype(np.int64)
    samples = as_samples(counts)
    below = branch_counts(phylogeny, samples) > 0
    shared = (below * phylogeny.branch_length[:, None]).T @ below
    diversity = np.where(counts.any(axis=1), shared.diagonal(), np.nan)
    union = diversity[:, None] + diversity - shared
    expected = 1 - np.divide(shared, union, out=np.ones_like(union), where=union != 0)
    np.testing.assert_allclose(faith_pd(phylogeny, samples), diversity)
    np.testing.assert_allclose(unweighted_unifrac(phylogeny, samples), expected, atol=1e-12)
    np.testing.assert_allclose(unweighted_unifrac(phylogeny, samples, samples), expected, atol=1e-12)


def test_tadpole_as_qiime2_computed_it(shared_data: Path) -> None:
    folder = shared_data / "tadpole"
    study = read_study(
        TableOptions(table=folder / "rarefied_table.qza", sequences=folder / "rep-seqs.qza"),
        phylogeny=PhylogenyOptions(tree=folder / "rooted-tree.qza"),
    )
    assert study.phylogeny is not None
    theirs = read_distances(folder / "unweighted_unifrac_distance_matrix.qza").take(study.table.sample_ids)
    ours = unweighted_unifrac(study.phylogeny, study.table.data)
    np.testing.assert_allclose(ours, theirs.values, rtol=0, atol=1e-5)
    with zipfile.ZipFile(folder / "faith_pd_vector.qza") as archive:
        (member,) = [name for name in archive.namelist() if name.endswith("data/alpha-diversity.tsv")]
        lines = archive.read(member).decode().splitlines()[1:]
    diversity = dict(line.split("\t") for line in lines)
    expected = [float(diversity[sample_id]) for sample_id in study.table.sample_ids]
    np.testing.assert_allclose(faith_pd(study.phylogeny, study.table.data), expected, rtol=1e-5)


def ibd(shared_data: Path) -> tuple[Phylogeny, CountTable]:
    table = read_table(shared_data / "ibd" / "table.biom").table
    tree = read_newick(shared_data / "ibd" / "insertion-tree.qza")
    sequences = build_sequences([name.encode() for name in table.feature_ids])
    return Phylogeny.from_newick(tree, table.feature_ids, sequences), table


def dense(table: CountTable, features: np.ndarray) -> csr_matrix:
    data = table.data
    return csr_matrix((data.counts, data.indices, data.indptr), (table.n_samples, table.n_features))[:, features]


def test_ibd_against_scikit_bio(shared_data: Path) -> None:
    phylogeny, table = ibd(shared_data)
    assert (phylogeny.n_tips, phylogeny.n_branches) == (9_970, 19_939)
    table = table.take_samples(np.arange(0, table.n_samples, 40))
    seen = np.zeros(table.n_features, dtype=bool)
    seen[table.data.indices] = True
    features = np.flatnonzero(seen & (phylogeny.feature_tip >= 0))
    with zipfile.ZipFile(shared_data / "ibd" / "insertion-tree.qza") as archive:
        (member,) = [name for name in archive.namelist() if name.endswith("data/tree.nwk")]
        tree = read_with_scikit_bio(archive.read(member).decode())
    counts = dense(table, features).toarray()
    distances, diversity = scikit_bio(tree, counts, table.feature_ids[features].tolist())
    np.testing.assert_allclose(unweighted_unifrac(phylogeny, table.data), distances, rtol=0, atol=1e-10)
    np.testing.assert_allclose(faith_pd(phylogeny, table.data), diversity, rtol=1e-10)


@pytest.mark.skipif(shutil.which("ssu") is None, reason="ssu (Debian package unifrac-tools) is not installed")
def test_ibd_against_ssu(shared_data: Path, tmp_path: Path) -> None:
    phylogeny, table = ibd(shared_data)
    features = np.flatnonzero(phylogeny.feature_tip >= 0)
    with h5py.File(tmp_path / "table.biom", "w") as file:
        matrix = dense(table, features).T.tocsr()
        Table(matrix, table.feature_ids[features], table.sample_ids).to_hdf5(file, "test")
    with zipfile.ZipFile(shared_data / "ibd" / "insertion-tree.qza") as archive:
        (member,) = [name for name in archive.namelist() if name.endswith("data/tree.nwk")]
        (tmp_path / "tree.nwk").write_bytes(archive.read(member))
    command = ["ssu", "-i", "table.biom", "-t", "tree.nwk", "-o", "out.h5", "-m", "unweighted", "-r", "hdf5_fp32"]
    subprocess.run([*command, "--pcoa", "0"], cwd=tmp_path, check=True, capture_output=True)
    theirs = read_distances(tmp_path / "out.h5").take(table.sample_ids)
    np.testing.assert_allclose(unweighted_unifrac(phylogeny, table.data), theirs.values, rtol=0, atol=1e-5)
