"""Several trees, each of which covers the samples of one study: distances exist within a tree only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aam_data.study.phylogeny import Phylogeny


@dataclass(frozen=True, eq=False)
class Forest:
    """The trees of the studies of a corpus.

    Attributes:
        trees: of the ASVs of single studies, by their own numbers of ASVs.
        members: for each tree int32 [its ASVs], ascending: their numbers in the corpus.
        tree_of: int64 [B] tree of each sample; -1 where its study has none.
    """

    trees: tuple[Phylogeny, ...]
    members: tuple[np.ndarray, ...]
    tree_of: np.ndarray

    def covered(self, rows: np.ndarray) -> np.ndarray:
        """Return those of the samples ``rows`` (int64 [R]) that a tree covers, in their order."""
        return rows[self.tree_of[rows] >= 0]
