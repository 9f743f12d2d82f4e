"""Effects of rarefaction on a target: classes and values that only samples with too few reads have."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from aam_data.errors import DataError, first_few
from aam_data.notes import Note
from aam_data.preprocessing.rarefaction import depth_advice
from aam_data.table import CountTable


def check_values_left(
    table: CountTable, depth: int, used: np.ndarray, values: np.ndarray, column: str, file: Path
) -> list[Note]:
    """Compare the values of a target before and after samples with fewer than ``depth`` reads are left out.

    Args:
        table: the counts.
        depth: reads per sample; 0 = no sample is left out.
        used: bool [B], samples with enough reads.
        values: object [B] classes or numbers, None where missing.
        column: the target's name, for messages.
        file: where the values are from, for messages.

    Returns:
        A warning if classes lose all their samples, or all but one.

    Raises:
        DataError: fewer than two values are left, of two or more.
    """
    if depth == 0:
        return []
    before, after = (Counter(v for v in some if v is not None) for some in (values, values[used]))
    if len(before) < 2 or len(after) == len(before):
        return []
    what = (
        f"{int(used.sum()):,} of {table.n_samples:,} samples have the {depth:,} reads of --rarefy-depth, and of "
        f"{len(before):,} values of {column} {len(after):,} are left"
    )
    counts = first_few([f"{value}: {n:,} samples, then {after[value]:,}" for value, n in before.most_common()])
    if len(after) < 2:
        raise DataError(
            f"{what} ({counts})",
            code="depth-loses-values",
            file=file,
            place=f"column {column}",
            remedy=depth_advice(table),
        )
    lost = [f"{value}: {n:,}" for value, n in before.items() if value not in after]
    text = f"{what}; without samples: {first_few(lost)}. {depth_advice(table)}"
    return [Note("depth-loses-values", text, "warning")]
