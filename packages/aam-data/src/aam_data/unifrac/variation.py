"""Check that phylogenetic targets can be learned: that they are finite, and not the same for all samples."""

from __future__ import annotations

import numpy as np

from aam_data.errors import DataError
from aam_data.options.files import PhylogenyOptions
from aam_data.study.forest import Forest
from aam_data.unifrac.pair_targets import PairTargets

_DRAW = -1  # the fixed draw of validation
_SAMPLES = (64, 1024)  # whose distances are compared; the second number only if those of the first are all equal
_TOLERANCE = 1e-6  # relative, of numbers that count as equal


def check_targets_vary(pairs: PairTargets, rows: np.ndarray, options: PhylogenyOptions) -> None:
    """Check the targets that ``--unifrac-metric`` asks for, on up to 1,024 samples.

    Args:
        pairs: the targets.
        rows: int64 [R] samples to learn from.
        options: metric and files, for messages.

    Raises:
        DataError: distances or values of Faith's PD that are infinite, or all equal.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is reported
        if options.unifrac_metric in ("faith_pd", "combined"):
            _check(pairs.values(rows, _DRAW), "values of Faith's PD", options)
        if options.unifrac_metric != "faith_pd":
            for n_samples in _SAMPLES:
                some = rows[np.unique(np.linspace(0, len(rows) - 1, n_samples).astype(np.int64))] if len(rows) else rows
                distances = pairs.pairs(some, some, _DRAW)[np.triu_indices(len(some), 1)]
                if len(some) == len(rows) or n_samples == _SAMPLES[-1] or not _are_equal(distances):
                    break
            _check(distances, f"distances ({options.pair_metric})", options)


def check_parts_covered(forest: Forest, rows: dict[str, np.ndarray]) -> None:
    """Check that each part of a split has two samples of one tree, so that it has a distance.

    Args:
        forest: the trees of a corpus.
        rows: int64 samples by part; a part may be empty.

    Raises:
        DataError: a part has no distance.
    """
    for part, samples in rows.items():
        trees = forest.tree_of[samples]
        if len(samples) and np.bincount(trees[trees >= 0], minlength=1).max() < 2:
            raise DataError(
                f"no two of the {len(samples):,} {part} samples are of one study with a tree, so they have no distance",
                code="corpus-no-targets",
                remedy="Use another split (--group-column, --val-size, --test-size, --seed), or --unifrac-weight 0",
            )


def _check(values: np.ndarray, what: str, options: PhylogenyOptions) -> None:
    file = options.tree or options.unifrac_matrix
    if np.isinf(values).any():
        problem = f"{what} are too large for numbers of 32 bits"
        raise DataError(
            problem,
            code="distances-too-large",
            file=file,
            remedy="Check the branch lengths of the tree, or the unit of the distances",
        )
    if _are_equal(values):
        known = values[np.isfinite(values)]
        raise DataError(
            f"all {len(known):,} {what} are {known[0]:g}, so there is nothing to learn",
            code="distances-constant",
            file=file,
            remedy="Use another --unifrac-metric, and check that the file belongs to this table",
        )


def _are_equal(values: np.ndarray) -> bool:
    known = values[np.isfinite(values)]
    return len(known) > 1 and bool(np.ptp(known) <= _TOLERANCE * np.abs(known).max())
