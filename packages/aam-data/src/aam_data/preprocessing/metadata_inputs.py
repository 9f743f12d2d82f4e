"""What a model reads of the metadata: categories, their hierarchy, covariates; fitted on training samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from aam_data.checked_json import strict_fields
from aam_data.preprocessing.categories import CategoryCodec
from aam_data.preprocessing.category_hierarchy import CategoryHierarchy
from aam_data.preprocessing.covariates import CovariateScaler

if TYPE_CHECKING:
    from aam_data.readers.metadata.metadata import Metadata


class InputValues(NamedTuple):
    """Of B samples, C categorical and K numeric columns.

    Attributes:
        codes: int64 [B, C], 0 = unknown.
        covariates: float32 [B, 2 K], standardized (0 where missing), then 1 where missing.
        notes: sentences about categories that no training sample has.
    """

    codes: np.ndarray
    covariates: np.ndarray
    notes: tuple[str, ...]


@dataclass(frozen=True)
class MetadataInputs:
    """Categories and covariates that go into a model; both may be of no column."""

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
        """All columns that are read."""
        return (*self.categories.columns, *self.covariates.columns)

    def describe(self) -> str:
        """``location (3 categories), season (4 categories), age (a number)``."""
        categories = zip(self.categories.columns, self.categories.names, strict=True)
        texts = [f"{column} ({len(names):,} categories)" for column, names in categories]
        return ", ".join([*texts, *(f"{column} (a number)" for column in self.covariates.columns)])

    def apply(self, metadata: Metadata) -> InputValues:
        """The inputs of B samples. Raises DataError for columns that are absent or not numeric."""
        found, numbers = self.categories.apply(metadata), self.covariates.apply(metadata)
        covariates = np.concatenate([numbers.values, numbers.missing.astype(np.float32)], axis=1)
        return InputValues(found.codes, covariates, found.notes)

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "categories": self.categories.to_dict(),
            "hierarchy": self.hierarchy.to_dict(),
            "covariates": self.covariates.to_dict(),
        }

    @classmethod
    def from_dict(cls, values: object, place: str = "inputs") -> Self:
        """What ``to_dict`` gave. Raises DataError for anything else."""
        checked = strict_fields(values, {"categories": dict, "hierarchy": dict, "covariates": dict}, place)
        codec = CategoryCodec.from_dict(checked["categories"], f"{place}: categories")
        hierarchy = CategoryHierarchy.from_dict(checked["hierarchy"], codec, f"{place}: hierarchy")
        return cls(codec, hierarchy, CovariateScaler.from_dict(checked["covariates"], f"{place}: covariates"))
