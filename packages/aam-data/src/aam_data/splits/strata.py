"""Labels that are balanced between the parts of a split: classes, quarters of numbers, an additional column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from aam_data.errors import DataError
from aam_data.options.targets import TargetOptions

if TYPE_CHECKING:
    from aam_data.readers.metadata.metadata import Metadata

QUARTERS = ("1st quarter", "2nd quarter", "3rd quarter", "4th quarter")
_MAX_LEVELS = 8  # numbers with more distinct values are balanced by quarters


def strata_of(
    metadata: Metadata | None, rows: np.ndarray, target: TargetOptions | None, column: str | None
) -> list[np.ndarray]:
    """Return the labels to balance: one array for each target, and one for ``--stratify-column``.

    Args:
        metadata: metadata of all samples; None only without target and column.
        rows: int64 [R] the samples to divide.
        target: target whose classes, or quarters of its values, are balanced.
        column: additional column to balance.

    Returns:
        Arrays [R] of str objects, None for missing values.

    Raises:
        DataError: a column is absent, a numeric target is not numeric, or the additional column has no value or a
            different one in every sample.

    Example:
        >>> labels = strata_of(study.metadata, np.arange(24), TargetOptions(("status",), classifier=True), "season")
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
    """Assign each value to a quarter, object [R], None for NaN. Equal values are in the same quarter."""
    known = np.isfinite(values)
    labels = np.full(len(values), None, dtype=object)
    if known.any():
        limits = np.quantile(values[known], [0.25, 0.5, 0.75])
        labels[known] = np.array(QUARTERS, dtype=object)[np.searchsorted(limits, values[known], side="left")]
    return labels


def _column(metadata: Metadata, rows: np.ndarray, column: str) -> np.ndarray:
    texts = metadata.text(column)[rows]
    if _is_numeric(metadata, column):
        numbers = metadata.numeric(column)[rows]
        if len(np.unique(numbers[np.isfinite(numbers)])) > _MAX_LEVELS:
            return quarters(numbers)
    known = [text for text in texts if text is not None]
    if len(set(known)) == len(known):
        raise DataError(
            "no two samples have the same value, so no split can balance them" if known else "no sample has a value",
            code="split-cannot-stratify",
            file=metadata.path,
            place=f"column {column}",
            remedy="Choose another --stratify-column",
        )
    return texts


def _is_numeric(metadata: Metadata, column: str) -> bool:
    """Return whether a column is numeric if words such as "NA" are missing, as in a numeric target."""
    doubtful = metadata.frame[[column]].isin(list(metadata.doubtful(column)))
    return replace(metadata, frame=metadata.frame[[column]].mask(doubtful, None)).kind(column) == "numeric"


def label_codes(texts: Sequence[str | None] | np.ndarray) -> tuple[list[str], np.ndarray]:
    """Encode texts: sorted distinct texts, and the number of each sample's text, int64 [B], -1 if missing (None).

    Memory grows with the distinct texts: NumPy's own text arrays use the size of the longest text for every sample.
    """
    names = sorted({text for text in texts if text is not None})
    number: dict[str | None, int] = {name: k for k, name in enumerate(names)}
    return names, np.array([number.get(text, -1) for text in texts], dtype=np.int64)


def group_codes(texts: Sequence[str | None] | np.ndarray) -> np.ndarray:
    """Number the samples' groups, int64 [B], from 0; a missing value is a group of its own."""
    names, codes = label_codes(texts)
    missing = codes < 0
    codes[missing] = len(names) + np.arange(missing.sum())
    return codes
