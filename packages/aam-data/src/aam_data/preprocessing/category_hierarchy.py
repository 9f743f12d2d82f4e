"""Hierarchies of categories (city, state, country), fitted on training samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from aam_data.checked_json import strict_fields
from aam_data.errors import DataError
from aam_data.preprocessing.categories import UNKNOWN, CategoryCodec

if TYPE_CHECKING:
    from aam_data.readers.metadata.metadata import Metadata


@dataclass(frozen=True)
class CategoryHierarchy:
    """Parents of categories.

    Attributes:
        parents: for each column of a codec, the position of its parent column; -1 = none.
        parent_codes: for each column, the parent codes of its codes (the unknown first), 0 if no training sample
            shows the parent; empty without a parent column.
    """

    parents: tuple[int, ...] = ()
    parent_codes: tuple[tuple[int, ...], ...] = ()

    @classmethod
    def fit(cls, codec: CategoryCodec, metadata: Metadata, rows: np.ndarray, parents: Mapping[str, str]) -> Self:
        """Infer the parent of each category from the training samples ``rows``.

        Args:
            codec: categories of the columns.
            metadata: metadata of all samples.
            rows: int64 rows of the training samples.
            parents: parent of each column that has one; all of them are columns of the codec.

        Raises:
            DataError: categories with several parents, for all columns together.
        """
        codes = codec.apply(metadata).codes[rows]
        position = {column: number for number, column in enumerate(codec.columns)}
        above: list[tuple[int, ...]] = []
        several = []
        for column, names in zip(codec.columns, codec.names, strict=True):
            if column not in parents:
                above.append(())
                continue
            parent = position[parents[column]]
            pairs = np.unique(codes[:, [position[column], parent]], axis=0)
            pairs = pairs[(pairs != UNKNOWN).all(axis=1)]
            parent_codes = np.zeros(len(names) + 1, dtype=np.int64)
            parent_codes[pairs[:, 0]] = pairs[:, 1]
            above.append(tuple(parent_codes.tolist()))
            for code in np.flatnonzero(np.bincount(pairs[:, 0], minlength=1) > 1):
                candidates = [codec.names[parent][k - 1] for k in pairs[pairs[:, 0] == code, 1]]
                several.append(f"{names[code - 1]} ({column}) in {' and '.join(candidates)} ({parents[column]})")
        if several:
            raise DataError(
                "categories have several parents in --categorical-hierarchy",
                code="categories-several-parents",
                file=metadata.path,
                offenders=several,
                remedy="Make their names distinct, as in 'Texas/Paris', or leave the pair out of the hierarchy",
            )
        return cls(tuple(position[parents[c]] if c in parents else -1 for c in codec.columns), tuple(above))

    def check(self, codec: CategoryCodec, place: str) -> None:
        """Raise DataError unless this is a hierarchy of the codec's columns."""
        sizes = codec.sizes
        fits = len(self.parents) == len(self.parent_codes) == len(sizes)
        for parent, above, size in zip(self.parents, self.parent_codes, sizes, strict=False):
            fits &= -1 <= parent < len(sizes) and len(above) == (size if parent >= 0 else 0)
            fits = fits and all(0 <= code < sizes[parent] for code in above)
        if not fits:
            raise DataError("the hierarchy does not fit the categories", code="model-inconsistent", place=place)

    def to_dict(self) -> dict[str, Any]:
        """Return a form that JSON can store."""
        return {"parents": list(self.parents), "parent_codes": [list(codes) for codes in self.parent_codes]}

    @classmethod
    def from_dict(cls, values: object, codec: CategoryCodec, place: str) -> Self:
        """Restore what ``to_dict`` returned, for the columns of ``codec``. Raises DataError for anything else."""
        checked = strict_fields(values, {"parents": list, "parent_codes": list}, place)
        above = checked["parent_codes"]
        numbers = all(isinstance(codes, list) for codes in above)
        if not numbers or not all(type(number) is int for row in (checked["parents"], *above) for number in row):
            raise DataError("the hierarchy must consist of whole numbers", code="model-inconsistent", place=place)
        hierarchy = cls(tuple(checked["parents"]), tuple(map(tuple, above)))
        hierarchy.check(codec, place)
        return hierarchy
