"""Invertible transforms of numeric targets: fitted on training samples, applied to targets, inverted for predictions.

All compute in float64 and keep NaN (missing) as NaN. They are frozen dataclasses of floats, ready to be saved.
``invert`` does not clip: values outside the training range are returned as such, and the inverse of a logarithm is
infinite beyond the largest float64.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from aam_data.checked_json import strict_fields
from aam_data.errors import DataError

MAX_VALUE = 1e30  # models compute in float32
MIN_SPREAD = 1e-30  # squares of smaller differences vanish, and every prediction would look perfect
_ANOTHER_COLUMN = "Choose another --metadata-column"


@dataclass(frozen=True)
class TargetTransform(ABC):
    """Base class of transforms; arrays may have any shape."""

    kind: ClassVar[str]
    above: ClassVar[float] = -np.inf  # values must be above this

    @classmethod
    @abstractmethod
    def fit(cls, values: np.ndarray) -> Self:
        """Fit the transform to training values that are present, finite and not all equal."""

    @abstractmethod
    def apply(self, values: np.ndarray) -> np.ndarray:
        """Convert values from the target's units to the model's."""

    @abstractmethod
    def invert(self, scaled: np.ndarray) -> np.ndarray:
        """Convert values from the model's units to the target's."""


@dataclass(frozen=True)
class NoTransform(TargetTransform):
    """Identity: the model computes in the target's units."""

    kind: ClassVar[str] = "none"

    @classmethod
    def fit(cls, values: np.ndarray) -> Self:
        return cls()

    def apply(self, values: np.ndarray) -> np.ndarray:
        return np.asarray(values, dtype=np.float64)

    def invert(self, scaled: np.ndarray) -> np.ndarray:
        return np.asarray(scaled, dtype=np.float64)


@dataclass(frozen=True)
class MinMax(TargetTransform):
    """Scaling of training values to [0, 1]: ``(y - low) / (high - low)``. Other values may be outside."""

    low: float
    high: float
    kind: ClassVar[str] = "minmax"

    def __post_init__(self) -> None:
        _check_scale(self.high - self.low)

    @classmethod
    def fit(cls, values: np.ndarray) -> Self:
        return cls(low=float(np.min(values)), high=float(np.max(values)))

    def apply(self, values: np.ndarray) -> np.ndarray:
        return (np.asarray(values, dtype=np.float64) - self.low) / (self.high - self.low)

    def invert(self, scaled: np.ndarray) -> np.ndarray:
        return np.asarray(scaled, dtype=np.float64) * (self.high - self.low) + self.low


@dataclass(frozen=True)
class ZScore(TargetTransform):
    """Scaling of training values to mean 0 and standard deviation 1 (divided by n, not n - 1)."""

    mean: float
    std: float
    kind: ClassVar[str] = "zscore"

    def __post_init__(self) -> None:
        _check_scale(self.std)

    @classmethod
    def fit(cls, values: np.ndarray) -> Self:
        return cls(mean=float(np.mean(values)), std=float(np.std(values)))

    def apply(self, values: np.ndarray) -> np.ndarray:
        return (np.asarray(values, dtype=np.float64) - self.mean) / self.std

    def invert(self, scaled: np.ndarray) -> np.ndarray:
        return np.asarray(scaled, dtype=np.float64) * self.std + self.mean


@dataclass(frozen=True)
class LogMinMax(MinMax):
    """``MinMax`` of log(1 + y), for y > -1; ``low`` and ``high`` are logarithms. Inverses are above -1."""

    kind: ClassVar[str] = "log-minmax"
    above: ClassVar[float] = -1.0

    @classmethod
    def fit(cls, values: np.ndarray) -> Self:
        return super().fit(np.log1p(values))

    def apply(self, values: np.ndarray) -> np.ndarray:
        return super().apply(np.log1p(values))

    def invert(self, scaled: np.ndarray) -> np.ndarray:
        return _expm1(super().invert(scaled))


@dataclass(frozen=True)
class LogZScore(ZScore):
    """``ZScore`` of log(1 + y), for y > -1; ``mean`` and ``std`` are of logarithms. Inverses are above -1."""

    kind: ClassVar[str] = "log-zscore"
    above: ClassVar[float] = -1.0

    @classmethod
    def fit(cls, values: np.ndarray) -> Self:
        return super().fit(np.log1p(values))

    def apply(self, values: np.ndarray) -> np.ndarray:
        return super().apply(np.log1p(values))

    def invert(self, scaled: np.ndarray) -> np.ndarray:
        return _expm1(super().invert(scaled))


TRANSFORMS: dict[str, type[TargetTransform]] = {
    transform.kind: transform for transform in (NoTransform, MinMax, ZScore, LogMinMax, LogZScore)
}


def check_values(kind: str, values: np.ndarray, column: str, file: Path | None = None) -> None:
    """Check that a transform can take all values of a target.

    Args:
        kind: a key of ``TRANSFORMS``.
        values: float [B], NaN where missing.
        column: the target's name, for messages.
        file: where the values are from, for messages.

    Raises:
        DataError: values beyond 1e30, closer together than 1e-30, or for a logarithm values of -1 and less.
    """
    values = np.asarray(values, dtype=np.float64)
    place = f"column {column}"
    if (giant := np.abs(values) > MAX_VALUE).any():
        raise DataError(
            f"values beyond {MAX_VALUE:g} cannot be learned",
            code="target-values-too-large",
            file=file,
            place=place,
            offenders=list(dict.fromkeys(values[giant].tolist())),
            remedy="Correct the metadata",
        )
    known = values[~np.isnan(values)]
    if len(known) > 0 and 0 < np.ptp(known) < MIN_SPREAD:
        raise DataError(
            f"values that differ by less than {MIN_SPREAD:g} in all cannot be distinguished",
            code="target-values-too-close",
            file=file,
            place=place,
            offenders=list(dict.fromkeys(known.tolist())),
            remedy="Use a smaller unit in the metadata, so that the numbers become larger",
        )
    if (low := values <= TRANSFORMS[kind].above).any():
        raise DataError(
            f"--target-transform {kind} takes log(1 + value), which needs values above -1",
            code="target-below-range",
            file=file,
            place=place,
            offenders=list(dict.fromkeys(values[low].tolist())),
            remedy="Use another --target-transform, or correct these values",
        )


def fit_transform(kind: str, values: np.ndarray, column: str, file: Path | None = None) -> TargetTransform:
    """Fit the transform ``kind`` to the training values of a target.

    Args:
        kind: a key of ``TRANSFORMS``.
        values: float [B] training values, NaN where missing.
        column: the target's name, for messages.
        file: where the values are from, for messages.

    Raises:
        DataError: no value, only one distinct value, or values that ``check_values`` rejects.
    """
    present = np.asarray(values, dtype=np.float64)
    present = present[~np.isnan(present)]
    place = f"column {column}"
    if len(present) == 0:
        raise DataError(
            "no training sample has a value", code="target-no-values", file=file, place=place, remedy=_ANOTHER_COLUMN
        )
    check_values(kind, present, column, file)
    if len(present) == 1:
        raise DataError(
            "only 1 training sample has a value, so there is nothing to learn",
            code="target-constant",
            file=file,
            place=place,
            remedy=f"{_ANOTHER_COLUMN}, or hold out fewer samples (--test-size, --val-size, --calibration-size)",
        )
    if (present == present[0]).all():
        problem = f"all {len(present):,} training samples have the value {present[0]:g}, so there is nothing to learn"
        raise DataError(problem, code="target-constant", file=file, place=place, remedy=_ANOTHER_COLUMN)
    return TRANSFORMS[kind].fit(present)


def transform_to_dict(transform: TargetTransform) -> dict[str, str | float]:
    """Return ``{"kind": ..., parameters}``, which JSON can store."""
    return {"kind": transform.kind, **asdict(transform)}


def transform_from_dict(values: object, place: str = "transform") -> TargetTransform:
    """Restore what ``transform_to_dict`` returned. Raises DataError for anything else."""
    kind = values.get("kind") if isinstance(values, dict) else None
    if not isinstance(kind, str) or kind not in TRANSFORMS:
        raise DataError(
            f"unknown transform {kind!r}", code="model-inconsistent", place=place, offenders=list(TRANSFORMS)
        )
    transform = TRANSFORMS[kind]
    parameters = {field.name: float for field in fields(transform)}
    checked = strict_fields(values, {"kind": str, **parameters}, place)
    del checked["kind"]
    return transform(**checked)


def _check_scale(scale: float) -> None:
    if not scale > 0:
        raise DataError(f"a target transform with a scale of {scale:g} cannot be inverted", code="model-inconsistent")


def _expm1(logarithms: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):  # infinite, see the module's docstring
        values: np.ndarray = np.expm1(logarithms)
    return values
