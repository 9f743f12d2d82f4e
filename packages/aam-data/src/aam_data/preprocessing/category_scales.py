"""Scales of a numeric target by category of metadata, with a common scale for the remaining samples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from aam_data.checked_json import strict_fields
from aam_data.errors import DataError, first_few
from aam_data.notes import Note
from aam_data.preprocessing.transforms import TRANSFORMS, TargetTransform, transform_from_dict, transform_to_dict

if TYPE_CHECKING:
    from aam_data.readers.metadata.metadata import Metadata

MIN_SAMPLES = 10  # training samples of a category: the standard deviation of 10 normal values is known to about 24 %
MIN_SPREAD = 1e-3  # of the range of all training values; a narrower category would blow up every difference in it

Category = tuple[str, ...]  # one value per column


@dataclass(frozen=True)
class CategoryScales:
    """Transforms of single categories.

    The *scale* of a sample is a number: k for the transform of the k-th category (from 1), and 0 for the common
    transform, which serves unseen or rare categories and samples without a value in one of the columns.

    Attributes:
        columns: metadata columns; a category is a combination of their values.
        categories: the categories, sorted.
        transforms: one transform per category.
    """

    columns: tuple[str, ...]
    categories: tuple[Category, ...]
    transforms: tuple[TargetTransform, ...]

    def __post_init__(self) -> None:
        widths = {len(category) for category in self.categories}
        distinct = len(set(self.categories)) == len(self.categories) == len(self.transforms)
        if not self.columns or widths - {len(self.columns)} or not distinct:
            raise DataError(
                "columns, categories and transforms of the scales by category do not fit together",
                code="model-inconsistent",
            )

    @classmethod
    def fit(cls, kind: str, values: np.ndarray, metadata: Metadata, rows: np.ndarray, columns: tuple[str, ...]) -> Self:
        """Fit a transform in each category with at least 10 training values that are not almost equal.

        Almost equal means within a thousandth of the range of all training values, or of their logarithms if the
        transform takes these.

        Args:
            kind: a key of ``transforms.TRANSFORMS``.
            values: float [B] of the target, NaN where missing; ``transforms.check_values`` accepts all of them,
                ``transforms.fit_transform`` those of the training samples.
            metadata: metadata of the B samples.
            rows: int64 [R] the training samples.
            columns: columns whose values form the categories.

        Raises:
            DataError: columns that are not in the metadata.
        """
        rows = rows[np.isfinite(values[rows])]
        names, code = _categories(metadata, columns)
        scaled = TRANSFORMS[kind].fit(values[rows]).apply(values)
        min_spread = MIN_SPREAD * np.ptp(scaled[rows])
        transforms = {}
        for number, name in enumerate(names):
            here = rows[code[rows] == number]
            if len(here) >= MIN_SAMPLES and np.ptp(scaled[here]) > min_spread:
                transforms[name] = TRANSFORMS[kind].fit(values[here])
        return cls(columns, tuple(transforms), tuple(transforms.values()))

    def scales(self, metadata: Metadata) -> np.ndarray:
        """Return the scale of each sample, int64 [B]. Raises DataError naming columns that are not in the metadata."""
        names, code = _categories(metadata, self.columns)
        number = {category: k for k, category in enumerate(self.categories, 1)}
        scale = np.array([*(number.get(name, 0) for name in names), 0], dtype=np.int64)
        return scale[code]  # a missing category has code -1: the last entry

    def apply(self, overall: TargetTransform, values: np.ndarray, scales: np.ndarray) -> np.ndarray:
        """Convert values from the target's units to the model's; values and scales [B]."""
        result = overall.apply(values)
        for here, transform in self._members(scales):
            result[here] = transform.apply(values[here])
        return result

    def invert(self, overall: TargetTransform, scaled: np.ndarray, scales: np.ndarray) -> np.ndarray:
        """Convert values from the model's units to the target's; values and scales [B]."""
        result = overall.invert(scaled)
        for here, transform in self._members(scales):
            result[here] = transform.invert(scaled[here])
        return result

    def _members(self, scales: np.ndarray) -> Iterator[tuple[np.ndarray, TargetTransform]]:
        for k, transform in enumerate(self.transforms, 1):
            yield np.flatnonzero(scales == k), transform

    def describe(self, target: str, metadata: Metadata, rows: np.ndarray, *, trained: bool = True) -> Note:
        """Describe how many categories have a scale, and which of the samples ``rows`` use the common scale.

        Args:
            target: the target's name.
            metadata: metadata of all samples.
            rows: rows of the samples to describe.
            trained: whether these are samples of the run that fitted the scales; a warning is returned for others.
        """
        names, code = _categories(metadata, self.columns)
        fallback = Counter(code[rows[self.scales(metadata)[rows] == 0]].tolist())
        text = f"{target}: {len(self.categories):,} categories of {', '.join(self.columns)} have their own scale"
        if not fallback:
            if len(self.categories) > 1:
                return Note("target-scales", text)
            return Note("target-scales", f"{text}: --normalize-by has no effect", "warning")
        shown = [f"{'no value' if k < 0 else '/'.join(names[k])}: {n:,}" for k, n in sorted(fallback.items())]
        if not self.categories:
            reason = f"each has fewer than {MIN_SAMPLES} training samples"
            return Note("target-scales", f"{text}, because {reason}: --normalize-by has no effect", "warning")
        if not trained:
            what = (
                f"{fallback.total():,} of {len(rows):,} samples use the common scale of {target}, because the "
                f"model has no scale for their {', '.join(self.columns)}: no training sample had this category, fewer "
                f"than {MIN_SAMPLES} had, or their values were almost equal ({first_few(shown)})"
            )
            return Note("target-scales", what, "warning")
        what = (
            f"{text}; {fallback.total():,} of {len(rows):,} samples use the common scale, because their category has "
            f"fewer than {MIN_SAMPLES} training samples, almost equal values or no value ({first_few(shown)})"
        )
        return Note("target-scales", what)

    def to_dict(self) -> dict[str, Any]:
        """Return a form that JSON can store."""
        fitted = zip(self.categories, map(transform_to_dict, self.transforms), strict=True)
        categories = [{"values": list(category), "transform": transform} for category, transform in fitted]
        return {"columns": list(self.columns), "categories": categories}

    @classmethod
    def from_dict(cls, values: object, kind: str, place: str) -> Self:
        """Restore what ``to_dict`` returned, with transforms of one ``kind``. Raises DataError for anything else."""
        checked = strict_fields(values, {"columns": list, "categories": list}, place)
        types = {"values": list, "transform": dict}
        fitted = [strict_fields(item, types, f"{place}: category") for item in checked["categories"]]
        categories = tuple(tuple(item["values"]) for item in fitted)
        transforms = tuple(transform_from_dict(item["transform"], f"{place}: transform") for item in fitted)
        if not all(isinstance(text, str) for row in (checked["columns"], *categories) for text in row):
            raise DataError("columns and categories must be strings", code="model-inconsistent", place=place)
        if any(transform.kind != kind for transform in transforms):
            raise DataError(f"transforms of categories must be {kind}", code="model-inconsistent", place=place)
        return cls(tuple(checked["columns"]), categories, transforms)


def _categories(metadata: Metadata, columns: tuple[str, ...]) -> tuple[list[Category], np.ndarray]:
    """Return the sorted combinations of values, and the number of each sample's [B], -1 if a value is missing."""
    metadata_columns = [metadata.text(column) for column in columns]
    rows = list(zip(*metadata_columns, strict=True))
    names = sorted({row for row in rows if None not in row})
    number = {name: k for k, name in enumerate(names)}
    return names, np.array([number.get(row, -1) for row in rows], dtype=np.int64)
