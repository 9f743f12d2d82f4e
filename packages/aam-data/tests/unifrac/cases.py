"""Trees and samples for the tests of UniFrac, and their distances by other implementations."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import skbio
from scipy.sparse import csr_matrix
from skbio.diversity import alpha_diversity, beta_diversity

from aam_data.readers.biom.table import read_table
from aam_data.readers.newick.tree import parse_newick, read_newick
from aam_data.sequences import build_sequences
from aam_data.study.phylogeny import Phylogeny
from aam_data.table import CountTable, SampleCounts

SHAPES = ("ladder", "star", "binary", "polytomies", "long root path")


def random_newick(shape: str, n_tips: int, rng: np.random.Generator) -> str:
    """Draw a tree over the tips t0, t1, ... in random order, with a third of its branches of length 0."""

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
    """Draw reads of 6 samples over n_tips ASVs: sparse, full, one ASV, neighbours only. None is empty."""
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


def ladder(n_tips: int, rng: np.random.Generator) -> tuple[str, list[str]]:
    """Return a newick text that is ``n_tips`` deep, and its tips."""
    lengths = rng.exponential(size=(n_tips, 2))
    text = "(" * (n_tips - 1) + "t0:1"
    text += "".join(f",t{i}:{tip:.6f}):{up:.6f}" for i, (tip, up) in enumerate(lengths[1:], start=1)) + ";"
    return text, [f"t{i}" for i in range(n_tips)]


def read_with_scikit_bio(text: str) -> skbio.TreeNode:
    tree = skbio.TreeNode.read(io.StringIO(text), convert_underscores=False)
    tree.length = 0.0
    return tree


def by_scikit_bio(tree: skbio.TreeNode, counts: np.ndarray, names: list[str]) -> dict[str, np.ndarray]:
    """Distances [S, S] by metric, and Faith's PD [S].

    Two samples whose branches all have length 0 are 0 / 0 to scikit-bio's normalized form, 0 to its others and to us.
    """
    ids, known = [str(i) for i in range(len(counts))], {"taxa": names, "tree": tree, "validate": False}
    raw = beta_diversity("weighted_unifrac", counts, ids, **known).data
    with np.errstate(invalid="ignore"):
        normalized = beta_diversity("weighted_unifrac", counts, ids, normalized=True, **known).data
    return {
        "unifrac": beta_diversity("unweighted_unifrac", counts, ids, **known).data,
        "weighted": np.where((raw == 0) & np.isnan(normalized), 0, normalized),
        "weighted_unnormalized": raw,
        "faith_pd": alpha_diversity("faith_pd", counts, ids, **known).to_numpy(),
    }


def by_definition(tree: skbio.TreeNode, counts: np.ndarray, names: list[str], alpha: float) -> np.ndarray:
    """Compute generalized UniFrac [S, S], branch by branch and pair by pair (Chen et al. 2012)."""
    number = {name: i for i, name in enumerate(names)}
    branches = [
        (node.length, counts[:, [number[tip.name] for tip in node.tips(include_self=True)]].sum(axis=1))
        for node in tree.traverse(include_self=False)
    ]
    total, n = counts.sum(axis=1), len(counts)
    values = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            above = below = 0.0
            for length, reads in branches:
                a, b = reads[i] / total[i], reads[j] / total[j]
                if a + b > 0:
                    above += length * (a + b) ** alpha * abs(a - b) / (a + b)
                    below += length * (a + b) ** alpha
            values[i, j] = above / below if below else 0
    return values


def read_ibd(shared_data: Path) -> tuple[Phylogeny, CountTable]:
    table = read_table(shared_data / "ibd" / "table.biom").table
    tree = read_newick(shared_data / "ibd" / "insertion-tree.qza")
    sequences = build_sequences([name.encode() for name in table.feature_ids])
    return Phylogeny.from_newick(tree, table.feature_ids, sequences), table


def ibd_newick(shared_data: Path) -> str:
    with zipfile.ZipFile(shared_data / "ibd" / "insertion-tree.qza") as archive:
        (member,) = [name for name in archive.namelist() if name.endswith("data/tree.nwk")]
        return archive.read(member).decode()


def by_sample(table: CountTable, features: np.ndarray) -> csr_matrix:
    data = table.data
    return csr_matrix((data.counts, data.indices, data.indptr), (table.n_samples, table.n_features))[:, features]
