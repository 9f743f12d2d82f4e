"""Weights of the target's loss by category, so that frequent categories do not dominate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from aam_data.checked_json import strict_fields
from aam_data.errors import DataError
from aam_data.preprocessing.categories import CategoryCodec

if TYPE_CHECKING:
    from aam_data.readers.metadata.metadata import Metadata


@dataclass(frozen=True)
class CategoryWeights:
    """A weight for each category of a column; samples without a known category have weight 1.

    Attributes:
        column: metadata column.
        names: the categories, sorted.
        weights: one weight per category, with mean 1 over the training samples that have a category.
    """

    column: str
    names: tuple[str, ...]
    weights: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.names) != len(self.weights) or len({*self.names}) != len(self.names) or min(self.weights) <= 0:
            raise DataError("each category must have one weight above 0", code="model-inconsistent")

    @classmethod
    def fit(cls, metadata: Metadata, rows: np.ndarray, column: str, method: str | Mapping[str, float]) -> Self:
        """Compute weights from the training samples ``rows``, scaled to a mean of 1 over them.

        Args:
            metadata: metadata of all samples.
            rows: int64 rows of the training samples.
            column: the metadata column.
            method: "auto", 1 / n of the category; "effective", (1 - b) / (1 - b^n) with b = (N - 1) / N of N training
                samples (effective number of samples, Cui et al. 2019, arXiv:1901.05555); or the weights themselves,
                1 for categories that are not named.

        Raises:
            DataError: the column is absent or has no value, or there are weights of categories that it does not have.
        """
        codec = CategoryCodec.fit(metadata, rows, [column])
        (names,), (sizes,) = codec.names, codec.counts
        counts = np.array(sizes, dtype=np.float64)
        if method == "auto":
            raw = 1 / counts
        elif method == "effective":
            beta = 1 - 1 / counts.sum()
            raw = (1 - beta) / (1 - beta**counts) if beta > 0 else np.ones(len(counts))
        else:
            assert not isinstance(method, str)
            unknown = sorted(method.keys() - set(names))
            if unknown:
                raise DataError(
                    "--categorical-loss-weights names categories that no training sample has",
                    code="categories-unknown",
                    file=metadata.path,
                    place=f"column {column}",
                    offenders=unknown,
                    remedy=f"The column has {', '.join(names[:20])}",
                )
            raw = np.array([method.get(name, 1.0) for name in names])
        weights = raw / (raw @ counts / counts.sum())
        return cls(column, names, tuple(weights.tolist()))

    def apply(self, metadata: Metadata) -> np.ndarray:
        """Return the weight of each sample, float32 [B]. Raises DataError if the column is absent."""
        weight = dict(zip(self.names, self.weights, strict=True))
        return np.array([weight.get(value, 1.0) for value in metadata.text(self.column)], dtype=np.float32)

    def describe(self) -> str:
        """Format the weights: ``column: a 0.5, b 2``."""
        shown = ", ".join(f"{name} {weight:.3g}" for name, weight in zip(self.names, self.weights, strict=True))
        return f"{self.column}: {shown}"

    def to_dict(self) -> dict[str, Any]:
        """Return a form that JSON can store."""
        return {"column": self.column, "names": list(self.names), "weights": list(self.weights)}

    @classmethod
    def from_dict(cls, values: object, place: str = "weights") -> Self:
        """Restore what ``to_dict`` returned. Raises DataError for anything else."""
        checked = strict_fields(values, {"column": str, "names": list, "weights": list}, place)
        if not all(isinstance(name, str) for name in checked["names"]):
            raise DataError("names of categories must be strings", code="model-inconsistent", place=place)
        weights = [
            strict_fields({"weight": weight}, {"weight": float}, place)["weight"] for weight in checked["weights"]
        ]
        if not weights:
            raise DataError("there are no weights", code="model-inconsistent", place=place)
        return cls(checked["column"], tuple(checked["names"]), tuple(weights))
