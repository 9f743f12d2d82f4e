"""UniFrac and Faith's PD of any samples, from the tree. No matrix of branches is ever dense for all samples.

With m the shares of a sample's reads below the branches and len the branches' lengths (sums are over branches):

- ``unifrac``, unweighted: length of the branches of exactly one of the samples over the length of the branches of
  either (Lozupone and Knight 2005, doi:10.1128/AEM.71.12.8228-8235.2005). Faith's PD (Faith 1992,
  doi:10.1016/0006-3207(92)91201-3) is the length of a sample's branches.
- ``weighted``: ``sum len |m_i - m_j| / sum len (m_i + m_j)``, and ``weighted_unnormalized``: its numerator (Lozupone
  et al. 2007, doi:10.1128/AEM.01996-06).
- ``generalized``: ``sum len (m_i + m_j)^alpha |m_i - m_j| / (m_i + m_j)`` over ``sum len (m_i + m_j)^alpha`` (Chen et
  al. 2012, doi:10.1093/bioinformatics/bts342); alpha 1 is ``weighted``.

Features that are not in the tree are left out. The distances and the PD of a sample without reads on the tree are NaN.
Samples whose branches all have length 0 have distance 0, as in scikit-bio.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from aam_data.options.base import UnifracMetric
from aam_data.study.phylogeny import Phylogeny
from aam_data.table import SampleCounts
from aam_data.unifrac.branch_shares import branch_shares, shear_to
from aam_data.unifrac.metrics import build_metric, presence

# A block of the matrix. Columns: their shares stay in the cache, see metrics.py. Rows: what is computed once for them
# (branch shares, the dense part of the product) serves all columns, in about 150 MB for ibd's tree.
_COLUMNS = 96
_ROWS = 20 * _COLUMNS
BLOCKS_VERSION = 1  # of the numbering of blocks; a matrix can only be continued with the version that started it


class Block(NamedTuple):
    """A block of a symmetric matrix, on and above its diagonal (with the lower half of squares on it).

    Attributes:
        rows, columns: positions of R and C samples.
        values: float64 [R, C] distances.
        number: number of the block, from 0.
        share: share of all work that is done after this block; 1 for the last.
    """

    rows: slice
    columns: slice
    values: np.ndarray
    number: int
    share: float


def faith_pd(phylogeny: Phylogeny, samples: SampleCounts) -> np.ndarray:
    """Compute Faith's PD of S samples: the length of all branches between a sample's ASVs and the root.

    Args:
        phylogeny: the tree.
        samples: counts of the samples.

    Returns:
        float64 [S], NaN for samples without reads on the tree.

    Example:
        >>> diversity = faith_pd(study.phylogeny, study.table.data)
    """
    phylogeny = shear_to(phylogeny, samples)
    values = np.empty(samples.n_samples)
    for rows in _slices(0, samples.n_samples, _ROWS):
        shares = branch_shares(phylogeny, _take(samples, rows))
        values[rows] = np.where(np.diff(shares.indptr) > 0, presence(shares) @ phylogeny.branch_length, np.nan)
    return values


def unifrac_distances(
    phylogeny: Phylogeny,
    samples: SampleCounts,
    others: SampleCounts | None = None,
    metric: UnifracMetric = "unifrac",
    alpha: float = 1.0,
) -> np.ndarray:
    """Compute UniFrac distances of S ``samples`` to S' ``others``, or of all pairs of ``samples``.

    Args:
        phylogeny: the tree.
        samples: counts of the samples.
        others: counts of other samples; None for all pairs of ``samples``.
        metric: see the formulas in the module's docstring.
        alpha: weight of abundant branches in ``generalized``, 0 to 1.

    Returns:
        float64 [S, S'], NaN in rows and columns of samples without reads on the tree. Without ``others`` exactly
        symmetric, with a diagonal of zeros.

    Example:
        >>> study = read_study(TableOptions(Path("table.qza")), phylogeny=PhylogenyOptions(Path("tree.qza")))
        >>> distances = unifrac_distances(study.phylogeny, study.table.data, metric="weighted")
    """
    if others is None:
        values = np.empty((samples.n_samples, samples.n_samples))
        for block in unifrac_blocks(phylogeny, samples, metric, alpha):
            values[block.rows, block.columns] = block.values
            values[block.columns, block.rows] = block.values.T
        return values
    phylogeny = shear_to(phylogeny, samples, others)
    values = np.empty((samples.n_samples, others.n_samples))
    for rows in _slices(0, samples.n_samples, _ROWS):
        distances = build_metric(metric, alpha, branch_shares(phylogeny, _take(samples, rows)), phylogeny.branch_length)
        for columns in _slices(0, others.n_samples, _COLUMNS):
            values[rows, columns] = distances.to(branch_shares(phylogeny, _take(others, columns)))
    return values


def unifrac_blocks(
    phylogeny: Phylogeny,
    samples: SampleCounts,
    metric: UnifracMetric = "unifrac",
    alpha: float = 1.0,
    first: int = 0,
) -> Iterator[Block]:
    """Yield UniFrac distances of all pairs in blocks that cover each pair once, in bounded memory.

    Args:
        phylogeny, samples, metric, alpha: see ``unifrac_distances``.
        first: number of the first block to yield; earlier blocks are not computed.
    """
    phylogeny = shear_to(phylogeny, samples)
    n = samples.n_samples
    all_columns = {rows.start: _slices(rows.start, n, _COLUMNS) for rows in _slices(0, n, _ROWS)}
    number, done, work = 0, 0, sum(_n_cells(start, c) for start, columns in all_columns.items() for c in columns)
    for rows in _slices(0, n, _ROWS):
        shares = None
        for columns in all_columns[rows.start]:
            done += _n_cells(rows.start, columns)
            number += 1
            if number <= first:
                continue
            if shares is None:
                shares = branch_shares(phylogeny, _take(samples, rows))
                distances = build_metric(metric, alpha, shares, phylogeny.branch_length)
            inside = columns.start < rows.stop  # row blocks end where column blocks do
            if inside:
                right = shares[columns.start - rows.start : columns.stop - rows.start]
            else:
                right = branch_shares(phylogeny, _take(samples, columns))
            n_rows = min(rows.stop, columns.stop) - rows.start
            values = distances.to(right, n_rows)
            if inside:
                _mirror(values[columns.start - rows.start :])
            yield Block(slice(rows.start, rows.start + n_rows), columns, values, number - 1, done / work)


def _n_cells(row_start: int, columns: slice) -> int:
    n_rows = min(row_start + _ROWS, columns.stop) - row_start
    return n_rows * (columns.stop - columns.start)


def _mirror(square: np.ndarray) -> None:
    """Make a square block exactly symmetric and 0 on the diagonal: sums in another order differ by 1e-16."""
    upper = np.triu(square, 1)
    undefined = np.isnan(square.diagonal())
    square[:] = upper + upper.T
    square[undefined, undefined] = np.nan


def _slices(start: int, stop: int, size: int) -> list[slice]:
    return [slice(first, min(first + size, stop)) for first in range(start, stop, size)]


def _take(samples: SampleCounts, rows: slice) -> SampleCounts:
    """Take consecutive samples without copying their counts."""
    indptr = samples.indptr[rows.start : rows.stop + 1]
    entries = slice(indptr[0], indptr[-1])
    return SampleCounts(indptr - indptr[0], samples.indices[entries], samples.counts[entries])
