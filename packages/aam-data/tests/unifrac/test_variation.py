"""Phylogenetic targets that cannot be learned are refused, each with its values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aam_data.errors import DataError
from aam_data.options.base import PhylogeneticTarget
from aam_data.options.files import PhylogenyOptions
from aam_data.preprocessing.rarefaction import Rarefier
from aam_data.readers.newick.tree import parse_newick
from aam_data.study.phylogeny import Phylogeny
from aam_data.table import CountTable, SampleCounts
from aam_data.unifrac.pair_targets import TreeTargets
from aam_data.unifrac.variation import check_targets_vary


def check(newick: str, counts: list[list[int]], metric: PhylogeneticTarget) -> None:
    table = np.array(counts)
    samples, features = np.nonzero(table)
    indptr = np.concatenate([[0], np.cumsum(np.bincount(samples, minlength=len(table)))])
    ids = np.array(list("abcd"[: table.shape[1]]), dtype=object)
    data = SampleCounts(indptr, features.astype(np.int64), table[samples, features])
    names = np.array([f"s{number}" for number in range(len(table))], dtype=object)
    tree = Phylogeny.from_newick(parse_newick(newick.encode()), ids, None)
    options = PhylogenyOptions(tree=Path("tree.nwk"), unifrac_metric=metric)
    reads = Rarefier(CountTable(names, ids, data), 0, 1)
    check_targets_vary(TreeTargets(tree, reads, options.pair_metric), np.arange(len(table)), options)


STAR = "(a:1,b:1,c:1,d:1);"


def test_distances_that_are_all_equal() -> None:
    apart = [[1, 0, 0, 0], [0, 2, 0, 0], [0, 0, 3, 0]]
    with pytest.raises(DataError, match=r"tree.nwk: all 3 distances \(unifrac\) are 1, so there is nothing to learn"):
        check(STAR, apart, "unifrac")
    with pytest.raises(DataError, match=r"all 3 values of Faith's PD are 1, so there is nothing to learn"):
        check(STAR, apart, "faith_pd")
    same = [[1, 2, 0, 0], [3, 1, 0, 0], [1, 1, 0, 0]]
    with pytest.raises(DataError, match=r"all 3 distances \(unifrac\) are 0"):
        check(STAR, same, "unifrac")
    check(STAR, same, "weighted")
    check("(a:1,b:2,c:3,d:1);", apart, "faith_pd")


def test_sums_that_overflow() -> None:
    counts = [[1, 1, 0, 0], [0, 1, 1, 0], [1, 1, 1, 0]]
    with pytest.raises(DataError, match=r"values of Faith's PD are too large for numbers of 32 bits"):
        check("(a:1e39,b:1e39,c:1,d:1);", counts, "faith_pd")
    check("(a:1,b:1,c:1,d:1);", counts, "unifrac")


def test_two_samples_have_only_one_distance() -> None:
    check(STAR, [[1, 0, 0, 0], [0, 2, 0, 0]], "unifrac")
