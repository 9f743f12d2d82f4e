"""The tree of one study, sheared to its ASVs and stored as the interval of tips below each branch.

Tips are numbered in depth-first order, so the tips below a branch are contiguous. The abundance below a branch in a
sample is then a difference of two prefix sums over tips: no walk over levels, however deep the tree, and exact for
reads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import md5
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from aam_data.errors import DataError, first_few
from aam_data.id_matching import Suggestion, closest_transformation
from aam_data.readers.newick.tree import NewickTree

if TYPE_CHECKING:
    from aam_data.readers.newick.tip_names import TipNames
    from aam_data.sequences import Sequences

MAX_TIPS = 100_000  # compared with the ids of features, which takes a second


@dataclass(frozen=True, eq=False)
class Phylogeny:
    """The tree of a study's ASVs: branches, parents before children, and the tips below each of them.

    Attributes:
        tip_start, tip_stop: int32 [n_branches]; the tips below branch b are ``tip_start[b]`` to ``tip_stop[b] - 1``,
            at least one.
        branch_length: float64 [n_branches], without the length of the root itself.
        feature_tip: int32 [A] tip of each feature of the study; -1 = not in the tree.
        n_tips: number of tips of the sheared tree.
    """

    tip_start: np.ndarray
    tip_stop: np.ndarray
    branch_length: np.ndarray
    feature_tip: np.ndarray
    n_tips: int

    @property
    def n_branches(self) -> int:
        return len(self.branch_length)

    @classmethod
    def from_newick(
        cls, tree: NewickTree, feature_ids: np.ndarray, sequences: Sequences | None, file: Path | None = None
    ) -> Phylogeny:
        """Shear ``tree`` to the features of a study.

        A tip belongs to a feature if its name is the feature's id (for a merged feature: the first of its ids that is
        a tip), else the feature's sequence, else the MD5 of the sequence.

        Args:
            tree: the whole tree.
            feature_ids: [A] str objects.
            sequences: sequences of the same features; None to compare ids only.
            file: file of the tree, for messages.

        Raises:
            DataError: no feature is in the tree.
        """
        tip = _match(tree.tip_names, feature_ids, sequences)
        kept = np.zeros(tree.n_tips, dtype=bool)
        kept[tip[tip >= 0]] = True
        if not kept.any():
            suggestion = tip_suggestion(tree.tip_names, feature_ids)
            remedy = "Pass the --tree that was built from these ASVs"
            remedy += "" if sequences is not None else ", or their --sequences if these name the tips"
            raise DataError(
                f"no ASV of the table is a tip of the tree: ASVs are {first_few(list(feature_ids[:3]))}; tips are "
                f"{first_few([tree.tip_names[tip] for tip in range(min(tree.n_tips, 3))])}. Ids, sequences and MD5 "
                "hashes of sequences were compared",
                code="tree-tips-do-not-match",
                file=file,
                remedy=f"{suggestion}. {remedy}" if suggestion else remedy,
            )
        below = np.zeros(tree.n_nodes + 1, dtype=np.int32)
        below[tree.tips + 1] = 1
        np.cumsum(below, out=below)  # tips among the nodes before each
        branches = shear(below[:-1], below[tree.last_descendants() + 1], tree.length, kept)
        number = np.append(np.cumsum(kept, dtype=np.int32) - 1, np.int32(-1))
        return cls(*branches, number[tip], int(kept.sum()))


def tip_suggestion(names: TipNames, feature_ids: np.ndarray) -> Suggestion | None:
    """Suggest a change that would make features that are not in a tree match tips, of a large tree the first ones.

    Args:
        names: names of the tree's tips.
        feature_ids: ids of the features that are not in the tree.
    """
    wanted = set(feature_ids)
    return closest_transformation(feature_ids, [name for name in islice(names, MAX_TIPS) if name not in wanted])


def shear(
    tip_start: np.ndarray, tip_stop: np.ndarray, branch_length: np.ndarray, kept: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Reduce branches (as in ``Phylogeny``) to the tips ``kept`` (bool [n_tips]), which are renumbered without gaps.

    Branches without tips are removed. Branches with the same tips are a path and become one branch of their summed
    length. That includes the path from the last common ancestor of the tips up to the root, which stays an ordinary
    branch, as in QIIME 2 and ssu.
    """
    before = np.concatenate([[0], np.cumsum(kept)]).astype(np.int32)
    start, stop = before[tip_start], before[tip_stop]
    has_tips = start < stop
    start, stop = start[has_tips], stop[has_tips]
    first = np.ones(len(start), dtype=bool)  # of each path, which is contiguous in depth-first order
    first[1:] = (start[1:] != start[:-1]) | (stop[1:] != stop[:-1])
    with np.errstate(over="ignore"):  # `load_study` refuses lengths that add up to more than any distance
        length = np.add.reduceat(branch_length[has_tips], np.flatnonzero(first))
    return start[first], stop[first], length


def _match(names: TipNames, feature_ids: np.ndarray, sequences: Sequences | None) -> np.ndarray:
    """Find the tip of each feature, int64 [A], or -1. Memory grows with the features, not with the tips."""
    if sequences is None:
        return names.find(list(feature_ids))
    merged = [(feature, name) for feature, ids in sequences.merged_ids.items() for name in ids[1:]]
    by_id = names.find([*feature_ids, *(name for _, name in merged)])
    tip, others = by_id[: len(feature_ids)], by_id[len(feature_ids) :]
    for (feature, _), other in zip(merged, others.tolist(), strict=True):
        tip[feature] = other if tip[feature] < 0 else tip[feature]
    keys: tuple[Callable[[int], str], ...] = (
        lambda feature: sequences.text(feature),
        lambda feature: md5(sequences.text(feature).encode(), usedforsecurity=False).hexdigest(),
    )
    for key in keys:
        unmatched = np.flatnonzero(tip < 0)
        by_key = names.find([key(feature) for feature in unmatched.tolist()])
        by_key[np.isin(by_key, tip)] = -1  # belongs to another feature by a better key
        tip[unmatched] = by_key
    return tip
