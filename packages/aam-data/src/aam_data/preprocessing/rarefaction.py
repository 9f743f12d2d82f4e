"""Rarefaction: an equal number of reads from every sample, drawn without replacement, by key."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from aam_data.errors import DataError
from aam_data.notes import Note
from aam_data.random_keys import Purpose, generator, sample_key
from aam_data.table import CountTable, SampleCounts

_MAX_READS = 10**9 - 1  # of one sample; the limit of numpy's hypergeometric distribution
FIXED_DRAW = -1  # the draw of validation and prediction; training draws are the epochs 0, 1, ...
_WARNING_SHARE = 0.2  # of samples left out
_MODEL_DEPTH = "The model was trained at this depth; a lower one needs another model: aam train --rarefy-depth"
_KEPT = 0.95  # of the samples, by the depth that messages advise
_QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 1.0)


class Rarefier:
    """Keyed rarefaction of the samples of one table.

    The draw of a sample only depends on ``(seed, sample id, draw)`` and on its own counts in the order of the
    features: not on other samples, on features that it does not have, or on earlier draws. Features are in canonical
    order (sorted by sequence, as in a ``Study``), so that draws agree between tables.

    Args:
        table: reads; relative abundances are accepted with depth 0 only.
        depth: reads per sample; 0 returns the counts as they are.
        seed: random seed.
        only_draw: the draw to return for every draw number; None for the requested draws.

    Raises:
        DataError: the table contains fractions, or a sample has more than 10^9 - 1 reads.

    Example:
        >>> rarefier = Rarefier(study.table, depth=5000, seed=42)
        >>> rarefier.draw(np.array([0, 3]), draw=0).counts.sum()
        10000
    """

    def __init__(self, table: CountTable, depth: int, seed: int, *, only_draw: int | None = None) -> None:
        self.table, self.depth, self.seed, self.only_draw = table, depth, seed, only_draw
        if depth == 0:
            return
        check_drawable(table)
        self._depths = table.depths()
        self._keys = np.fromiter(map(sample_key, table.sample_ids), np.uint64, table.n_samples)

    def draw(self, rows: np.ndarray, draw: int) -> SampleCounts:
        """Return draw number ``draw`` of the samples ``rows``: ``depth`` reads each, without features of 0 reads.

        Args:
            rows: int64 [R] rows of the table, in any order.
            draw: a training epoch (0, 1, ...), or a fixed draw of validation and prediction (-1, -2, ...).

        Raises:
            DataError: a sample has fewer than ``depth`` reads (``deep_enough`` finds these beforehand).
        """
        counts = self.table.take_counts(rows)
        if self.depth == 0:
            return counts
        shallow = rows[self._depths[rows] < self.depth]
        if len(shallow):
            raise DataError(
                f"{len(shallow):,} samples have fewer than {self.depth:,} reads",
                code="depth-too-high",
                offenders=self.table.sample_ids[shallow].tolist(),
                remedy="Leave them out, or lower --rarefy-depth",
            )
        draw = draw if self.only_draw is None else self.only_draw
        drawn = np.empty_like(counts.counts)
        for start, stop, row in zip(counts.indptr[:-1], counts.indptr[1:], rows, strict=True):
            random = generator(self.seed, Purpose.RAREFACTION, int(self._keys[row]), draw)
            # "marginals" (one hypergeometric number per feature) is exact and needs no memory per read. 32 samples
            # of ibd to 5,000 reads take 1.4 ms; "count" 2.9, choice() 6.7, drawing distinct positions 4.8 ms.
            drawn[start:stop] = random.multivariate_hypergeometric(
                counts.counts[start:stop], self.depth, method="marginals"
            )
        return _without_zeros(counts._replace(counts=drawn))


def check_drawable(table: CountTable, file: Path | str | None = None) -> None:
    """Check that a table can be rarefied. Raises DataError for fractions and for samples with too many reads."""
    if not table.is_integer:
        raise DataError(
            "the table contains relative abundances, which cannot be rarefied",
            code="depth-of-fractions",
            file=file,
            remedy="Pass a table of counts, or --rarefy-depth 0",
        )
    too_deep = table.sample_ids[table.depths() > _MAX_READS]
    if len(too_deep):
        raise DataError(
            f"{len(too_deep):,} samples have more than {_MAX_READS:,} reads",
            code="depth-too-many-reads",
            file=file,
            offenders=too_deep.tolist(),
            remedy="Leave them out of the table, or pass --rarefy-depth 0",
        )


def deep_enough(table: CountTable, depth: int, file: Path | str | None = None, *, of_model: bool = False) -> np.ndarray:
    """Find samples with at least ``depth`` reads, bool [B]; with depth 0, samples with any reads.

    Args:
        table: the counts.
        depth: reads.
        file: file of the table, for messages.
        of_model: whether the depth is that of a trained model, which no option of a command changes.

    Raises:
        DataError: there are none.
    """
    depths = table.depths()
    deep = depths >= depth if depth else depths > 0
    if not deep.any():
        if depth == 0:
            raise DataError("no sample has reads", code="table-no-reads", file=file)
        raise DataError(
            f"no sample of the table has {depth:,} reads; the deepest has {int(depths.max(initial=0)):,}",
            code="depth-too-high",
            file=file,
            remedy=_MODEL_DEPTH if of_model else f"{depth_advice(table)}; 0 uses the counts as they are",
        )
    return deep


def shallow_report(table: CountTable, depth: int, *, of_model: bool = False) -> Note | None:
    """Describe the samples that rarefaction to ``depth`` leaves out; None if there are none. See `deep_enough`."""
    depths = table.depths()
    shallow = int(np.count_nonzero(~deep_enough(table, depth)))
    if shallow == 0:
        return None
    quantiles = np.quantile(depths, _QUANTILES, method="lower")
    spread = ", ".join(f"{share:.0%} {reads:,.0f}" for share, reads in zip(_QUANTILES, quantiles, strict=True))
    what = (
        f"{shallow:,} of {table.n_samples:,} samples have fewer than {max(depth, 1):,} reads and are left out"
        f" (quantiles of reads per sample: {spread})"
    )
    if shallow <= _WARNING_SHARE * table.n_samples:
        return Note("depth-leaves-out-samples", what)
    return Note("depth-leaves-out-samples", f"{what}. {_MODEL_DEPTH if of_model else depth_advice(table)}", "warning")


def depth_advice(table: CountTable) -> str:
    """Return a sentence with the depth that nearly all samples with reads have."""
    depths = table.depths()
    lower = max(1, int(np.quantile(depths[depths > 0], 1 - _KEPT, method="lower")))
    return f"--rarefy-depth {lower} would keep at least {_KEPT:.0%} of the samples"


def _without_zeros(counts: SampleCounts) -> SampleCounts:
    kept = counts.counts > 0
    indptr = np.concatenate([[0], np.cumsum(kept)])[counts.indptr]
    return SampleCounts(indptr, counts.indices[kept], counts.counts[kept])
