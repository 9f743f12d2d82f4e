"""Everything fitted on training samples. Saved with the model, it is the only way prediction treats data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from aam_data.config import SampleOptions, TargetOptions
from aam_data.errors import DataError
from aam_data.labels import ClassLabels
from aam_data.strict_json import strict_fields
from aam_data.transforms import TargetTransform, fit_transform, transform_from_dict, transform_to_dict

if TYPE_CHECKING:
    from aam_data.readers.metadata import Metadata
    from aam_data.study import Study

FORMAT_VERSION = 1
_LEAST = {"max_bp": 1, "trim_length": 0, "rarefy_depth": 0, "seed": 0, "token_limit": 1}


@dataclass(frozen=True)
class TargetSpec:
    """One predicted metadata column.

    Attributes:
        name: the column.
        kind: a number, or one of several classes.
        width: model outputs for it: 1, or the number of classes.
    """

    name: str
    kind: Literal["regression", "classification"]
    width: int


@dataclass(frozen=True)
class FittedTarget:
    """A target with what was fitted for it: a transform (regression) or class labels (classification)."""

    spec: TargetSpec
    transform: TargetTransform | None = None
    labels: ClassLabels | None = None

    def __post_init__(self) -> None:
        classes = len(self.labels.names) if self.labels else 0
        fits = self.transform is not None and self.labels is None and self.spec.width == 1
        if self.spec.kind == "classification":
            fits = self.transform is None and classes == self.spec.width >= 2
        if not fits:
            problem = f"{self.spec.kind} does not go with its transform, labels or width"
            raise DataError(problem, place=f"target {self.spec.name}", offenders=[self])

    @classmethod
    def fit(cls, metadata: Metadata, rows: np.ndarray, column: str, options: TargetOptions) -> Self:
        """Fit one target on the samples ``rows``; what is refused stands in ``transforms`` and ``labels``."""
        if options.classifier:
            labels = ClassLabels.fit(metadata.text(column)[rows], column, metadata.path)
            return cls(TargetSpec(column, "classification", len(labels.names)), labels=labels)
        values = metadata.numeric(column)[rows]
        transform = fit_transform(options.target_transform, values, column, metadata.path)
        return cls(TargetSpec(column, "regression", 1), transform=transform)

    def apply(self, metadata: Metadata, unseen: Literal["error", "missing"]) -> np.ndarray:
        """Transformed values or class numbers of all samples, float64 [B], NaN where missing."""
        name = self.spec.name
        if self.labels is not None:
            return self.labels.encode(metadata.text(name), name, metadata.path, unseen=unseen)
        assert self.transform is not None
        return self.transform.apply(metadata.numeric(name))


@dataclass(frozen=True)
class Preprocessor:
    """How data become model input and model output becomes predictions.

    Attributes:
        max_bp: most bases of a sequence that the model sees.
        trim_length: bases that sequences are trimmed to before equal ones are merged; 0 = whole.
        rarefy_depth: reads drawn per sample; 0 = counts as they are.
        seed: random seed of the draws.
        token_limit: most ASVs of a sample that the model sees.
        targets: in the order of the model's outputs; empty after pretraining.
    """

    max_bp: int
    trim_length: int
    rarefy_depth: int
    seed: int
    token_limit: int
    targets: tuple[FittedTarget, ...] = ()

    def __post_init__(self) -> None:
        wrong = [name for name, least in _LEAST.items() if getattr(self, name) < least]
        if wrong:
            raise DataError("numbers of a preprocessor that are too small", offenders=wrong)
        if len(self.targets) > 1 and self.labels is not None:
            raise DataError("a class is predicted alone, not beside other targets")

    @classmethod
    def fit(
        cls,
        study: Study,
        train_rows: np.ndarray,
        sample_options: SampleOptions,
        *,
        trim_length: int,
        rarefy_depth: int,
        seed: int,
        target: TargetOptions | None = None,
    ) -> Self:
        """Fit the targets on training samples and on no others.

        Args:
            study: where the samples come from.
            train_rows: int64 rows of the training samples.
            sample_options: token limit and longest sequence, which the caller has settled (not None).
            trim_length, rarefy_depth, seed: as the attributes.
            target: the columns to predict; None for pretraining.

        Raises:
            DataError: targets without metadata, or training values that cannot be learned from.
        """
        targets: tuple[FittedTarget, ...] = ()
        if target is not None:
            if study.metadata is None:
                raise DataError("targets are metadata columns", remedy="Give the file with --metadata")
            metadata = study.metadata
            targets = tuple(FittedTarget.fit(metadata, train_rows, column, target) for column in target.metadata_column)
        assert sample_options.max_bp is not None
        return cls(sample_options.max_bp, trim_length, rarefy_depth, seed, sample_options.token_limit, targets)

    @property
    def labels(self) -> ClassLabels | None:
        """The classes, when a class is predicted."""
        return next((target.labels for target in self.targets if target.labels is not None), None)

    def targets_of(self, metadata: Metadata, unseen: Literal["error", "missing"] = "error") -> np.ndarray:
        """What the model learns: transformed values or class numbers, float32 [B, T], NaN where missing.

        Args:
            metadata: of B samples.
            unseen: what to do with classes that no training sample had.

        Raises:
            DataError: a column is absent or holds something else than numbers; unseen classes.
        """
        values = np.empty((len(metadata.sample_ids), len(self.targets)), dtype=np.float32)
        for column, target in enumerate(self.targets):
            values[:, column] = target.apply(metadata, unseen)
        return values

    def invert(self, outputs: np.ndarray) -> np.ndarray:
        """Predictions in the targets' own terms.

        Args:
            outputs: [B, W] of the model: numbers in transformed units, or the probabilities of the classes.

        Returns:
            float64 [B, T] in the columns' units, or object [B, 1] names of the likeliest classes.
        """
        if self.labels is not None:
            return self.labels.decode(outputs.argmax(axis=1))[:, None]
        transforms = [target.transform for target in self.targets if target.transform is not None]
        return np.stack([transform.invert(outputs[:, i]) for i, transform in enumerate(transforms)], axis=1)

    def to_dict(self) -> dict[str, Any]:
        """Everything as numbers, strings, lists and dicts, ready for JSON."""
        return {
            "format_version": FORMAT_VERSION,
            **{name: getattr(self, name) for name in _LEAST},
            "targets": [_target_to_dict(target) for target in self.targets],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """What ``to_dict`` gave. Raises DataError for any other key, type or format version."""
        version = values.get("format_version")
        if version != FORMAT_VERSION:
            raise DataError(
                f"preprocessor of format {version!r}, this version of AAM reads format {FORMAT_VERSION}",
                remedy="Use the version of AAM that made the model, or a newer one",
            )
        types = {"format_version": int, **dict.fromkeys(_LEAST, int), "targets": list}
        checked = strict_fields(dict(values), types, "preprocessor")
        targets = tuple(
            _target_from_dict(target, f"preprocessor: target {number}")
            for number, target in enumerate(checked["targets"], 1)
        )
        return cls(**{name: checked[name] for name in _LEAST}, targets=targets)


def _target_to_dict(target: FittedTarget) -> dict[str, Any]:
    return {
        "name": target.spec.name,
        "kind": target.spec.kind,
        "width": target.spec.width,
        "transform": transform_to_dict(target.transform) if target.transform else None,
        "labels": list(target.labels.names) if target.labels else None,
    }


def _target_from_dict(values: object, place: str) -> FittedTarget:
    types = {"name": str, "kind": str, "width": int, "transform": dict | None, "labels": list | None}
    checked = strict_fields(values, types, place)
    if checked["kind"] not in ("regression", "classification"):
        raise DataError(f"unknown kind of target {checked['kind']!r}", place=place)
    transform, names = checked["transform"], checked["labels"]
    if names is not None and not (all(isinstance(n, str) for n in names) and len({*names}) == len(names)):
        raise DataError("class labels that are not distinct texts", place=place, offenders=names)
    return FittedTarget(
        TargetSpec(checked["name"], checked["kind"], checked["width"]),
        transform=transform_from_dict(transform, f"{place}: transform") if transform is not None else None,
        labels=ClassLabels(tuple(names)) if names is not None else None,
    )
