"""Metadata as model input: categories, their hierarchy and covariates, fitted on training samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from aam_data.checked_json import strict_fields
from aam_data.notes import Note
from aam_data.preprocessing.categories import CategoryCodec
from aam_data.preprocessing.category_hierarchy import CategoryHierarchy
from aam_data.preprocessing.covariates import CovariateScaler

if TYPE_CHECKING:
    from aam_data.readers.metadata.metadata import Metadata


class InputValues(NamedTuple):
    """Inputs of B samples, C categorical and K numeric columns.

    Attributes:
        codes: int64 [B, C], 0 = unknown.
        covariates: float32 [B, 2 K], standardized (0 where missing), then 1 where missing.
        notes: warnings about categories without training samples.
    """

    codes: np.ndarray
    covariates: np.ndarray
    notes: tuple[Note, ...]


@dataclass(frozen=True)
class MetadataInputs:
    """Categories and covariates that are model input; both may be empty."""

    categories: CategoryCodec = CategoryCodec()
    hierarchy: CategoryHierarchy = CategoryHierarchy()
    covariates: CovariateScaler = CovariateScaler()

    def __post_init__(self) -> None:
        self.hierarchy.check(self.categories, "hierarchy")

    @classmethod
    def fit(
        cls,
        metadata: Metadata,
        rows: np.ndarray,
        categorical: Sequence[str],
        numeric: Sequence[str],
        parents: Mapping[str, str],
    ) -> Self:
        """Fit on the training samples ``rows``.

        Args:
            metadata: metadata of all samples.
            rows: int64 rows of the training samples.
            categorical, numeric: names of columns.
            parents: parent of each categorical column that has one.

        Raises:
            DataError: see `CategoryCodec.fit`, `CategoryHierarchy.fit` and `CovariateScaler.fit`.
        """
        codec = CategoryCodec.fit(metadata, rows, categorical)
        hierarchy = CategoryHierarchy.fit(codec, metadata, rows, parents)
        return cls(codec, hierarchy, CovariateScaler.fit(metadata, rows, numeric))

    def __bool__(self) -> bool:
        return bool(self.columns)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of all input columns."""
        return (*self.categories.columns, *self.covariates.columns)

    def describe(self) -> str:
        """List the columns: ``location (3 categories), season (4 categories), age (a number)``."""
        categories = zip(self.categories.columns, self.categories.names, strict=True)
        texts = [f"{column} ({len(names):,} categories)" for column, names in categories]
        return ", ".join([*texts, *(f"{column} (a number)" for column in self.covariates.columns)])

    def apply(self, metadata: Metadata) -> InputValues:
        """Return the inputs of B samples. Raises DataError for columns that are absent or not numeric."""
        categories, numbers = self.categories.apply(metadata), self.covariates.apply(metadata)
        covariates = np.concatenate([numbers.values, numbers.missing.astype(np.float32)], axis=1)
        return InputValues(categories.codes, covariates, categories.notes)

    def to_dict(self) -> dict[str, Any]:
        """Return a form that JSON can store."""
        return {
            "categories": self.categories.to_dict(),
            "hierarchy": self.hierarchy.to_dict(),
            "covariates": self.covariates.to_dict(),
        }

    @classmethod
    def from_dict(cls, values: object, place: str = "inputs") -> Self:
        """Restore what ``to_dict`` returned. Raises DataError for anything else."""
        checked = strict_fields(values, {"categories": dict, "hierarchy": dict, "covariates": dict}, place)
        codec = CategoryCodec.from_dict(checked["categories"], f"{place}: categories")
        hierarchy = CategoryHierarchy.from_dict(checked["hierarchy"], codec, f"{place}: hierarchy")
        return cls(codec, hierarchy, CovariateScaler.from_dict(checked["covariates"], f"{place}: covariates"))
