"""Distances that a model learns: between any samples, from the tree or from a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from aam_data.errors import DataError
from aam_data.options.base import UnifracMetric
from aam_data.study.forest import Forest
from aam_data.study.phylogeny import Phylogeny
from aam_data.table import SampleCounts
from aam_data.unifrac.unifrac import faith_pd, unifrac_distances

if TYPE_CHECKING:
    from aam_data.readers.distances.matrix import DistanceMatrix

_CHUNK = 4096  # samples drawn together for Faith's PD


class PairTargets(Protocol):
    """Targets as a pure function of rows and draw, so that any process can compute those of any pair.

    Draws 0, 1, ... are the epochs of training; negative draws are the fixed ones of validation and prediction.
    """

    def pairs(self, rows: np.ndarray, columns: np.ndarray, draw: int) -> np.ndarray:
        """Return distances of the samples ``rows`` (int64 [R]) to ``columns`` (int64 [C]).

        Returns:
            float32 [R, C], NaN for pairs without a distance.
        """
        ...

    def values(self, rows: np.ndarray, draw: int) -> np.ndarray:
        """Return Faith's PD of the samples ``rows`` (int64 [R]), float32 [R], NaN for samples without one."""
        ...


class Reads(Protocol):
    """Source of the reads of samples, for instance ``aam_data.preprocessing.rarefaction.Rarefier``."""

    def draw(self, rows: np.ndarray, draw: int) -> SampleCounts:
        """Return the reads of the samples ``rows`` in draw number ``draw``."""
        ...


class TreeTargets:
    """UniFrac and Faith's PD of exactly the reads of a draw.

    Args:
        phylogeny: tree of the features that ``reads`` counts.
        reads: reads of the study's samples.
        metric, alpha: see ``unifrac_distances``; all metrics but ``weighted_unnormalized`` are between 0 and 1.
    """

    def __init__(
        self, phylogeny: Phylogeny, reads: Reads, metric: UnifracMetric = "unifrac", alpha: float = 1.0
    ) -> None:
        self.phylogeny, self.reads, self.metric, self.alpha = phylogeny, reads, metric, alpha

    def pairs(self, rows: np.ndarray, columns: np.ndarray, draw: int) -> np.ndarray:
        """See ``PairTargets``."""
        samples = self.reads.draw(rows, draw)
        others = None if np.array_equal(rows, columns) else self.reads.draw(columns, draw)
        return unifrac_distances(self.phylogeny, samples, others, self.metric, self.alpha).astype(np.float32)

    def values(self, rows: np.ndarray, draw: int) -> np.ndarray:
        """See ``PairTargets``."""
        starts = range(0, max(len(rows), 1), _CHUNK)
        chunks = [faith_pd(self.phylogeny, self.reads.draw(rows[start : start + _CHUNK], draw)) for start in starts]
        return np.concatenate(chunks).astype(np.float32)


class ForestTargets:
    """The same within each of several trees; pairs of samples of two trees have no distance.

    Args:
        forest: trees, and the samples that each of them covers.
        reads, metric, alpha: see `TreeTargets`.
    """

    def __init__(self, forest: Forest, reads: Reads, metric: UnifracMetric = "unifrac", alpha: float = 1.0) -> None:
        self.forest = forest
        self._of_tree = [
            TreeTargets(tree, _OwnReads(reads, members), metric, alpha)
            for tree, members in zip(forest.trees, forest.members, strict=True)
        ]

    def pairs(self, rows: np.ndarray, columns: np.ndarray, draw: int) -> np.ndarray:
        """See ``PairTargets``."""
        values = np.full((len(rows), len(columns)), np.nan, dtype=np.float32)
        trees_of_rows, trees_of_columns = self.forest.tree_of[rows], self.forest.tree_of[columns]
        for tree in np.intersect1d(trees_of_rows, trees_of_columns):
            if tree >= 0:
                own, other = np.flatnonzero(trees_of_rows == tree), np.flatnonzero(trees_of_columns == tree)
                values[np.ix_(own, other)] = self._of_tree[tree].pairs(rows[own], columns[other], draw)
        values[rows[:, None] == columns] = np.nan  # of a sample that is drawn twice: nothing to learn
        return values

    def values(self, rows: np.ndarray, draw: int) -> np.ndarray:
        """See ``PairTargets``; each value is in the unit of its tree."""
        values = np.full(len(rows), np.nan, dtype=np.float32)
        trees = self.forest.tree_of[rows]
        for tree in np.unique(trees[trees >= 0]):
            own = np.flatnonzero(trees == tree)
            values[own] = self._of_tree[tree].values(rows[own], draw)
        return values


class _OwnReads:
    """Reads of the samples that a tree covers, by the numbers that its ASVs have in their study."""

    def __init__(self, reads: Reads, members: np.ndarray) -> None:
        self.reads, self.members = reads, members

    def draw(self, rows: np.ndarray, draw: int) -> SampleCounts:
        """See `Reads`."""
        drawn = self.reads.draw(rows, draw)
        return drawn._replace(indices=np.searchsorted(self.members, drawn.indices).astype(np.int32))


class ScaledTargets:
    """Distances divided by a constant, for metrics without an upper bound of 1; Faith's PD is unchanged.

    Args:
        targets: targets in their own units.
        scale: the largest training distance.
    """

    def __init__(self, targets: PairTargets, scale: float) -> None:
        self.targets, self.scale = targets, scale

    def pairs(self, rows: np.ndarray, columns: np.ndarray, draw: int) -> np.ndarray:
        """See ``PairTargets``."""
        return self.targets.pairs(rows, columns, draw) / np.float32(self.scale)

    def values(self, rows: np.ndarray, draw: int) -> np.ndarray:
        """See ``PairTargets``."""
        return self.targets.values(rows, draw)


class MatrixTargets:
    """Precomputed distances, the same in every draw.

    Args:
        matrix: distances by sample id, in any order.
        sample_ids: [B] ids of the study's samples; row b of the targets is ``sample_ids[b]``.

    Raises:
        DataError: samples are not in the matrix.
    """

    def __init__(self, matrix: DistanceMatrix, sample_ids: np.ndarray) -> None:
        number = {sample_id: i for i, sample_id in enumerate(matrix.ids)}
        absent = [sample_id for sample_id in sample_ids if sample_id not in number]
        if absent:
            raise DataError(
                f"{len(absent):,} of {len(sample_ids):,} samples are not in the distance matrix",
                code="ids-missing",
                offenders=absent,
                remedy="Pass the --unifrac-matrix of this table, or --tree",
            )
        self._values = matrix.values
        self._position = np.array([number[sample_id] for sample_id in sample_ids], dtype=np.int64)

    def pairs(self, rows: np.ndarray, columns: np.ndarray, draw: int) -> np.ndarray:
        """See ``PairTargets``."""
        return self._values[np.ix_(self._position[rows], self._position[columns])].astype(np.float32)

    def values(self, rows: np.ndarray, draw: int) -> np.ndarray:
        """Raise DataError: a distance matrix does not contain Faith's PD."""
        raise DataError(
            "--unifrac-matrix does not contain Faith's PD", code="distances-wrong-metric", remedy="Use --tree instead"
        )
