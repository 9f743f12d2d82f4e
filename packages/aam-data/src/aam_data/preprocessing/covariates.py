"""Numeric metadata columns as model input: standardized on training samples, missing values filled and marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from aam_data.checked_json import strict_fields
from aam_data.errors import DataError
from aam_data.preprocessing.transforms import MAX_VALUE, ZScore

if TYPE_CHECKING:
    from aam_data.readers.metadata.metadata import Metadata


class Covariates(NamedTuple):
    """Covariates of B samples and C columns.

    Attributes:
        values: float32 [B, C] in standard deviations from the training mean; 0 where missing.
        missing: bool [B, C].
    """

    values: np.ndarray
    missing: np.ndarray


@dataclass(frozen=True)
class CovariateScaler:
    """Means and standard deviations of C columns.

    Attributes:
        columns: metadata columns.
        scales: scale of each column, see ``transforms.ZScore``.
    """

    columns: tuple[str, ...] = ()
    scales: tuple[ZScore, ...] = ()

    def __post_init__(self) -> None:
        if len(self.columns) != len(self.scales) or len({*self.columns}) != len(self.columns):
            raise DataError("columns must be distinct, with one scale each", code="model-inconsistent")

    @classmethod
    def fit(cls, metadata: Metadata, rows: np.ndarray, columns: Sequence[str]) -> Self:
        """Compute means and standard deviations (divided by n) of the training samples ``rows`` that have a value.

        Raises:
            DataError: a column is absent, not numeric, or constant among the training samples.
        """
        scales = []
        for column in columns:
            values = metadata.numeric(column)[rows]
            present = values[np.isfinite(values)]
            problem = code = ""
            if len(present) == 0:
                code, problem = "metadata-no-values", "no training sample has a value"
            elif (present == present[0]).all():
                code = "metadata-constant"
                problem = f"all {len(present):,} training samples have the value {present[0]:g}"
            elif np.abs(present).max() > MAX_VALUE:
                code, problem = "metadata-values-too-large", f"values beyond {MAX_VALUE:g} cannot be model input"
            if problem:
                remedy = f"Leave the column out: {column}"
                raise DataError(problem, code=code, file=metadata.path, place=f"column {column}", remedy=remedy)
            scales.append(ZScore.fit(present))
        return cls(tuple(columns), tuple(scales))

    def apply(self, metadata: Metadata) -> Covariates:
        """Standardize the covariates of B samples; missing values become the training mean, and are marked.

        Raises:
            DataError: a column is absent or not numeric, or has numbers too large for a model.
        """
        raw = [metadata.numeric(column) for column in self.columns]
        scaled = np.empty((len(metadata.sample_ids), len(self.columns)))
        for c, (values, scale) in enumerate(zip(raw, self.scales, strict=True)):
            if (large := np.flatnonzero(np.abs(values) > MAX_VALUE)).size:
                offenders = [f"{metadata.sample_ids[row]}: {values[row]:g}" for row in large]
                place, remedy = f"column {self.columns[c]}", "Correct them, or make them missing with --na-value"
                problem = f"values beyond {MAX_VALUE:g}"
                raise DataError(
                    problem,
                    code="metadata-values-too-large",
                    file=metadata.path,
                    place=place,
                    offenders=offenders,
                    remedy=remedy,
                )
            scaled[:, c] = scale.apply(values)
        missing = np.isnan(scaled)
        return Covariates(np.where(missing, 0.0, scaled).astype(np.float32), missing)

    def to_dict(self) -> dict[str, Any]:
        """Return a form that JSON can store."""
        means, stds = [scale.mean for scale in self.scales], [scale.std for scale in self.scales]
        return {"columns": list(self.columns), "means": means, "stds": stds}

    @classmethod
    def from_dict(cls, values: object, place: str = "covariates") -> Self:
        """Restore what ``to_dict`` returned. Raises DataError for anything else."""
        checked = strict_fields(values, {"columns": list, "means": list, "stds": list}, place)
        columns, means, stds = checked["columns"], checked["means"], checked["stds"]
        if not len(columns) == len(means) == len(stds) or not all(isinstance(name, str) for name in columns):
            raise DataError(
                "columns, means and standard deviations do not fit together", code="model-inconsistent", place=place
            )
        types = {"mean": float, "std": float}
        pairs = zip(means, stds, strict=True)
        scales = [strict_fields({"mean": mean, "std": std}, types, place) for mean, std in pairs]
        return cls(tuple(columns), tuple(ZScore(**scale) for scale in scales))
