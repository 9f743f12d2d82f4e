"""Shearing and matching of tips, compared with sets of tips computed node by node."""

from __future__ import annotations

from collections import defaultdict
from hashlib import md5
from pathlib import Path

import numpy as np
import pytest

from aam_data.errors import DataError
from aam_data.readers.newick.tip_names import TipNames
from aam_data.readers.newick.tree import NewickTree, parse_newick, read_newick
from aam_data.sequences import build_sequences
from aam_data.simulate.tree import random_tree
from aam_data.study.phylogeny import Phylogeny


def branches_by_tips(phylogeny: Phylogeny, names: np.ndarray) -> dict[frozenset[str], float]:
    """Map the names of the features below a branch to its length; each set of tips has one branch."""
    branches = {}
    for start, stop, length in zip(phylogeny.tip_start, phylogeny.tip_stop, phylogeny.branch_length, strict=True):
        below = frozenset(names[(phylogeny.feature_tip >= start) & (phylogeny.feature_tip < stop)])
        assert len(below) == stop - start
        assert below not in branches
        branches[below] = length
    return branches


def expected_branches(tree: NewickTree, kept: set[str]) -> dict[frozenset[str], float]:
    """Compute the same by walking from every tip to the root."""
    below = defaultdict(set)
    for name, tip in zip(tree.tip_names, tree.tips.tolist(), strict=True):
        while tip >= 0 and name in kept:
            below[tip].add(name)
            tip = int(tree.parent[tip])
    lengths: dict[frozenset[str], float] = defaultdict(float)
    for node, names in below.items():
        lengths[frozenset(names)] += float(tree.length[node])
    return lengths


def shear_to(tree: NewickTree, names: list[str]) -> tuple[Phylogeny, np.ndarray]:
    ids = np.array(names, dtype=object)
    return Phylogeny.from_newick(tree, ids, build_sequences([b"ACGT"] * len(ids))), ids


@pytest.mark.parametrize("seed", range(30))
def test_sheared_branches_of_random_trees(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n_tips = int(rng.integers(3, 60))
    parent, length, tips, _ = random_tree(n_tips, 2, rng)
    length[rng.random(len(length)) < 0.2] = 0.0
    tree = NewickTree(parent, length, TipNames.from_names(f"t{i}" for i in range(n_tips)), tips)
    kept = rng.choice(list(tree.tip_names), int(rng.integers(1, n_tips + 1)), replace=False).tolist()
    phylogeny, ids = shear_to(tree, [*kept, "absent"])
    assert phylogeny.n_tips == len(kept)
    assert phylogeny.feature_tip[-1] == -1
    assert branches_by_tips(phylogeny, ids) == pytest.approx(expected_branches(tree, set(kept)), abs=1e-12)


def test_path_above_the_last_common_ancestor_stays() -> None:
    tree = parse_newick(b"((((A:1,B:2):3,X:1):4):5,Y:1):100;")
    phylogeny, ids = shear_to(tree, ["B", "A"])
    assert branches_by_tips(phylogeny, ids) == {
        frozenset("A"): 1,
        frozenset("B"): 2,
        frozenset("AB"): 3 + 4 + 5,  # and not the root's own 100
    }


def test_one_tip_left() -> None:
    phylogeny, ids = shear_to(parse_newick(b"(((A:1,B:2):3,C:4):5,D:6);"), ["A"])
    assert branches_by_tips(phylogeny, ids) == {frozenset("A"): 1 + 3 + 5}


def test_branches_are_few_and_typed() -> None:
    rng = np.random.default_rng(0)
    parent, length, tips, _ = random_tree(500, 5, rng)
    tree = NewickTree(parent, length, TipNames.from_names(f"t{i}" for i in range(500)), tips)
    phylogeny, _ = shear_to(tree, [f"t{i}" for i in range(0, 500, 7)])
    assert phylogeny.n_branches == 2 * phylogeny.n_tips - 1
    assert (phylogeny.tip_start.dtype, phylogeny.tip_stop.dtype) == (np.int32, np.int32)
    assert (phylogeny.branch_length.dtype, phylogeny.feature_tip.dtype) == (np.float64, np.int32)


def test_tips_are_found_by_id_by_sequence_and_by_md5() -> None:
    letters = [b"ACGT" * 8, b"CCGT" * 8, b"GCGT" * 8, b"TCGT" * 8]
    names = ["asv0", letters[1].decode(), md5(letters[2]).hexdigest()]
    tree = parse_newick(f"({names[2]}:3,({names[1]}:2,{names[0]}:1):1,other:1);".encode())
    ids = np.array(["asv0", "asv1", "asv2", "asv3"], dtype=object)
    phylogeny = Phylogeny.from_newick(tree, ids, build_sequences(letters))
    assert phylogeny.feature_tip.tolist() == [2, 1, 0, -1]
    assert branches_by_tips(phylogeny, ids)[frozenset(["asv0"])] == 1


def test_an_id_wins_over_a_sequence() -> None:
    sequence = "ACGT" * 8
    tree = parse_newick(f"({sequence}:1,asv0:2);".encode())
    phylogeny = Phylogeny.from_newick(tree, np.array(["asv0"], dtype=object), build_sequences([sequence.encode()]))
    assert phylogeny.branch_length.tolist() == [2]


def test_a_tip_belongs_to_one_feature() -> None:
    """An id that is the MD5 of another feature's sequence: the id is the better key."""
    letters = [b"ACGT" * 8, b"CCGT" * 8]
    names = [md5(letters[1]).hexdigest(), "asv1"]
    tree = parse_newick(f"({names[0]}:1,other:2);".encode())
    phylogeny = Phylogeny.from_newick(tree, np.array(names, dtype=object), build_sequences(letters))
    assert phylogeny.feature_tip.tolist() == [0, -1]


def test_names_that_are_not_ascii() -> None:
    phylogeny, _ = shear_to(parse_newick("(caf\u00e9:1,(\u6e56:2,x:3):4);".encode()), ["\u6e56", "caf\u00e9"])
    assert phylogeny.feature_tip.tolist() == [1, 0]
    assert phylogeny.branch_length.tolist() == [0, 1, 2 + 4]


def test_rejects_a_tree_of_other_asvs(tmp_path: Path) -> None:
    path = tmp_path / "other.nwk"
    path.write_text("(A:1,B:2,C:3,D:4);")
    ids = np.array(["v", "w", "x", "y"], dtype=object)
    with pytest.raises(DataError) as caught:
        Phylogeny.from_newick(read_newick(path), ids, build_sequences([b"CG" * n for n in range(1, 5)]), path)
    assert str(caught.value) == (
        f"{path}: no ASV of the table is a tip of the tree: ASVs are v, w, x; tips are A, B, C. Ids, sequences and "
        "MD5 hashes of sequences were compared. Pass the --tree that was built from these ASVs"
    )
