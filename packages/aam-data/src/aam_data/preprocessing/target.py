"""Prediction targets: metadata columns with the transforms or class labels fitted on training samples."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from aam_data.checked_json import strict_fields
from aam_data.errors import DataError
from aam_data.options.targets import TargetOptions
from aam_data.preprocessing.category_scales import CategoryScales
from aam_data.preprocessing.class_labels import ClassLabels
from aam_data.preprocessing.conformal import ascending, widen
from aam_data.preprocessing.transforms import (
    TargetTransform,
    check_values,
    fit_transform,
    transform_from_dict,
    transform_to_dict,
)

if TYPE_CHECKING:
    from aam_data.readers.metadata.metadata import Metadata


@dataclass(frozen=True)
class TargetSpec:
    """One predicted metadata column.

    Attributes:
        name: the column.
        kind: "regression" for numbers, "classification" for classes.
        width: number of its model outputs: 1, the number of quantiles, or the number of classes.
    """

    name: str
    kind: Literal["regression", "classification"]
    width: int


@dataclass(frozen=True)
class FittedTarget:
    """A target with its fitted transforms (regression) or class labels (classification).

    Attributes:
        spec: name, kind and number of outputs.
        transform: transform of all samples.
        labels: class labels.
        by_category: transforms of single categories, used instead of ``transform``.
        quantiles: quantiles that the outputs predict, ascending and with the median; empty if the output is the
            prediction itself.
        widening: amounts that calibration adds to either side of each pair of quantiles, from the outermost pair
            inwards, in transformed units; empty without calibration.
        bounds: lowest and highest prediction, in the column's units; empty without bounds. Calibrated intervals may
            reach beyond them.
    """

    spec: TargetSpec
    transform: TargetTransform | None = None
    labels: ClassLabels | None = None
    by_category: CategoryScales | None = None
    quantiles: tuple[float, ...] = ()
    widening: tuple[float, ...] = ()
    bounds: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        classes = len(self.labels.names) if self.labels else 0
        fits = self.transform is not None and self.labels is None and self.spec.width == max(len(self.quantiles), 1)
        fits = fits and (not self.quantiles or (0.5 in self.quantiles and ascending(self.quantiles)))
        fits = fits and len(self.widening) in (0, len(self.quantiles) // 2)
        fits = fits and (not self.bounds or (len(self.bounds) == 2 and self.bounds[0] <= self.bounds[1]))
        if self.spec.kind == "classification":
            fits = self.transform is None and self.by_category is None and not self.quantiles and not self.bounds
            fits = fits and classes == self.spec.width >= 2
        if not fits:
            problem = f"the transform, labels or width do not fit a {self.spec.kind} target"
            raise DataError(problem, code="model-inconsistent", place=f"target {self.spec.name}", offenders=[self])

    @classmethod
    def fit(cls, metadata: Metadata, rows: np.ndarray, column: str, options: TargetOptions) -> Self:
        """Fit one target on the samples ``rows``.

        Raises:
            DataError: see ``transforms.fit_transform`` and ``ClassLabels.fit``.
        """
        if options.classifier:
            labels = ClassLabels.fit(metadata.text(column)[rows], column, metadata.path)
            return cls(TargetSpec(column, "classification", len(labels.names)), labels=labels)
        values, scale = metadata.numeric(column), options.scale()
        check_values(scale.kind, values, column, metadata.path)  # of all samples, to name all at once
        transform = fit_transform(scale.kind, values[rows], column, metadata.path)
        by_category = CategoryScales.fit(scale.kind, values, metadata, rows, scale.by) if scale.by else None
        return cls(TargetSpec(column, "regression", 1), transform=transform, by_category=by_category)

    def with_quantiles(self, quantiles: tuple[float, ...]) -> Self:
        """Return the target with other predicted quantiles; none = one number."""
        return replace(self, spec=replace(self.spec, width=max(len(quantiles), 1)), quantiles=quantiles, widening=())

    def with_bounds(self, metadata: Metadata, rows: np.ndarray) -> Self:
        """Return the numeric target with predictions bounded to the range of its values in the samples ``rows``."""
        values = metadata.numeric(self.spec.name)[rows]
        return replace(self, bounds=(float(np.nanmin(values)), float(np.nanmax(values))))

    def point(self, outputs: np.ndarray) -> np.ndarray:
        """Select the prediction [B] from a numeric target's outputs [B, width]: the median if they are quantiles."""
        median: np.ndarray = outputs[:, self.quantiles.index(0.5) if self.quantiles else 0]
        return median

    def invert_quantiles(self, outputs: np.ndarray, scales: np.ndarray) -> np.ndarray:
        """Return calibrated quantiles in the column's units, float64 [B, Q].

        Args:
            outputs: [B, Q] quantiles in transformed units.
            scales: int64 [B] scales of the samples.
        """
        median = self.quantiles.index(0.5)
        widened = widen(outputs.astype(np.float64), self.widening, median)
        if not self.widening:
            return np.stack([self.invert(column, scales) for column in widened.T], axis=1)
        values = np.stack([self._invert_unbounded(column, scales) for column in widened.T], axis=1)
        middle = self.invert(widened[:, median], scales)[:, None]
        values[:, :median] = np.minimum(values[:, :median], middle)
        values[:, median + 1 :] = np.maximum(values[:, median + 1 :], middle)
        values[:, [median]] = middle
        return values

    def apply(self, metadata: Metadata, unseen: Literal["error", "missing"]) -> np.ndarray:
        """Return transformed values or class codes of all samples, float64 [B], NaN where missing."""
        name = self.spec.name
        if self.labels is not None:
            return self.labels.encode(metadata.text(name), name, metadata.path, unseen=unseen)
        assert self.transform is not None
        values = metadata.numeric(name)
        check_values(self.transform.kind, values, name, metadata.path)
        if self.by_category is None:
            return self.transform.apply(values)
        return self.by_category.apply(self.transform, values, self.by_category.scales(metadata))

    def invert(self, scaled: np.ndarray, scales: np.ndarray) -> np.ndarray:
        """Convert transformed numbers [B] to the column's units, float64 [B], given the samples' scales [B]."""
        values = self._invert_unbounded(scaled, scales)
        return values.clip(self.bounds[0], self.bounds[1]) if self.bounds else values

    def _invert_unbounded(self, scaled: np.ndarray, scales: np.ndarray) -> np.ndarray:
        assert self.transform is not None
        if self.by_category is None:
            return self.transform.invert(scaled)
        return self.by_category.invert(self.transform, scaled, scales)


def target_to_dict(target: FittedTarget) -> dict[str, Any]:
    """Return a form of a target that JSON can store."""
    return {
        "name": target.spec.name,
        "kind": target.spec.kind,
        "width": target.spec.width,
        "transform": transform_to_dict(target.transform) if target.transform else None,
        "labels": list(target.labels.names) if target.labels else None,
        "by_category": target.by_category.to_dict() if target.by_category else None,
        "quantiles": list(target.quantiles),
        "widening": list(target.widening),
        "bounds": list(target.bounds),
    }


def target_from_dict(values: object, version: int, place: str) -> FittedTarget:
    """Restore what ``target_to_dict`` returned, in this version or an older one.

    Args:
        values: the saved form.
        version: format version of the target's preprocessor; 1 had no scales by category, versions before 4 no
            quantiles, and those before 5 no bounds.
        place: location in the file, for messages.

    Raises:
        DataError: anything else.
    """
    types = {"name": str, "kind": str, "width": int, "transform": dict | None, "labels": list | None}
    if version > 1:
        types["by_category"] = dict | None
    if version >= 4:
        types["quantiles"] = types["widening"] = list
    if version >= 5:
        types["bounds"] = list
    checked = strict_fields(values, types, place)
    if checked["kind"] not in ("regression", "classification"):
        raise DataError(f"unknown kind of target {checked['kind']!r}", code="model-inconsistent", place=place)
    transform, names = checked["transform"], checked["labels"]
    if names is not None and not (all(isinstance(n, str) for n in names) and len({*names}) == len(names)):
        raise DataError(
            "class labels must be distinct strings", code="model-inconsistent", place=place, offenders=names
        )
    numbers = {name: tuple(checked.get(name, ())) for name in ("quantiles", "widening", "bounds")}
    for name, entries in numbers.items():
        if not all(type(value) is float for value in entries):
            raise DataError(f"{name} must be numbers", code="model-inconsistent", place=place, offenders=list(entries))
    fitted = transform_from_dict(transform, f"{place}: transform") if transform is not None else None
    by_category, kind = checked.get("by_category"), fitted.kind if fitted is not None else ""
    return FittedTarget(
        TargetSpec(checked["name"], checked["kind"], checked["width"]),
        transform=fitted,
        labels=ClassLabels(tuple(names)) if names is not None else None,
        by_category=None
        if by_category is None
        else CategoryScales.from_dict(by_category, kind, f"{place}: by category"),
        **numbers,
    )
