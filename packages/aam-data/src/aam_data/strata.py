"""What every part of a split should hold in the same proportions: classes, quarters of numbers, a further column."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from aam_data.config import TargetOptions
from aam_data.errors import DataError

if TYPE_CHECKING:
    from aam_data.readers.metadata import Metadata

QUARTERS = ("1st quarter", "2nd quarter", "3rd quarter", "4th quarter")
_MOST_LEVELS = 8  # numbers of more different values are balanced by quarters


def strata_of(
    metadata: Metadata | None, rows: np.ndarray, target: TargetOptions | None, column: str | None
) -> list[np.ndarray]:
    """Labels by which samples are divided evenly: one array for each target, and one for ``--stratify-column``.

    Args:
        metadata: of all samples; None only without target and column.
        rows: int64 [R] the samples to divide.
        target: its classes, or quarters of its values, are balanced.
        column: of the metadata, balanced besides.

    Returns:
        Arrays [R] of str objects, None where a value is missing.

    Raises:
        DataError: a column is absent, numeric targets that are not, or a column that is different in every sample.
    """
    if metadata is None:
        return []
    names = target.metadata_column if target is not None else ()
    classes = target is not None and target.classifier
    strata = [metadata.text(name)[rows] if classes else quarters(metadata.numeric(name)[rows]) for name in names]
    if column is not None and column not in names:
        strata.append(_column(metadata, rows, column))
    return strata


def quarters(values: np.ndarray) -> np.ndarray:
    """The quarter of each value, object [R], None where it is NaN. Equal values are in the same quarter."""
    known = np.isfinite(values)
    labels = np.full(len(values), None, dtype=object)
    if known.any():
        limits = np.quantile(values[known], [0.25, 0.5, 0.75])
        labels[known] = np.array(QUARTERS, dtype=object)[np.searchsorted(limits, values[known], side="left")]
    return labels


def _column(metadata: Metadata, rows: np.ndarray, column: str) -> np.ndarray:
    texts = metadata.text(column)[rows]
    if metadata.types.get(column) != "categorical":
        present = [text for text in texts if text is not None and not metadata.rule.in_numbers(text)]
        numbers = pd.to_numeric(pd.Series(present, dtype=object), errors="coerce").to_numpy(dtype=np.float64)
        if np.isfinite(numbers).all() and len(np.unique(numbers)) > _MOST_LEVELS:
            return quarters(metadata.numeric(column)[rows])
    known = [text for text in texts if text is not None]
    if len(set(known)) == len(known):
        raise DataError(
            "no two samples have the same value, so no split can balance them",
            file=metadata.path,
            place=f"column {column}",
            remedy="Choose another --stratify-column",
        )
    return texts
