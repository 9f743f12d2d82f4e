"""Check of a precomputed distance matrix by the tree: some rows are computed and compared."""

from __future__ import annotations

import numpy as np

from aam_data.errors import DataError
from aam_data.options.files import PhylogenyOptions
from aam_data.study.study import Study
from aam_data.unifrac.unifrac import unifrac_distances

_ROWS = 16  # samples whose distances to all others are computed: rows in another order differ in every one of them
_TOLERANCE = 0.01  # of the largest distance: sums in float32 and approximate programs differ by less


def check_by_tree(study: Study, options: PhylogenyOptions) -> None:
    """Compare the distances of up to 16 samples to all others with those of the tree, if the study has both.

    Raises:
        DataError: some differ by more than 1 % of the largest one.
    """
    if study.distances is None or study.phylogeny is None:
        return
    n = study.table.n_samples
    rows = np.unique(np.linspace(0, n - 1, min(n, _ROWS)).astype(np.int64))
    some = study.table.take_samples(rows).data
    expected = unifrac_distances(study.phylogeny, some, study.table.data, options.pair_metric, options.unifrac_alpha)
    found = study.distances.values[rows]
    known = np.isfinite(expected) & np.isfinite(found)
    if not known.any():
        return
    wrong = np.argwhere(known & (np.abs(found - expected) > _TOLERANCE * expected[known].max()))
    if len(wrong):
        ids = study.table.sample_ids
        raise DataError(
            f"{len(wrong):,} of {np.count_nonzero(known):,} distances differ from those of {options.tree} by more than "
            f"{_TOLERANCE:.0%} of the largest one",
            code="distances-differ-from-tree",
            file=options.unifrac_matrix,
            offenders=[f"({ids[rows[i]]}, {ids[j]}) = {found[i, j]:.4g}, not {expected[i, j]:.4g}" for i, j in wrong],
            remedy="The samples are in another order (--matrix-ids names them), the metric is another one "
            "(--unifrac-metric), or the reads were others. Without --unifrac-matrix, the tree's distances are learned",
        )
