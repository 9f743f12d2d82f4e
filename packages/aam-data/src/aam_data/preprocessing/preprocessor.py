"""Preprocessing fitted on training samples; saved with the model, and the only one that prediction uses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from aam_data.checked_json import strict_fields
from aam_data.errors import DataError
from aam_data.notes import Note
from aam_data.options.metadata_inputs import CategoryOptions
from aam_data.options.samples import SampleOptions
from aam_data.options.targets import TargetOptions
from aam_data.preprocessing.category_weights import CategoryWeights
from aam_data.preprocessing.class_labels import ClassLabels
from aam_data.preprocessing.metadata_inputs import MetadataInputs
from aam_data.preprocessing.target import FittedTarget, target_from_dict, target_to_dict
from aam_data.preprocessing.taxonomy import TaxonRanks
from aam_data.study.frame.fit import fit_frame
from aam_data.study.frame.frame import Frame

if TYPE_CHECKING:
    from aam_data.readers.metadata.metadata import Metadata
    from aam_data.study.study import Study

# 1 had no scales by category, 2 no choice of ASVs and no taxonomy, 3 no metadata as input and no quantiles, 4 no
# bounds of predictions, 5 no frame of sequences
FORMAT_VERSION = 6
_SAMPLINGS = ("abundance", "first", "random")
_MINIMA = {"max_bp": 1, "trim_length": 0, "rarefy_depth": 0, "seed": 0, "max_asvs": 1}
_STORED_KEYS = {"max_asvs": "token_limit"}  # where the key of preprocessor.json is an older name


@dataclass(frozen=True)
class Preprocessor:
    """Conversion of data to model input, and of model output to predictions.

    Attributes:
        max_bp: most bases of a sequence that the model sees.
        trim_length: bases that sequences are trimmed to before equal ones are merged; 0 = whole.
        rarefy_depth: reads drawn per sample; 0 = counts as they are.
        seed: random seed of the draws.
        max_asvs: most ASVs of a sample that the model sees.
        asv_sampling: choice of these ASVs: "abundance", "first" or "random".
        taxonomy: taxa that the encoder learned to predict; None without taxonomy.
        targets: targets in the order of the model's outputs; empty after pretraining.
        inputs: metadata that is model input.
        loss_weights: weights of categories in the loss; None without any. Prediction does not need them.
        frame: where the training reads start and what they have in common; None for models of older versions, which
            take sequences as they are.
    """

    max_bp: int
    trim_length: int
    rarefy_depth: int
    seed: int
    max_asvs: int
    targets: tuple[FittedTarget, ...] = ()
    asv_sampling: str = "abundance"
    taxonomy: TaxonRanks | None = None
    inputs: MetadataInputs = MetadataInputs()
    loss_weights: CategoryWeights | None = None
    frame: Frame | None = None

    def __post_init__(self) -> None:
        wrong = [name for name, minimum in _MINIMA.items() if getattr(self, name) < minimum]
        if wrong:
            raise DataError("numbers of the preprocessor are too small", code="model-inconsistent", offenders=wrong)
        if self.asv_sampling not in _SAMPLINGS:
            raise DataError(
                "the preprocessor has an unknown choice of ASVs",
                code="model-inconsistent",
                offenders=[self.asv_sampling],
            )
        if len(self.targets) > 1 and self.labels is not None:
            raise DataError("a class target cannot be combined with other targets", code="model-inconsistent")

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
        categories: CategoryOptions | None = None,
        extra_columns: Sequence[str] = (),
    ) -> Self:
        """Fit targets and inputs on training samples only.

        Args:
            study: the study; the frame is that into which it was brought, or else that of its training reads.
            train_rows: int64 rows of the training samples.
            sample_options: ``max_asvs`` and ``max_bp``, which the caller has resolved (not None).
            trim_length, rarefy_depth, seed: see the attributes.
            target: the columns to predict; None for pretraining.
            categories: metadata that is model input; None for none.
            extra_columns: categorical columns that a part of the model names; they may overlap with ``categories``.

        Raises:
            DataError: targets without metadata, or training values that cannot be learned from.
        """
        targets: tuple[FittedTarget, ...] = ()
        inputs, weights = MetadataInputs(), None
        if target is not None:
            if study.metadata is None:
                raise DataError(
                    "targets are metadata columns", code="metadata-needed", remedy="Pass the file with --metadata"
                )
            metadata = study.metadata
            chosen = categories or CategoryOptions()
            columns = tuple(dict.fromkeys([*chosen.categories(), *extra_columns]))
            inputs = MetadataInputs.fit(metadata, train_rows, columns, chosen.numbers(), chosen.parents())
            column, method = chosen.weight_column(), chosen.weights()
            if column is not None and method is not None:
                weights = CategoryWeights.fit(metadata, train_rows, column, method)
            targets = tuple(FittedTarget.fit(metadata, train_rows, column, target) for column in target.metadata_column)
        options, taxonomy = sample_options, None
        if study.taxonomy is not None:
            asvs = study.table.observed_in(train_rows)
            taxonomy = TaxonRanks.fit(study.taxonomy.taxa[asvs], study.taxonomy.path)
        assert options.max_bp is not None
        return cls(
            options.max_bp,
            trim_length,
            rarefy_depth,
            seed,
            options.max_asvs,
            targets,
            options.asv_sampling,
            taxonomy,
            inputs,
            weights,
            study.frame or fit_frame(study.sequences, study.table.reads_per_feature(train_rows), options.max_bp),
        )

    @property
    def labels(self) -> ClassLabels | None:
        """Classes of a class target, else None."""
        return next((target.labels for target in self.targets if target.labels is not None), None)

    def targets_of(self, metadata: Metadata, unseen: Literal["error", "missing"] = "error") -> np.ndarray:
        """Return the values to learn: transformed values or class codes, float32 [B, T], NaN where missing.

        Args:
            metadata: metadata of B samples.
            unseen: what to do with classes without training samples.

        Raises:
            DataError: a column is absent or not numeric, or classes are unseen.
        """
        values = np.empty((len(metadata.sample_ids), len(self.targets)), dtype=np.float32)
        for column, target in enumerate(self.targets):
            values[:, column] = target.apply(metadata, unseen)
        return values

    @property
    def category_columns(self) -> tuple[str, ...]:
        """Metadata columns whose categories have scales of the target."""
        columns = [target.by_category.columns for target in self.targets if target.by_category is not None]
        return tuple(dict.fromkeys(column for names in columns for column in names))

    @property
    def categorical_columns(self) -> tuple[str, ...]:
        """Metadata columns whose categories predictions depend on."""
        return tuple(dict.fromkeys((*self.inputs.categories.columns, *self.category_columns)))

    @property
    def required_columns(self) -> tuple[str, ...]:
        """Metadata columns that predictions depend on; may be empty."""
        return tuple(dict.fromkeys((*self.inputs.columns, *self.category_columns)))

    def require_columns(self, metadata: Metadata | None) -> None:
        """Raise DataError if the metadata (None: no file) lack any of the ``required_columns``.

        The message names the columns and why the model needs them.
        """
        why = {
            "categorical input": self.inputs.categories.columns,
            "numeric input": self.inputs.covariates.columns,
            "scales of its target by category": self.category_columns,
        }
        absent = [name for name in self.required_columns if metadata is None or name not in metadata.columns]
        if absent:
            reasons = ((name, [text for text, columns in why.items() if name in columns]) for name in absent)
            raise DataError(
                "the model needs these metadata columns",
                code="metadata-column-missing",
                file=metadata.path if metadata is not None else None,
                offenders=[f"{name} ({'; '.join(texts)})" for name, texts in reasons],
                remedy="Pass a file that has them with --metadata",
            )

    def scales_of(self, metadata: Metadata | None, n_samples: int) -> np.ndarray:
        """Return the number of the fitted scale for each sample and target, int64 [B, T]; 0 = the common scale.

        Args:
            metadata: metadata of the B samples; may be None if there are no ``category_columns``.
            n_samples: B.

        Raises:
            DataError: ``category_columns`` are absent.
        """
        self.require_columns(metadata)
        scales = np.zeros((n_samples, len(self.targets)), dtype=np.int64)
        for column, target in enumerate(self.targets):
            if metadata is not None and target.by_category is not None:
                scales[:, column] = target.by_category.scales(metadata)
        return scales

    def describe_scales(self, metadata: Metadata, rows: np.ndarray, *, trained: bool = True) -> list[Note]:
        """Describe, for each target with scales by category, which samples ``rows`` use them; see `CategoryScales`."""
        fitted = [(target.spec.name, target.by_category) for target in self.targets]
        return [scales.describe(name, metadata, rows, trained=trained) for name, scales in fitted if scales is not None]

    def points(self, outputs: np.ndarray) -> np.ndarray:
        """Select the predictions from the outputs of numeric targets, [B, W] -> [B, T], in transformed units."""
        return np.stack([target.point(part) for target, part in self._parts(outputs)], axis=1)

    def quantiles(self, outputs: np.ndarray, scales: np.ndarray) -> tuple[np.ndarray | None, ...]:
        """Return each target's calibrated quantiles in the column's units, float64 [B, Q]; None if it has none.

        Args:
            outputs: [B, W] outputs of the model in transformed units.
            scales: int64 [B, T], see ``scales_of``.
        """
        return tuple(
            target.invert_quantiles(part, scales[:, t]) if target.quantiles else None
            for t, (target, part) in enumerate(self._parts(outputs))
        )

    def _parts(self, outputs: np.ndarray) -> list[tuple[FittedTarget, np.ndarray]]:
        """Pair each target with its outputs [B, width]."""
        ends = np.cumsum([target.spec.width for target in self.targets])[:-1]
        return list(zip(self.targets, np.split(outputs, ends, axis=1), strict=True))

    def invert(self, outputs: np.ndarray, scales: np.ndarray | None = None) -> np.ndarray:
        """Convert outputs to predictions.

        Args:
            outputs: [B, T] numbers in transformed units, or [B, K] probabilities of the classes.
            scales: int64 [B, T] scales of the samples, see ``scales_of``; may be None if there are no
                ``category_columns``.

        Returns:
            float64 [B, T] in the columns' units, or object [B, 1] names of the most likely classes.
        """
        if self.labels is not None:
            return self.labels.decode(outputs.argmax(axis=1))[:, None]
        assert scales is not None or not self.category_columns
        if scales is None:
            scales = np.zeros(outputs.shape, dtype=np.int64)
        return np.stack([target.invert(outputs[:, i], scales[:, i]) for i, target in enumerate(self.targets)], axis=1)

    def to_dict(self) -> dict[str, Any]:
        """Return a form that JSON can store."""
        return {
            "format_version": FORMAT_VERSION,
            **{_STORED_KEYS.get(name, name): getattr(self, name) for name in _MINIMA},
            "targets": [target_to_dict(target) for target in self.targets],
            "asv_sampling": self.asv_sampling,
            "taxonomy": None if self.taxonomy is None else self.taxonomy.to_list(),
            "inputs": self.inputs.to_dict(),
            "loss_weights": None if self.loss_weights is None else self.loss_weights.to_dict(),
            "frame": None if self.frame is None else self.frame.to_dict(),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Restore what ``to_dict`` returned, in this format version or an older one.

        Raises:
            DataError: anything else.
        """
        version = values.get("format_version")
        if type(version) is not int or not 1 <= version <= FORMAT_VERSION:
            raise DataError(
                f"the preprocessor has format {version!r}, but this version of AAM reads formats up to "
                f"{FORMAT_VERSION}",
                code="model-newer-format",
                remedy="Use the version of AAM that made the model, or a newer one",
            )
        types: dict[str, Any] = {
            "format_version": int,
            **{_STORED_KEYS.get(name, name): int for name in _MINIMA},
            "targets": list,
        }
        if version >= 3:
            types |= {"asv_sampling": str, "taxonomy": list | None}
        if version >= 4:
            types |= {"inputs": dict, "loss_weights": dict | None}
        if version >= 6:
            types |= {"frame": dict | None}
        checked: dict[str, Any] = {"asv_sampling": "abundance", "taxonomy": None, "loss_weights": None, "frame": None}
        checked |= strict_fields(dict(values), types, "preprocessor")
        targets = tuple(
            target_from_dict(target, version, f"preprocessor: target {number}")
            for number, target in enumerate(checked["targets"], 1)
        )
        taxonomy, weights, frame = checked["taxonomy"], checked["loss_weights"], checked["frame"]
        return cls(
            **{name: checked[_STORED_KEYS.get(name, name)] for name in _MINIMA},
            targets=targets,
            asv_sampling=checked["asv_sampling"],
            taxonomy=None if taxonomy is None else TaxonRanks.from_list(taxonomy),
            inputs=MetadataInputs.from_dict(checked["inputs"]) if version >= 4 else MetadataInputs(),
            loss_weights=None if weights is None else CategoryWeights.from_dict(weights),
            frame=None if frame is None else Frame.from_dict(frame),
        )
