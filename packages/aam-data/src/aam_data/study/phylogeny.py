"""The tree of one study: sheared to its ASVs, stored as the interval of tips that each branch holds.

Tips are numbered in depth-first order, so the tips below a branch are neighbours. What a branch holds in a sample is
then a difference of two prefix sums over tips: no walk over levels, however deep the tree, and exact for reads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import md5
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from aam_data.errors import DataError, first_few
from aam_data.readers.newick.tree import NewickTree

if TYPE_CHECKING:
    from aam_data.readers.newick.tip_names import TipNames
    from aam_data.sequences import Sequences


@dataclass(frozen=True, eq=False)
class Phylogeny:
    """The tree of a study's ASVs: branches, parents before children, and the tips that each of them holds.

    Attributes:
        tip_start, tip_stop: int32 [n_branches]; the tips below branch b are ``tip_start[b]`` to ``tip_stop[b] - 1``,
            at least one.
        branch_length: float64 [n_branches], without the own length of the root.
        feature_tip: int32 [A] tip of each feature of the study; -1 = not in the tree.
        n_tips: tips of the sheared tree.
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

        A tip is a feature's if it is named by the feature's id (of a merged feature: by the first of its ids that is a
        tip), else by its sequence, else by the MD5 of its sequence.

        Args:
            tree: the whole tree.
            feature_ids: [A] str objects.
            sequences: of the same features; None when ids alone are compared.
            file: names the tree in messages.

        Raises:
            DataError: no feature is in the tree.
        """
        tip = _match(tree.tip_names, feature_ids, sequences)
        kept = np.zeros(tree.n_tips, dtype=bool)
        kept[tip[tip >= 0]] = True
        if not kept.any():
            raise DataError(
                f"no ASV of the table is a tip of the tree: ASVs are {first_few(list(feature_ids[:3]))}; tips are "
                f"{first_few([tree.tip_names[tip] for tip in range(min(tree.n_tips, 3))])}. Ids, sequences and MD5 "
                "hashes of sequences were compared",
                file=file,
                remedy="Give the --tree that was built from these ASVs"
                + ("" if sequences is not None else ", or their --sequences: tips may be named by them"),
            )
        below = np.zeros(tree.n_nodes + 1, dtype=np.int32)
        below[tree.tips + 1] = 1
        np.cumsum(below, out=below)  # tips among the nodes before each
        branches = shear(below[:-1], below[tree.last_descendants() + 1], tree.length, kept)
        number = np.append(np.cumsum(kept, dtype=np.int32) - 1, np.int32(-1))
        return cls(*branches, number[tip], int(kept.sum()))


def shear(
    tip_start: np.ndarray, tip_stop: np.ndarray, branch_length: np.ndarray, kept: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The branches (as in ``Phylogeny``) over the tips ``kept`` (bool [n_tips]), which are renumbered without gaps.

    Branches without tips vanish. Branches that now hold the same tips are a path and become one branch of their summed
    length. That includes the path from the last common ancestor of the tips up to the root, which stays an ordinary
    branch, as in QIIME 2 and ssu.
    """
    before = np.concatenate([[0], np.cumsum(kept)]).astype(np.int32)
    start, stop = before[tip_start], before[tip_stop]
    held = start < stop
    start, stop = start[held], stop[held]
    first = np.ones(len(start), dtype=bool)  # of each path, which is contiguous in depth-first order
    first[1:] = (start[1:] != start[:-1]) | (stop[1:] != stop[:-1])
    return start[first], stop[first], np.add.reduceat(branch_length[held], np.flatnonzero(first))


def _match(names: TipNames, feature_ids: np.ndarray, sequences: Sequences | None) -> np.ndarray:
    """The tip of each feature, int64 [A], or -1. Memory follows the features, not the tips."""
    if sequences is None:
        return names.find(list(feature_ids))
    merged = [(feature, name) for feature, ids in sequences.merged_ids.items() for name in ids[1:]]
    found = names.find([*feature_ids, *(name for _, name in merged)])
    tip, others = found[: len(feature_ids)], found[len(feature_ids) :]
    for (feature, _), other in zip(merged, others.tolist(), strict=True):
        tip[feature] = other if tip[feature] < 0 else tip[feature]
    keys: tuple[Callable[[int], str], ...] = (
        lambda feature: sequences.text(feature),
        lambda feature: md5(sequences.text(feature).encode(), usedforsecurity=False).hexdigest(),
    )
    for key in keys:
        unmatched = np.flatnonzero(tip < 0)
        found = names.find([key(feature) for feature in unmatched.tolist()])
        found[np.isin(found, tip)] = -1  # another feature's by a better key
        tip[unmatched] = found
    return tip
